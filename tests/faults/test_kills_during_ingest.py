"""kill -9 of every part, five times each, during ingests: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import io
import zipfile
from pathlib import Path

import asyncpg
import numpy as np
import pytest
from PIL import Image

from faults.killing import TARGETS, Killer
from faults.small_network import SMALL_ALEXNET
from kinsight.clients import Kinsight
from kinsight.contracts.jobs import Job, JobState
from kinsight.local.instance import Instance
from kinsight.local.sample import sample_images, sample_zip

KILLS = 5
FILES = 6_000


def variants(path: Path, start: int) -> Path:
    """FILES digits with a little noise, so that each has bytes of its own."""
    rng = np.random.default_rng(start)
    scans = [(s.label, np.asarray(Image.open(io.BytesIO(s.data)))) for s in sample_images("train")]
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(FILES):
            label, scan = scans[number % len(scans)]
            noisy = np.clip(scan + rng.integers(-20, 21, scan.shape), 0, 255).astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(noisy).save(buffer, "PNG")
            archive.writestr(f"{label}/{start}-{number}.png", buffer.getvalue())
    return path


async def check(instance: Instance, job: Job, library: str) -> None:
    """Every file has one outcome, every image is in exactly one class table."""
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    assert job.result["files"] == FILES
    assert job.result["indexed"] + job.result["duplicate"] == FILES
    connection = await asyncpg.connect(instance.database_url)
    try:
        numbers = await connection.fetchrow(
            "SELECT count(*), count(DISTINCT number), max(number) FROM ingest_items"
            " WHERE job_id = $1::text::uuid",
            job.id,
        )
        assert tuple(numbers) == (FILES, FILES, FILES - 1)
        row = await connection.fetchrow(
            "SELECT id, live_index, (SELECT count(*) FROM images WHERE library_id = l.id) AS images"
            " FROM libraries l WHERE name = $1",
            library,
        )
        table = f"index_{row['live_index']}"
        filed = await connection.fetchrow(
            f"SELECT count(*) AS rows, count(DISTINCT image_id) AS images FROM {table}"
        )
        orphans = await connection.fetchval(
            f"SELECT count(*) FROM {table} t WHERE NOT EXISTS"
            " (SELECT 1 FROM images WHERE id = t.image_id AND library_id = $1)",
            row["id"],
        )
        counted = await connection.fetchval(
            "SELECT sum(rows)::bigint FROM class_tables WHERE index_id = $1", row["live_index"]
        )
        assert filed["rows"] == filed["images"] == row["images"] == counted
        assert orphans == 0
        shas = await connection.fetch("SELECT sha256 FROM images WHERE library_id = $1", row["id"])
    finally:
        await connection.close()
    store = instance.data_dir / "store" / "blobs"
    for sha256 in (record["sha256"].hex() for record in shas):
        assert (store / sha256[:2] / sha256).is_file()


@pytest.mark.slow
async def test_kills_during_ingest(instance: Instance, tmp_path: Path) -> None:
    with Kinsight(instance.url) as client:
        killer = Killer(instance, client)
        await prepare(client, tmp_path)
        targets = [target for _ in range(KILLS) for target in TARGETS]
        round_ = 0
        while targets:
            round_ += 1
            archive = await asyncio.to_thread(variants, tmp_path / "batch.zip", round_)
            job = await asyncio.to_thread(client.index_batch, "digits", [archive])
            while (
                targets and not (await killer.beyond(job.id, lambda j: j.progress.done)).state.ended
            ):
                await killer.kill(targets.pop())
            job = await killer.end_of(job.id)
            await check(instance, job, "digits")
        assert killer.kills == dict.fromkeys(TARGETS, KILLS)


async def prepare(client: Kinsight, folder: Path) -> None:
    """A library with a model, so that every later file goes into a class table."""
    archive = sample_zip(folder / "sample.zip")
    job = await asyncio.to_thread(client.index_batch, "digits", [archive])
    assert (await asyncio.to_thread(client.wait, job.id, None, 60)).state is JobState.SUCCEEDED
    job = await asyncio.to_thread(
        client.train,
        "digits",
        "alexnet",
        SMALL_ALEXNET,
        "fine-tune",
        {"epochs": 1, "mirror": False},
    )
    done = await asyncio.to_thread(client.wait, job.id, None, 120)
    assert done.state is JobState.SUCCEEDED, done.error
