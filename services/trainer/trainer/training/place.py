"""Which of the processes that train one model together this one is."""

from __future__ import annotations

import os
from typing import NamedTuple


class Place(NamedTuple):
    """rank, size: among all processes; the local ones among those of this machine."""

    rank: int
    size: int
    local_rank: int
    local_size: int


def place() -> Place:
    """As torchrun tells it by the environment; a process that it did not start is alone."""
    names = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
    return Place(*(int(os.environ.get(name, alone)) for name, alone in names.items()))
