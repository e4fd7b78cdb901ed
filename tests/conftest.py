"""Fixtures every test may ask for: the real data, a real PostgreSQL, a fresh migrated database."""

from __future__ import annotations

import os
import re
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

if TYPE_CHECKING:
    from rabbitmq_node import RabbitNode

# Read when torch loads: threads that spin while they wait starve each other on shared cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

TEMPLATE = "kinsight_template"

# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def missing(reason: str) -> NoReturn:
    """Skip the test for want of something real; in CI, where it must be there, fail instead."""
    if os.environ.get("KINSIGHT_CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data sets that KINSIGHT_TEST_DATA names."""
    value = os.environ.get("KINSIGHT_TEST_DATA")
    if not value:
        missing("KINSIGHT_TEST_DATA is not set: it names the folder with the real data sets")
    folder = Path(value)
    if not folder.is_dir():
        missing(f"KINSIGHT_TEST_DATA names {value}, which is not a folder")
    return folder


@pytest.fixture(scope="session")
async def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of one embedded PostgreSQL for the whole session (database `kinsight`, empty)."""
    from kinsight.local.postgres import EmbeddedPostgres

    # Nothing in this cluster outlives the session, so it need not reach the disk.
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), settings={"fsync": "off"})
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


@pytest.fixture(scope="session")
async def _template(postgres_url: str) -> str:
    from kinsight.database import open_pool
    from kinsight.database.migrate import migrate

    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(f'CREATE DATABASE "{TEMPLATE}"')
    finally:
        await connection.close()
    pool = await open_pool(_with_database(postgres_url, TEMPLATE), size=1)
    try:
        await migrate(pool)
    finally:
        await pool.close()
    return TEMPLATE


@pytest.fixture
async def database_url(
    postgres_url: str, _template: str, request: pytest.FixtureRequest
) -> AsyncIterator[str]:
    """The URL of a freshly migrated database of this test's own, dropped afterwards."""
    slug = re.sub(r"[^a-z0-9]+", "_", request.node.name.lower())[:30].strip("_")
    name = f"{slug}_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{_template}"')
        yield _with_database(postgres_url, name)
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RabbitNode]:
    """One RabbitMQ for the whole session. A test that kills it starts it again."""
    from rabbitmq_node import RabbitNode, program

    if program("rabbitmq-server") is None:
        missing("RabbitMQ is not installed; on Debian and Ubuntu: apt install rabbitmq-server")
    node = RabbitNode(tmp_path_factory.mktemp("rabbitmq"))
    try:
        await node.start()
        yield node
    finally:
        await node.close()


def _with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
