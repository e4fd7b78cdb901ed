"""Supervision, with small real servers that are really killed."""

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
from urllib.request import urlopen

import psutil
import pytest

from kinsight.errors import StartFailed
from kinsight.local.guardian import Guardian
from kinsight.local.logs import LogFile
from kinsight.local.marks import marked
from kinsight.local.ports import free_ports
from kinsight.local.service import Program, Service
from kinsight.local.supervisor import Supervisor
from kinsight.local.waiting import alive

# A server with a child in a session of its own, as a training run might be. Its first argument is
# the port, the others are how it misbehaves.
SERVER = """
import http.server, json, os, signal, subprocess, sys
port, habits = int(sys.argv[1]), sys.argv[2:]
print("serving on", port)
if "crash" in habits:
    sys.exit("the last words of a crash")
if "stubborn" in habits:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = self.path != "/readyz" or "unready" not in habits
        body = {"child": child.pid} if ready else {"detail": "the model is being loaded"}
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Nest:
    """A supervisor with a guardian, and services made of SERVER."""

    def __init__(self, folder: Path, instance: str) -> None:
        self.folder = folder
        self.guardian = Guardian(instance, LogFile(folder / "guardian.log"))
        self.supervisor = Supervisor()
        self.services: dict[str, Service] = {}
        self.ports: dict[str, int] = {}

    async def run(self, *, seconds: float = 20.0, **habits: str) -> None:
        """Starts one service per keyword, which says how it misbehaves, and waits for them."""
        await self.supervisor.add({"guardian": self.guardian})
        for name, port in zip(habits, free_ports(len(habits)), strict=True):
            command = [sys.executable, "-c", SERVER, str(port), *habits[name].split()]
            program = Program(name, command, ready_url=f"http://127.0.0.1:{port}/readyz")
            self.ports[name] = port
            self.services[name] = Service(
                program, logs=self.folder, guardian=self.guardian, stop_seconds=1.0
            )
        await self.supervisor.add(dict(self.services))
        await self.supervisor.until_ready(list(self.services.values()), seconds)

    def child(self, name: str) -> int:
        """The process id of the service's own child."""
        with urlopen(f"http://127.0.0.1:{self.ports[name]}/", timeout=5) as response:
            return int(json.load(response)["child"])


@pytest.fixture
async def nest(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Nest]:
    made = Nest(tmp_path, f"test-{os.getpid()}-{request.node.name}")
    yield made
    await made.supervisor.stop()
    assert marked(made.guardian.instance) == []


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not so within the time allowed"
        await asyncio.sleep(0.02)


async def test_services_come_up_and_go(nest: Nest) -> None:
    await nest.run(one="", two="")
    pids = nest.supervisor.pids
    assert set(pids) == {"guardian", "one", "two"} and all(alive(pid) for pid in pids.values())
    children = [nest.child("one"), nest.child("two")]
    await nest.supervisor.stop()
    assert not any(alive(pid) for pid in [*pids.values(), *children])
    assert nest.supervisor.pids == {}
    assert "serving on" in (nest.folder / "one.log").read_text()


async def test_a_killed_service_comes_back_without_its_old_children(nest: Nest) -> None:
    await nest.run(one="", two="")
    before = nest.supervisor.pids
    for _ in range(3):
        pid, child = nest.supervisor.pids["one"], nest.child("one")
        os.kill(pid, signal.SIGKILL)
        await until(lambda: nest.supervisor.pids.get("one", pid) != pid)  # noqa: B023
        assert not alive(child)
        await nest.supervisor.until_ready(list(nest.services.values()), 10)
    assert nest.supervisor.restarts == {"guardian": 0, "one": 3, "two": 0}
    assert nest.supervisor.pids["two"] == before["two"]


async def test_changes_are_announced(nest: Nest) -> None:
    seen: list[dict[str, int]] = []
    nest.supervisor.changed = lambda: seen.append(nest.supervisor.pids)
    await nest.run(one="")
    pid = nest.supervisor.pids["one"]
    os.kill(pid, signal.SIGTERM)  # an end in good order is an end as well
    await until(lambda: nest.supervisor.pids.get("one", pid) != pid)
    assert seen[-1]["one"] == nest.supervisor.pids["one"]


async def test_a_service_that_never_gets_ready_is_explained(nest: Nest) -> None:
    with pytest.raises(StartFailed) as caught:
        await nest.run(seconds=0.7, fine="", slow="unready")
    assert "Not ready: slow." in caught.value.detail
    assert "the model is being loaded" in caught.value.detail
    assert "serving on" in caught.value.detail
    assert str(nest.folder / "slow.log") in caught.value.detail


async def test_a_service_that_dies_at_once_is_not_waited_for(nest: Nest) -> None:
    began = time.monotonic()
    with pytest.raises(StartFailed, match="the last words of a crash"):
        await nest.run(seconds=60, broken="crash")
    assert time.monotonic() - began < 30


async def test_who_ignores_the_signal_is_killed_after_the_grace(nest: Nest) -> None:
    await nest.run(stubborn="stubborn")
    pid, child = nest.supervisor.pids["stubborn"], nest.child("stubborn")
    began = time.monotonic()
    await nest.supervisor.stop()
    assert 1.0 <= time.monotonic() - began < 5.0
    assert not alive(pid) and not alive(child)


async def test_hurry_ends_the_grace(nest: Nest) -> None:
    await nest.run(stubborn="stubborn")
    nest.services["stubborn"].stop_seconds = 60
    pid = nest.supervisor.pids["stubborn"]
    nest.supervisor.hurry.set()
    began = time.monotonic()
    await nest.supervisor.stop()
    assert time.monotonic() - began < 5.0
    assert not alive(pid)


@pytest.mark.slow
async def test_a_killed_guardian_is_replaced_and_knows_its_charges(nest: Nest) -> None:
    await nest.run(one="stubborn")
    first = nest.guardian.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: nest.guardian.pid not in (None, first))
    child = nest.child("one")
    # Its stop is what a dead supervisor looks like to it: the pipe closes.
    keepers = nest.supervisor.pids
    await nest.guardian.stop()
    assert not alive(child) and not alive(keepers["one"])


SUPERVISOR = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[1])
from test_supervisor import Nest

async def main():
    nest = Nest(pathlib.Path(sys.argv[2]), sys.argv[3])
    await nest.run(one="", stubborn="stubborn")
    pids = [*nest.supervisor.pids.values(), nest.child("one"), nest.child("stubborn")]
    print(*pids, flush=True)
    await nest.supervisor.forever()

asyncio.run(main())
"""


def supervisor_process(folder: Path, instance: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A supervisor in a process of its own, and the process ids of all that it started."""
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, here, str(folder), instance],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, [int(word) for word in process.stdout.readline().split()]


@pytest.mark.slow  # a stubborn service has five seconds to obey
async def test_kill_9_of_the_supervisor_leaves_nothing(tmp_path: Path) -> None:
    instance = f"test-{os.getpid()}-killed"
    process, pids = supervisor_process(tmp_path, instance)
    assert len(pids) == 5 and all(alive(pid) for pid in pids)
    process.kill()
    process.wait()
    await until(lambda: not any(alive(pid) for pid in pids), 15)
    assert marked(instance) == []


async def test_the_kernel_ends_services_even_without_the_guardian(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux signals children when their parent dies")
    process, pids = supervisor_process(tmp_path, f"test-{os.getpid()}-bare")
    guardian, one = pids[:2]
    psutil.Process(process.pid).suspend()  # so that it cannot replace the guardian
    os.kill(guardian, signal.SIGKILL)
    process.kill()
    process.wait()
    await until(lambda: not alive(one))
    for pid in pids[2:]:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
