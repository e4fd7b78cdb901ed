"""PostgreSQL with pgvector as a child process: started, watched over and stopped by Kinsight."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

import asyncpg

from kinsight.errors import StartFailed
from kinsight.local import launch
from kinsight.local.account import Account, choose_account, present_name
from kinsight.local.cluster import DATABASE, ROLE, Cluster
from kinsight.local.install import Install, find_install
from kinsight.local.lock import FolderLock
from kinsight.local.logs import LogFile
from kinsight.local.orphans import clear_away
from kinsight.local.waiting import ended

# Raised while the server starts, recovers or shuts down; asyncpg lets OSError through.
_NOT_YET = (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError)
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


class EmbeddedPostgres:
    """One PostgreSQL in `data_dir/postgres`, reached through a socket that only its user may open.

    `port` opens loopback TCP as well, with a random password (`tcp_url`). `settings` are further
    PostgreSQL settings. Start it from a thread that lives as long as the server is to: on Linux
    the kernel stops the server when that thread ends, however it ends.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        start_seconds: float = 120.0,
    ) -> None:
        self.cluster = Cluster(data_dir.resolve(), port, settings or {})
        self.log = LogFile(self.cluster.data_dir / "logs" / "postgres.log")
        self.start_seconds = start_seconds
        self.process: subprocess.Popen[bytes] | None = None
        self._owner = FolderLock(self.cluster.data_dir / "postgres.lock")
        self._changing = asyncio.Lock()

    @property
    def url(self) -> str:
        """For asyncpg: database `kinsight` through the socket."""
        place = urlencode({"host": self.cluster.socket, "port": self.cluster.socket_port})
        return f"postgresql://{ROLE}@/{DATABASE}?{place}"

    @property
    def tcp_url(self) -> str:
        """The same database over loopback TCP, for programs that cannot use the socket."""
        if self.cluster.port is None:
            raise StartFailed("This PostgreSQL has no TCP port; it was started without one.")
        password = quote(self.cluster.password(), safe="")
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self.cluster.port}/{DATABASE}"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, None while it does not run."""
        return self.process.pid if self.process and self.process.poll() is None else None

    async def start(self) -> None:
        """Starts the server, making the database on first use; does nothing while it runs.

        Ends what a killed owner left behind, and recovers from a killed server. Raises StartFailed
        with what to do, AlreadyRunning when another process runs this folder.
        """
        async with self._changing:
            if self.pid is not None:
                return
            account = choose_account(self.cluster.folder)
            self.cluster.prepare(account)
            self._owner.acquire()
            try:
                await self._start(account)
            except BaseException:
                await self._stop()
                raise

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        """Stops the server: clients are disconnected and what they committed is on disk.

        Once `hurry` is set the shutdown is immediate; the next start recovers from it.
        """
        async with self._changing:
            await self._stop(hurry)

    async def wait(self) -> int:
        """Returns the exit status once the server has ended, for whatever reason."""
        return (await ended(self.process) if self.process else 0) or 0

    async def _start(self, account: Account) -> None:
        await clear_away(self.cluster)
        install = find_install(self.cluster.major)
        if self.cluster.major is None:
            await self._make_cluster(install, account)
        self.cluster.write_configuration(account, present_name())
        self.log.rotate_if_large()
        written = self.log.size()
        self.process = self._launch(
            install,
            account,
            self.cluster.program(install),
            death_signal=signal.SIGINT,  # a fast shutdown
        )
        await self._until_ready(self.process, written)

    def _launch(
        self,
        install: Install,
        account: Account,
        program: Sequence[str],
        *,
        death_signal: int,
    ) -> subprocess.Popen[bytes]:
        reach = [*install.reach, str(self.cluster.folder), str(self.cluster.socket)]
        inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        log = self.log.open()
        try:
            return subprocess.Popen(
                launch.command(program, death_signal=death_signal, user=account.user, reach=reach),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**inherited, "LC_ALL": "C"},
                cwd="/",
                start_new_session=True,  # Ctrl-C at the terminal is for Kinsight alone
            )
        finally:
            os.close(log)

    async def _make_cluster(self, install: Install, account: Account) -> None:
        written = self.log.size()
        half_made = self.cluster.half_made
        shutil.rmtree(half_made, ignore_errors=True)  # of an attempt that was killed
        maker = self.cluster.maker(install)
        process = self._launch(install, account, maker, death_signal=signal.SIGKILL)
        try:
            status = await ended(process, self.start_seconds)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if status != 0:
            raise self._failure("The database could not be made", status, written)
        half_made.rename(self.cluster.data)
        _make_durable(self.cluster.folder)

    async def _until_ready(self, process: subprocess.Popen[bytes], written: int) -> None:
        deadline = time.monotonic() + self.start_seconds
        while True:
            status = process.poll()
            if status is not None:
                raise self._failure("PostgreSQL ended at once", status, written)
            try:
                await self._make_database()
                return
            except _NOT_YET as error:
                if time.monotonic() > deadline:
                    raise self._failure(
                        f"PostgreSQL does not answer after {self.start_seconds:.0f} s ({error})",
                        None,
                        written,
                    ) from error
            await asyncio.sleep(0.02)

    async def _make_database(self) -> None:
        connection = await asyncpg.connect(self.url, database="postgres", timeout=10)
        try:
            known = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
            if not await connection.fetchval(known, DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
            if self.cluster.port is not None:
                statement = await connection.fetchval(
                    "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)",
                    ROLE,
                    self.cluster.password(),
                )
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _stop(self, hurry: asyncio.Event | None = None) -> None:
        process = self.process
        if process is not None:
            # Fast, then immediate shutdown: the latter loses nothing but takes recovery later.
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                await ended(process, 30.0, hurry)
            if process.poll() is None:
                process.send_signal(signal.SIGQUIT)
                await ended(process, 5.0)
            if process.poll() is None:
                process.kill()
                process.wait()
            self.process = None
        self.cluster.tidy()
        self._owner.release()

    def _failure(self, what: str, status: int | None, written: int) -> StartFailed:
        lines = self.log.tail(8, since=written)
        if status == launch.REFUSED and lines:
            return StartFailed(lines[-1].removeprefix("launch: "))
        code = f" (exit status {status})" if status is not None else ""
        said = "\n  ".join(["", *lines]) if lines else " nothing."
        return StartFailed(f"{what}{code}. Its log, {self.log.path}, says:{said}")


def _make_durable(folder: Path) -> None:
    """A rename is on disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
