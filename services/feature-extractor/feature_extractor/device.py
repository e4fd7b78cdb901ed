"""What the networks run on: chosen once, and reported as it really is."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch

from kinsight.errors import Unavailable


@dataclass(frozen=True)
class Device:
    """torch: the device. hardware: its own name, as the driver or the processor says it."""

    torch: torch.device
    hardware: str

    @property
    def name(self) -> str:
        return str(self.torch)

    @property
    def is_cuda(self) -> bool:
        return self.torch.type == "cuda"


def choose(wanted: str) -> Device:
    """`auto`: CUDA where there is one, else the CPU; else the device named.

    Raises Unavailable where the device named is not there: a silent fall-back to the CPU would
    look like a slow GPU.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
        if device.type == "cuda":
            device = torch.device("cuda", device.index or 0)
            return Device(device, torch.cuda.get_device_name(device))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise Unavailable(
            f"KINSIGHT_DEVICE is {wanted!r}, which this machine does not have ({reason}). "
            "Set it to `auto` or `cpu`."
        ) from error
    if device.type != "cpu":
        raise Unavailable(f"KINSIGHT_DEVICE is {wanted!r}; it may be auto, cpu, cuda or cuda:N.")
    return Device(device, _processor_name())


def versions() -> dict[str, Any]:
    """Of everything that decides what an embedding looks like."""
    found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }
    return found | ({"cuda": torch.version.cuda} if torch.version.cuda else {})


def _processor_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
