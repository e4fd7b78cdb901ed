"""The doctor's checks of what the services stand on: Postgres, broker, store, disk, clock."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

from admin.rooms import rooms
from admin.state import State
from kinsight.contracts.admin import DoctorCheck
from kinsight.database.migrate import migrations

_CLOCK_SECONDS = 2.0  # leases are many times longer
_OLDEST_PGVECTOR = (0, 7)  # bit vectors and Hamming distance


async def postgres(state: State) -> DoctorCheck:
    began = time.perf_counter()
    row = await state.pool.fetchrow(
        "SELECT current_setting('server_version') AS server,"
        " (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector"
    )
    assert row is not None
    milliseconds = (time.perf_counter() - began) * 1e3
    vector = row["vector"]
    new_enough = vector is not None and _version(vector) >= _OLDEST_PGVECTOR
    return DoctorCheck(
        check="postgres",
        ok=new_enough,
        detail=f"PostgreSQL {row['server']} with pgvector {vector or 'missing'}, answers in "
        f"{milliseconds:.1f} ms",
        advice=None
        if new_enough
        else "Install pgvector 0.7 or newer, then `ALTER EXTENSION vector UPDATE`.",
    )


async def schema(state: State) -> DoctorCheck:
    rows = await state.pool.fetch("SELECT number, checksum FROM schema_migrations")
    applied = {row["number"]: row["checksum"] for row in rows}
    known = {migration.number: migration.checksum for migration in migrations()}
    ok = applied == known
    if ok:
        advice = None
    elif applied.keys() - known.keys():
        advice = "The database was migrated by a newer Kinsight; run that one."
    else:
        advice = "Restart the services: they apply missing migrations when they start."
    return DoctorCheck(
        check="schema",
        ok=ok,
        detail=f"{len(applied)} of {len(known)} migrations applied"
        + ("" if ok or len(applied) != len(known) else ", not the ones known here"),
        advice=advice,
    )


async def broker(state: State) -> DoctorCheck:
    """Raises Unavailable when messages do not come through."""
    return DoctorCheck(check="broker", ok=True, detail=await state.broker.check())


async def store(state: State) -> DoctorCheck:
    key, data = f"uploads/doctor-{uuid.uuid4().hex}", uuid.uuid4().bytes
    began = time.perf_counter()
    try:
        await state.store.put(key, data)
        read = await state.store.get(key)
    finally:
        await state.store.delete(key)
    gone = await state.store.size(key) is None
    milliseconds = (time.perf_counter() - began) * 1e3
    free = await state.store.free_bytes()
    ok = read == data and gone
    room = "" if free is None else f", {_gigabytes(free)} free"
    return DoctorCheck(
        check="store",
        ok=ok,
        detail=f"written, read and deleted in {milliseconds:.1f} ms{room}"
        if ok
        else "what was read or deleted is not what was written",
        advice=None if ok else "Check the disk, and that nothing else writes to the store.",
    )


async def disk(state: State) -> DoctorCheck:
    wanted = state.settings.free_bytes_wanted
    known = await rooms(state.store, state.settings.data_dir)
    short = [place for place, free in known.items() if free < wanted]
    return DoctorCheck(
        check="disk",
        ok=not short,
        detail=", ".join(f"{place}: {_gigabytes(free)} free" for place, free in known.items())
        or "the store knows no bound",
        advice=f"Make room for the {' and the '.join(short)}: at {_gigabytes(wanted)} it is time."
        if short
        else None,
    )


async def clock(state: State) -> DoctorCheck:
    before = datetime.now(UTC)
    there = await state.pool.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    apart = abs((there - (before + (after - before) / 2)).total_seconds())
    ok = apart < _CLOCK_SECONDS
    return DoctorCheck(
        check="clock",
        ok=ok,
        detail=f"{after.isoformat(timespec='seconds')}, {apart * 1e3:.0f} ms from Postgres",
        advice=None if ok else "Run a time service (NTP) on every machine.",
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def _gigabytes(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
