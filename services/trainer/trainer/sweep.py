"""Sweeping up after jobs that ended without doing so: the trainer was killed at that moment."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
import uuid
from collections.abc import Collection
from pathlib import Path

from kinsight.database import Pool
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.store import Store
from trainer.settings import TrainerSettings
from trainer.weights_store import CHECK_FOLDER

_EVERY_SECONDS = 600.0
_ABANDONED_SECONDS = 3600.0
_PREFIXES = ("checkpoints/", "uploads/evaluate/")
_log = logging.getLogger(__name__)


class Sweeper:
    """Deletes scratch folders, checkpoints and stored queries of jobs that are not open."""

    def __init__(self, pool: Pool, store: Store, settings: TrainerSettings) -> None:
        self._pool = pool
        self._store = store
        self._scratch = settings.scratch

    async def run(self) -> None:
        """Sweeps now and then until cancelled."""
        while True:
            try:
                await self.sweep()
            except (*CONNECTION_ERRORS, TimeoutError) as error:
                _log.warning("Sweeping again later: %s", error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def sweep(self) -> None:
        folders = {path.name: path for path in self._folders()}
        stored = {
            (prefix, key.removeprefix(prefix).split("/")[0])
            for prefix in _PREFIXES
            for key in await self._store.keys(prefix)
        }
        keep = await self._open({*folders, *(job for _, job in stored)})
        for job, path in folders.items():
            if job not in keep:
                await asyncio.to_thread(shutil.rmtree, path, True)
        for path in self._abandoned():
            await asyncio.to_thread(shutil.rmtree, path, True)
        for prefix, job in stored:
            if job not in keep:
                await self._store.delete_prefix(f"{prefix}{job}/")

    def _folders(self) -> list[Path]:
        """The scratch folders of jobs; what else lies there is not ours to judge."""
        if not self._scratch.is_dir():
            return []
        return [path for path in self._scratch.iterdir() if path.is_dir() and _is_id(path.name)]

    def _abandoned(self) -> list[Path]:
        """Folders in which uploaded weights were being checked, long past the time for it."""
        oldest = time.time() - _ABANDONED_SECONDS
        folders = self._scratch.glob(f"{CHECK_FOLDER}*")
        return [path for path in folders if path.stat().st_mtime < oldest]

    async def _open(self, names: Collection[str]) -> set[str]:
        rows = await self._pool.fetch(
            "SELECT id FROM jobs WHERE id = ANY($1) AND state IN ('queued', 'running')",
            [uuid.UUID(name) for name in names if _is_id(name)],
        )
        return {str(row["id"]) for row in rows}


def _is_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
