"""What the training runs on."""

from __future__ import annotations

import os
import platform
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from kinsight.networks.precision import mixed_precision

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Device:
    """name: `cuda:0`, `cpu`. machine: the computer and the hardware used, for comparing runs."""

    torch: torch.device
    machine: str

    @property
    def name(self) -> str:
        return str(self.torch)

    def autocast(self) -> AbstractContextManager[None]:
        """Mixed precision where it pays: bfloat16 on CUDA."""
        return mixed_precision(self.torch)


def choose() -> Device:
    """The first CUDA device, else the CPU with all the cores this process may use."""
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
        hardware = torch.cuda.get_device_name(0)
        return Device(torch.device("cuda:0"), f"{platform.node()}: {hardware}")
    cores = usable_cores()
    torch.set_num_threads(cores)
    return Device(torch.device("cpu"), f"{platform.node()}: {_processor()}, {cores} cores")


def usable_cores() -> int:
    """Cores this process may run on; a container's quota counts, which the system's count hides."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    if _CGROUP_QUOTA.exists():
        quota, _, period = _CGROUP_QUOTA.read_text().partition(" ")
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or platform.machine()
