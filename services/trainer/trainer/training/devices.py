"""What the training runs on."""

from __future__ import annotations

import os
import platform
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from kinsight.networks import RetrievalNetwork
from kinsight.networks.precision import mixed_precision
from trainer.training.group import ALONE, Group, join
from trainer.training.place import place
from trainer.training.shared_batch_norm import share_batch_norms

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Device:
    """name: `cuda:0`, `cpu`. machine: the computer and the hardware used, for comparing runs.

    group: the processes that share the work, each on a device of its own.
    """

    torch: torch.device
    machine: str
    group: Group = ALONE

    @property
    def name(self) -> str:
        return str(self.torch)

    def prepared(self, network: RetrievalNetwork) -> RetrievalNetwork:
        """With batch normalisation of the whole batch, where a group shares it."""
        if self.group.size > 1 and self.torch.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        elif self.group.size > 1:
            share_batch_norms(network, self.group)
        return network

    def autocast(self) -> AbstractContextManager[None]:
        """Mixed precision where it pays: bfloat16 on CUDA."""
        return mixed_precision(self.torch)


def choose() -> Device:
    """A CUDA device, else the CPU with all the cores this process may use.

    Processes that torchrun has started take a device each, or share the cores; they join their
    group here.
    """
    own = place()
    if torch.cuda.is_available():
        device = torch.device("cuda", own.local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
        hardware = torch.cuda.get_device_name(device)
    else:
        device = torch.device("cpu")
        cores = usable_cores()
        torch.set_num_threads(max(1, cores // own.local_size))
        hardware = f"{_processor()}, {cores} cores"
    shared = f", {own.size} processes" if own.size > 1 else ""
    return Device(device, f"{platform.node()}: {hardware}{shared}", join(device))


def device_count() -> int:
    """CUDA devices that training would use; makes no context on any of them."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


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
