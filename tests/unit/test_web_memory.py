"""Memory of the container or the machine, read from the kernel's files."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry

from kinsight.web.memory import MemoryCollector, of_machine


def container(folder: Path, limit: str) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text("700\n")
    (folder / "memory.stat").write_text("anon 500\ninactive_file 150\nactive_file 50\n")
    return folder


def sample(collector: MemoryCollector, name: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry.get_sample_value(name)


def test_a_container_has_its_limit_and_files_that_can_go_are_not_used(tmp_path: Path) -> None:
    collector = MemoryCollector(container(tmp_path, "1000"))
    assert sample(collector, "kinsight_memory_limit_bytes") == 1000
    assert sample(collector, "kinsight_memory_used_bytes") == 550


def test_without_a_limit_the_machine_is_what_counts(tmp_path: Path) -> None:
    machine = tmp_path / "meminfo"
    machine.write_text("MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:  400 kB\nHuge: 0\n")
    collector = MemoryCollector(container(tmp_path, "max"), machine)
    assert sample(collector, "kinsight_memory_limit_bytes") == 1000 * 1024
    assert sample(collector, "kinsight_memory_used_bytes") == 600 * 1024


def test_a_system_that_has_neither_says_nothing(tmp_path: Path) -> None:
    collector = MemoryCollector(tmp_path, tmp_path / "meminfo")
    assert sample(collector, "kinsight_memory_limit_bytes") is None


def test_this_machine() -> None:
    found = of_machine(Path("/proc/meminfo"))
    if found is None:
        pytest.skip("this system has no /proc/meminfo")
    memory = psutil.virtual_memory()
    assert found[0] == memory.total
    assert found[1] == pytest.approx(memory.total - memory.available, rel=0.2)
