"""How much room is left where Kinsight writes."""

from __future__ import annotations

import shutil
from pathlib import Path

from kinsight.store import Store


async def rooms(store: Store, data_dir: Path | None) -> dict[str, int]:
    """Free bytes by place; without a store that knows no bound."""
    found = {"store": await store.free_bytes()}
    if data_dir is not None and data_dir.is_dir():
        found["data folder"] = shutil.disk_usage(data_dir).free
    return {place: free for place, free in found.items() if free is not None}
