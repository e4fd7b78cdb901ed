"""The whole embedded run: PostgreSQL and the five real services, killed and brought back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from kinsight.errors import AlreadyRunning, StartFailed
from kinsight.local.folder import read_run, run_file
from kinsight.local.instance import Instance, UpOptions, running
from kinsight.local.marks import marked
from kinsight.local.services import URL_VARIABLES
from kinsight.local.waiting import alive

pytestmark = pytest.mark.slow  # five services take some seconds to start


@pytest.fixture(scope="module")
async def instance(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Instance]:
    folder = tmp_path_factory.mktemp("instance")
    async with running(UpOptions(data_dir=folder, port=0)) as made:
        yield made
    assert marked(made.id) == []
    assert not run_file(folder).exists()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not so within the time allowed"
        await asyncio.sleep(0.05)


async def status(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


async def test_every_service_is_ready_on_a_port_of_its_own(instance: Instance) -> None:
    assert set(instance.ports) == set(URL_VARIABLES) == set(instance.pids)
    assert len(set(instance.ports.values())) == len(URL_VARIABLES)
    for port in instance.ports.values():
        assert await status(f"http://127.0.0.1:{port}/readyz") == 200
    assert await status(f"{instance.url}/readyz") == 200


async def test_other_commands_find_the_instance(instance: Instance) -> None:
    record = read_run(instance.data_dir)
    assert record is not None
    assert (record.url, record.ports, record.pids) == (instance.url, instance.ports, instance.pids)
    assert (record.supervisor_pid, record.postgres_pid) == (os.getpid(), instance.postgres_pid)
    assert run_file(instance.data_dir).stat().st_mode & 0o077 == 0


async def test_a_second_one_on_the_same_folder_is_refused(instance: Instance) -> None:
    with pytest.raises(AlreadyRunning, match="--data-dir"):
        async with running(UpOptions(data_dir=instance.data_dir, port=0)):
            pass
    assert await status(f"{instance.url}/readyz") == 200


async def test_a_port_in_use_is_refused(instance: Instance, tmp_path: Path) -> None:
    port = instance.ports["gateway"]
    with pytest.raises(StartFailed, match=f"Port {port} cannot be used"):
        async with running(UpOptions(data_dir=tmp_path, port=port)):
            pass


@pytest.mark.parametrize("name", list(URL_VARIABLES))
async def test_a_killed_service_comes_back(instance: Instance, name: str) -> None:
    before = instance.pids
    os.kill(before[name], signal.SIGKILL)
    await until(lambda: instance.pids.get(name, before[name]) != before[name])
    await instance.until_ready()
    after = instance.pids
    assert {other: pid for other, pid in after.items() if other != name} == {
        other: pid for other, pid in before.items() if other != name
    }
    record = read_run(instance.data_dir)
    assert record is not None and record.pids == after


async def test_a_killed_postgres_comes_back_and_the_services_find_it(instance: Instance) -> None:
    before, services = instance.postgres_pid, instance.pids
    assert before is not None
    os.kill(before, signal.SIGKILL)
    await until(lambda: instance.postgres_pid not in (None, before))
    await instance.until_ready()
    assert instance.pids == services
    connection = await asyncpg.connect(instance.database_url)
    assert await connection.fetchval("SELECT count(*) FROM schema_migrations") > 0
    await connection.close()


UP = """
import asyncio, pathlib, sys
from kinsight.local.instance import UpOptions, run_up

async def ready(instance):
    print("ready", flush=True)

asyncio.run(run_up(UpOptions(data_dir=pathlib.Path(sys.argv[1]), port=0), ready))
print("stopped", flush=True)
"""


def up(folder: Path) -> subprocess.Popen[str]:
    """`run_up` in a process of its own, ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", UP, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def processes(folder: Path) -> tuple[str, list[int]]:
    record = json.loads(run_file(folder).read_text())
    return record["instance"], [record["postgres_pid"], *record["pids"].values()]


async def test_signals_stop_everything_and_kill_9_leaves_nothing(tmp_path: Path) -> None:
    process = up(tmp_path)
    instance, pids = processes(tmp_path)
    assert len(pids) == 6 and all(alive(pid) for pid in pids)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "stopped\n")
    assert not any(alive(pid) for pid in pids) and marked(instance) == []

    began = time.monotonic()
    process = up(tmp_path)
    assert time.monotonic() - began < 20  # half of that on an idle machine
    instance, pids = processes(tmp_path)
    process.kill()
    process.communicate()
    # At once again, while the guardian is still clearing away.
    process = up(tmp_path)
    assert not any(alive(pid) for pid in pids) and marked(instance) == []
    instance, pids = processes(tmp_path)
    process.kill()
    process.communicate()
    await until(lambda: not any(alive(pid) for pid in pids) and not marked(instance))
