"""What the services say while RabbitMQ refuses them: searches go on, jobs too, and it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import admin.app
import indexer.app
import trainer.app
from integration.serving import System, eventually, system
from kinsight.clients.admin import AdminClient
from kinsight.contracts.jobs import JobKind
from kinsight.contracts.libraries import LibraryCreate
from kinsight.errors import Unavailable
from rabbitmq_node import RabbitNode

VHOST = "health"


@pytest.fixture
async def refused(rabbitmq: RabbitNode, database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """Admin and indexer, whose virtual host is not there."""
    async with system(
        database_url, tmp_path, free_bytes_wanted=1, broker_url=rabbitmq.url(VHOST)
    ) as running:
        await running.start("admin", admin.app.create_app)
        await running.start("indexer", indexer.app.create_app)
        yield running


async def test_services_tell_of_rabbitmq_and_recover(refused: System, rabbitmq: RabbitNode) -> None:
    async def told(service: str) -> bool:
        answer = await refused.client(service).json("GET", "/readyz")
        return any(f"virtual host '{VHOST}'" in text for text in answer.get("warnings", []))

    for service in ("admin", "indexer"):
        await eventually(lambda service=service: told(service))
    with pytest.raises(TimeoutError):  # it serves jobs alone: not ready
        await refused.start("trainer", trainer.app.create_app, 3)
    with pytest.raises(Unavailable, match=f"virtual host '{VHOST}'"):
        await refused.client("trainer").json("GET", "/readyz")

    doctor = AdminClient(refused.client("admin"))
    check = {check.check: check for check in (await doctor.doctor()).checks}["broker"]
    assert not check.ok
    assert f"virtual host '{VHOST}'" in check.detail
    assert check.advice is not None and "Searches are not affected" in check.advice

    await refused.indexer.create_library(LibraryCreate(name="shop"))
    job = await refused.rows.submit(JobKind.TRAIN, {"library": "shop"}, library="shop")
    assert (await refused.ended(job)).error, "a worker took it, and found no images to train on"

    await rabbitmq.add_vhosts(VHOST)

    async def recovered() -> bool:
        answer = await refused.client("trainer").json("GET", "/readyz")
        return "warnings" not in answer

    async def trainer_ready() -> bool:
        try:
            return await recovered()
        except Unavailable:
            return False

    await eventually(trainer_ready)

    async def doctor_is_content() -> bool:
        checks = {check.check: check for check in (await doctor.doctor()).checks}
        return checks["broker"].ok

    await eventually(doctor_is_content, 30)
    for service in ("admin", "indexer"):
        assert "warnings" not in await refused.client(service).json("GET", "/readyz")
