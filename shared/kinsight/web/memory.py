"""How much memory this service's container, or machine, has and uses.

The resident size of a process says nothing of the training and decoding processes beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_CGROUP = Path("/sys/fs/cgroup")
_MACHINE = Path("/proc/meminfo")


class MemoryCollector(Collector):
    """Two small files per scrape; nothing where the system has neither."""

    def __init__(self, cgroup: Path = _CGROUP, machine: Path = _MACHINE) -> None:
        self._cgroup = cgroup
        self._machine = machine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = of_cgroup(self._cgroup) or of_machine(self._machine)
        if found is None:
            return
        limit, used = found
        yield GaugeMetricFamily(
            "kinsight_memory_limit_bytes", "Memory of the container, or of the machine.", limit
        )
        yield GaugeMetricFamily(
            "kinsight_memory_used_bytes", "Memory in use there that cannot be reclaimed.", used
        )


def of_cgroup(folder: Path) -> tuple[int, int] | None:
    """Limit and use in bytes of a container (cgroup v2); None where it has no limit."""
    try:
        limit = (folder / "memory.max").read_text().strip()
        if limit == "max":
            return None
        used = int((folder / "memory.current").read_text())
        fields = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    # Files that nobody has read for a while are given back on demand.
    return int(limit), max(0, used - int(fields.get("inactive_file", 0)))


def of_machine(file: Path) -> tuple[int, int] | None:
    """Size and use in bytes of the machine's memory."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (s.partition(":") for s in lines)}
    if not {"MemTotal", "MemAvailable"} <= kilobytes.keys():
        return None
    total = kilobytes["MemTotal"]
    return total << 10, (total - kilobytes["MemAvailable"]) << 10
