"""The embedded PostgreSQL, with real processes that are really killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from kinsight.errors import AlreadyRunning, StartFailed
from kinsight.local.install import find_install
from kinsight.local.orphans import processes_of
from kinsight.local.ports import free_ports
from kinsight.local.postgres import EmbeddedPostgres
from kinsight.local.waiting import alive

ROOT = os.geteuid() == 0
Make = Callable[..., EmbeddedPostgres]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Makes servers that are stopped at the end of the test."""
    made: list[EmbeddedPostgres] = []

    def one(folder: Path = tmp_path / "data", port: int | None = None) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(folder, port))
        return made[-1]

    yield one
    for server in made:
        await server.stop()


@pytest.fixture(scope="module")
def made_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database in it, to be copied: making one takes most of a second."""
    folder = tmp_path_factory.mktemp("made")

    async def fill() -> None:
        server = EmbeddedPostgres(folder)
        await server.start()
        await execute(server, "CREATE TABLE kept (value int); INSERT INTO kept VALUES (1)")
        await server.stop()

    asyncio.run(fill())
    return folder


@pytest.fixture
def data(made_data: Path, tmp_path: Path) -> Path:
    return copy(made_data, tmp_path / "data")


def copy(source: Path, target: Path) -> Path:
    """A copy with owners and modes."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


def sleeper(user: int, group: int) -> subprocess.Popen[bytes]:
    become = {"user": user, "group": group} if ROOT else {}
    return subprocess.Popen(["sleep", "60"], **become)


def owner_process(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that runs a server on this folder, and the server's process id."""
    script = (
        "import asyncio, pathlib, sys\n"
        "from kinsight.local.postgres import EmbeddedPostgres\n"
        "async def main():\n"
        "    server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))\n"
        "    await server.start()\n"
        "    print(server.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def connect_as(uid: int, socket: Path) -> int:
    """The exit status of psql when this user tries the socket."""
    psql = str(find_install().bin / "psql")
    arguments = ["-h", str(socket), "-U", "kinsight", "-c", "SELECT 1", "kinsight"]
    return subprocess.run([psql, *arguments], user=uid, cwd="/", capture_output=True).returncode


async def execute(server: EmbeddedPostgres, statements: str) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def kept(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        return [row["value"] for row in await connection.fetch("SELECT value FROM kept ORDER BY 1")]
    finally:
        await connection.close()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not so within the time allowed"
        await asyncio.sleep(0.02)


async def test_first_start_makes_a_database_with_the_promised_settings(make: Make) -> None:
    server = make()
    assert server.pid is None
    await server.start()
    connection = await asyncpg.connect(server.url)
    shown = {
        name: await connection.fetchval(f"SHOW {name}")
        for name in ("data_checksums", "fsync", "synchronous_commit", "jit", "listen_addresses")
    }
    await connection.execute("CREATE EXTENSION vector")
    distance = await connection.fetchval("SELECT '[0,0]'::vector <-> '[3,4]'::vector")
    version = await connection.fetchval("SHOW server_version_num")
    encoding = await connection.fetchval("SHOW server_encoding")
    await connection.close()
    assert shown == {
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
        "jit": "off",
        "listen_addresses": "",
    }
    assert distance == 5.0
    assert int(version) >= 180_000
    assert encoding == "UTF8"
    pid = server.pid
    await server.start()  # a second time changes nothing
    assert server.pid == pid


async def test_stop_leaves_no_process_and_start_finds_the_data(make: Make, data: Path) -> None:
    server = make(data)
    await server.start()
    await execute(server, "INSERT INTO kept VALUES (2)")
    connection = await asyncpg.connect(server.url)  # an open client does not hold the stop up
    await server.stop()
    assert server.pid is None and processes_of(server.cluster) == []
    await server.start()
    assert await kept(server.url) == [1, 2]
    connection.terminate()


async def test_committed_rows_survive_kill_9_of_the_postmaster(make: Make, data: Path) -> None:
    server = make(data)
    await server.start()
    for value in range(2, 5):
        await execute(server, f"INSERT INTO kept VALUES ({value})")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        assert await server.wait() == -signal.SIGKILL
        await server.start()
        assert await kept(server.url) == list(range(1, value + 1))


@pytest.mark.slow
async def test_a_busy_orphan_of_a_killed_postmaster_is_ended_first(make: Make, data: Path) -> None:
    server = make(data)
    await server.start()
    connection = await asyncpg.connect(server.url)
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    # Computes without ever waiting, so that it does not notice the postmaster's end.
    query = asyncio.create_task(
        connection.execute("DO $$ BEGIN FOR i IN 1..1000000000 LOOP PERFORM i; END LOOP; END $$")
    )
    await until(lambda: psutil.Process(backend).cpu_times().user > 0.05)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    assert alive(backend)
    await server.start()
    assert not alive(backend)
    assert await kept(server.url) == [1]
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await query


async def test_it_starts_after_kill_9_of_every_process(make: Make, data: Path) -> None:
    server = make(data)
    await server.start()
    await execute(server, "INSERT INTO kept VALUES (2)")
    for process in processes_of(server.cluster):
        process.kill()
    await server.wait()
    await server.start()
    assert await kept(server.url) == [1, 2]


async def test_lock_files_naming_a_living_stranger_do_not_keep_it_from_starting(
    make: Make, data: Path
) -> None:
    server = make(data)
    owner = server.cluster.folder.stat()
    # A process of the server's own user: PostgreSQL would believe the file.
    stranger = sleeper(owner.st_uid, owner.st_gid)
    try:
        stale = server.cluster.data / "postmaster.pid"
        stale.write_text(f"{stranger.pid}\n{server.cluster.data}\n1\n5432\n\n\n0 0\n")
        os.chown(stale, owner.st_uid, owner.st_gid)
        await server.start()
        assert await kept(server.url) == [1]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_half_a_database_is_made_anew(make: Make, data: Path) -> None:
    server = make(data)
    server.cluster.data.rename(server.cluster.half_made)
    (server.cluster.half_made / "PG_VERSION").unlink()
    await server.start()
    assert server.pid is not None
    assert server.cluster.major is not None and not server.cluster.half_made.exists()


async def test_two_servers_run_side_by_side(make: Make, data: Path, tmp_path: Path) -> None:
    first, second = make(data), make(copy(data, tmp_path / "other"))
    await asyncio.gather(first.start(), second.start())
    await execute(second, "INSERT INTO kept VALUES (7)")
    assert (await kept(first.url), await kept(second.url)) == ([1], [1, 7])
    await first.stop()
    assert await kept(second.url) == [1, 7]


async def test_one_folder_has_one_server(make: Make, data: Path) -> None:
    first, second = make(data), make(data)
    await first.start()
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
        await second.start()
    assert await kept(first.url) == [1]


async def test_it_dies_with_its_owner(make: Make, data: Path) -> None:
    owner, pid = owner_process(data)
    owner.kill()
    owner.wait()
    server = make(data)
    await server.start()  # at once: it waits for what is still ending
    assert not alive(pid)
    assert await kept(server.url) == [1]
    await server.stop()
    assert processes_of(server.cluster) == []


async def test_a_long_data_folder_does_not_break_the_socket(
    make: Make, data: Path, tmp_path: Path
) -> None:
    long = tmp_path / ("long" * 30)
    data.rename(long)
    server = make(long)
    await server.start()
    assert await kept(server.url) == [1]
    assert server.cluster.socket.stat().st_mode & 0o777 == 0o700
    await server.stop()
    assert not server.cluster.socket.exists()


async def test_nobody_else_can_open_the_socket(make: Make, data: Path) -> None:
    server = make(data)
    await server.start()
    socket = server.cluster.socket / ".s.PGSQL.5432"
    assert server.cluster.socket.stat().st_mode & 0o077 == 0
    assert socket.stat().st_mode & 0o077 == 0
    if ROOT:  # even the server's own user is not let in: only the one who started it
        assert connect_as(server.cluster.folder.stat().st_uid, server.cluster.socket) != 0
        assert connect_as(0, server.cluster.socket) == 0


async def test_tcp_needs_the_password(make: Make, data: Path) -> None:
    server = make(data, free_ports(1)[0])
    await server.start()
    assert await kept(server.tcp_url) == [1]
    assert server.cluster.password_file.stat().st_mode & 0o077 == 0
    for password in ("wrong", ""):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(
                host="127.0.0.1",
                port=server.cluster.port,
                user="kinsight",
                database="kinsight",
                password=password,
            )
    with pytest.raises(StartFailed, match="no TCP port"):
        _ = make().tcp_url


async def test_a_setting_that_does_not_exist_is_named(data: Path) -> None:
    server = EmbeddedPostgres(data, settings={"no_such_setting": "1"})
    with pytest.raises(StartFailed, match="no_such_setting"):
        await server.start()
    assert server.pid is None
    assert processes_of(server.cluster) == []


@pytest.mark.skipif(not ROOT, reason="only root changes the user")
async def test_root_runs_it_as_another_user_and_leaves_the_parents_alone(
    make: Make, tmp_path: Path
) -> None:
    parent = tmp_path / "private"
    parent.mkdir(mode=0o700)
    server = make(parent / "data")
    await server.start()
    uids = {process.uids().real for process in processes_of(server.cluster)}
    assert 0 not in uids and len(uids) == 1
    for folder in (tmp_path, parent):
        assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o700, 0)
    assert server.cluster.data_dir.stat().st_uid == 0
    assert server.cluster.folder.stat().st_uid in uids


@pytest.mark.skipif(not ROOT, reason="only root changes the user")
@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
@pytest.mark.parametrize("mode", [0o700, 0o755])
async def test_the_server_gets_no_right_it_does_not_need(
    make: Make, made_data: Path, mode: int
) -> None:
    everybody = all(place.stat().st_mode & 0o001 for place in find_install().bin.resolve().parents)
    parent = Path("/var/tmp") / f"kinsight-test-{os.getpid()}"
    parent.mkdir()
    try:
        parent.chmod(mode)
        server = make(copy(made_data, parent / "data"))
        server.cluster.data_dir.chmod(0o711)
        await server.start()
        lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
        held = {line.split()[0]: int(line.split()[1], 16) for line in lines if "Cap" in line}
        dac_read_search = 1 << 2
        assert held["CapEff:"] == (0 if everybody and mode == 0o755 else dac_read_search)
        assert held["CapPrm:"] == held["CapEff:"]
        assert await kept(server.url) == [1]
        await server.stop()
    finally:
        shutil.rmtree(parent)


@pytest.mark.skipif(not ROOT, reason="only root changes the user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs util-linux's setpriv")
@pytest.mark.parametrize("missing", ["-dac_read_search", "-dac_override,-dac_read_search"])
def test_root_without_every_right_starts_it_or_says_what_to_do(
    data: Path, tmp_path: Path, missing: str
) -> None:
    tmp_path.chmod(0o700)
    script = (
        "import asyncio, pathlib, sys\n"
        "from kinsight.local.postgres import EmbeddedPostgres\n"
        "async def main():\n"
        "    server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))\n"
        "    await server.start()\n"
        "    await server.stop()\n"
        "asyncio.run(main())\n"
    )
    arguments = ["--bounding-set", missing, sys.executable, "-c", script, str(data)]
    run = subprocess.run(["setpriv", *arguments], capture_output=True, text=True, timeout=60)
    if missing == "-dac_read_search":  # the stronger right serves as well
        assert run.returncode == 0, run.stderr
    else:
        assert run.returncode == 1
        assert "StartFailed" in run.stderr and "--data-dir" in run.stderr
