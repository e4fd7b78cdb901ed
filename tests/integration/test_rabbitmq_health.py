"""What the services say while RabbitMQ refuses them: searches go on, jobs too, and it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

import admin.app
import indexer.app
import trainer.app
from integration.serving import System, eventually, system
from kinsight.clients.admin import AdminClient
from kinsight.contracts.admin import DoctorCheck
from kinsight.contracts.jobs import JobKind, JobState
from kinsight.errors import Unavailable
from rabbitmq_node import RabbitNode

VHOST = "health"


@pytest.fixture
async def refused(rabbitmq: RabbitNode, database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """Services whose virtual host is not there."""
    async with system(
        database_url, tmp_path, free_bytes_wanted=1, broker_url=rabbitmq.url(VHOST)
    ) as running:
        await running.start("admin", admin.app.create_app)
        await running.start("indexer", indexer.app.create_app)
        await running.start("trainer", trainer.app.create_app)
        yield running


async def test_services_tell_of_rabbitmq_and_recover(refused: System, rabbitmq: RabbitNode) -> None:
    reason = f"virtual host '{VHOST}'"
    for service in ("admin", "indexer", "trainer"):  # ready: they work all the same
        await eventually(lambda service=service: warned(refused, service, reason))
    check = await broker_check(refused)
    assert not check.ok
    assert reason in check.detail
    assert check.advice is not None and "Searches are not affected" in check.advice

    job = await refused.rows.submit(JobKind.TRAIN, {}, library="shop")
    assert (await refused.ended(job)).state is JobState.FAILED, "a worker took this empty request"

    await rabbitmq.add_vhosts(VHOST)
    for service in ("admin", "indexer", "trainer"):
        await eventually(lambda service=service: content(refused, service))
    assert (await broker_check(refused)).ok


async def warned(running: System, service: str, reason: str) -> bool:
    answer = await running.client(service).json("GET", "/readyz")
    assert answer["status"] == "ready"
    return any(reason in warning for warning in answer.get("warnings", []))


async def content(running: System, service: str) -> bool:
    with suppress(Unavailable):
        return await running.client(service).json("GET", "/readyz") == {"status": "ready"}
    return False


async def broker_check(running: System) -> DoctorCheck:
    report = await AdminClient(running.client("admin")).doctor()
    (check,) = [check for check in report.checks if check.check == "broker"]
    return check
