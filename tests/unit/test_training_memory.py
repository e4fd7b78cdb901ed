"""Whether a training process keeps what it frees, and the precision it multiplies in."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

from kinsight.networks import precision
from trainer.training import allocation

_RESIDENT = """
import sys
from pathlib import Path
from trainer.training.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
page = 4096
block = bytearray(200 * 2**20)
block[::page] = b"x" * len(block[::page])
del block
print(int(Path("/proc/self/statm").read_text().split()[1]) * page // 2**20)
"""


def _resident_megabytes(mode: str) -> int:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    command = [sys.executable, "-c", _RESIDENT, mode]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(result.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_freed_memory_stays_with_the_process() -> None:
    assert _resident_megabytes("plain") < 150
    assert _resident_megabytes("keep") > 190


def test_tunables_of_the_operator_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert allocation.environment()["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    both = "glibc.malloc.check=1:glibc.malloc.hugetlb=1"
    assert allocation.environment()["GLIBC_TUNABLES"] == both
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    assert allocation.environment()["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=0"


@pytest.mark.parametrize("has", [False, True])
def test_processors_mix_precisions_only_where_asked(
    monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: has)
    cpu = torch.device("cpu")
    a = torch.ones(2, 2)
    with precision.mixed_precision(cpu):
        assert (a @ a).dtype == torch.float32
    with precision.mixed_precision(cpu, on_processors=True):
        assert (a @ a).dtype == (torch.bfloat16 if has else torch.float32)
