"""The doctor: every part checked at once, each with what was found and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import asyncpg

from admin import checks_services, checks_storage
from admin.state import State
from kinsight.contracts.admin import DoctorCheck, DoctorReport
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import KinsightError

_SECONDS = 20.0
_DEVICE_SECONDS = 90.0  # it may have to load a model first


async def examine(state: State) -> DoctorReport:
    """Runs every check; one that fails, or hangs, is a line of the report."""
    postgres = "Start Postgres, and check KINSIGHT_DATABASE_URL."
    extractor = "Start the feature-extractor; its log says what it lacks."
    broker = (
        "Check KINSIGHT_BROKER_URL. Searches are not affected, and jobs go on meanwhile, because "
        "workers also look for themselves; they begin up to a second later."
    )
    store = "Check KINSIGHT_STORE_URL, and that the services may write there."
    checks = [
        _line("postgres", checks_storage.postgres(state), postgres),
        _line("schema", checks_storage.schema(state), postgres),
        _line("broker", checks_storage.broker(state), broker),
        _line("store", checks_storage.store(state), store),
        _line("disk", checks_storage.disk(state), store),
        _line("clock", checks_storage.clock(state), postgres),
        *(
            _line(
                name,
                checks_services.ready(service),
                f"Start the {name}, or see its log; KINSIGHT_*_URL says where it is looked for.",
            )
            for name, service in state.services.items()
        ),
        _line("device", checks_services.device(state), extractor, _DEVICE_SECONDS),
        _line("versions", checks_services.versions(state), extractor),
    ]
    lines = await asyncio.gather(*checks)
    return DoctorReport(ok=all(line.ok for line in lines), checks=list(lines))


async def _line(
    name: str, check: Awaitable[DoctorCheck], advice: str, seconds: float = _SECONDS
) -> DoctorCheck:
    try:
        return await asyncio.wait_for(check, seconds)
    except TimeoutError:
        detail = f"no answer in {seconds:.0f} s"
    except KinsightError as error:
        detail = error.detail
    except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
        detail = f"{type(error).__name__}: {error}"
    return DoctorCheck(check=name, ok=False, detail=detail, advice=advice)
