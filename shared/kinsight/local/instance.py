"""A whole Kinsight on one machine: PostgreSQL and the five services under one supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kinsight.database import open_pool
from kinsight.database.migrate import migrate
from kinsight.errors import StartFailed
from kinsight.local.folder import RunRecord, default_data_dir, make_data_dir, read_run, run_file
from kinsight.local.guardian import SERVICE_SECONDS, Guardian
from kinsight.local.lock import FolderLock
from kinsight.local.logs import LogFile
from kinsight.local.marks import clear_marked
from kinsight.local.ports import consecutive_ports, free_ports
from kinsight.local.postgres import EmbeddedPostgres
from kinsight.local.service import Service
from kinsight.local.services import GATEWAY, URL_VARIABLES, programs, reachable
from kinsight.local.supervisor import Supervisor

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpOptions:
    """How to run: `port` 0 takes any free ports, else the gateway's and the four after it."""

    data_dir: Path | None = None  # None: KINSIGHT_DATA_DIR, or the platform's place
    host: str = "127.0.0.1"  # of the gateway; the other services are on loopback always
    port: int = 8000
    environment: Mapping[str, str] = field(default_factory=dict)  # for the services, on top
    ready_seconds: float = 120.0
    stop_seconds: float = 15.0


class Instance:
    """A running Kinsight."""

    def __init__(
        self,
        data_dir: Path,
        host: str,
        ports: Mapping[str, int],
        hurry: asyncio.Event | None = None,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.data_dir = data_dir
        self.host = host
        self.ports = dict(ports)
        self.postgres = EmbeddedPostgres(data_dir)
        self.started_at = datetime.now(UTC)
        self.log = LogFile(data_dir / "logs" / "supervisor.log")
        self.guardian = Guardian(self.id, self.log)
        self.supervisor = Supervisor(self._changed, hurry)
        self.services: dict[str, Service] = {}

    @property
    def url(self) -> str:
        """The gateway's address on this machine."""
        return f"http://{reachable(self.host)}:{self.ports[GATEWAY]}"

    @property
    def database_url(self) -> str:
        return self.postgres.url

    @property
    def store_url(self) -> str:
        return (self.data_dir / "store").as_uri()

    @property
    def pids(self) -> dict[str, int]:
        """The services' process ids now; one that is being restarted is missing."""
        return {name: pid for name, pid in self.supervisor.pids.items() if name in self.ports}

    @property
    def postgres_pid(self) -> int | None:
        """PostgreSQL's process id now, None while it is being restarted."""
        return self.postgres.pid

    @property
    def logs(self) -> Path:
        """The folder with one log file per process."""
        return self.log.path.parent

    async def until_ready(self, seconds: float = 60.0) -> None:
        """Returns once every service can do its work, also after some were started again.

        Raises StartFailed, which says which cannot and quotes their logs, when time is up.
        """
        await self.supervisor.until_ready(list(self.services.values()), seconds)

    def _changed(self) -> None:
        """Tells the guardian and other commands which processes there are now."""
        if self.postgres_pid is not None:
            self.guardian.watch(self.postgres_pid, "postgres")
        RunRecord(
            instance=self.id,
            supervisor_pid=os.getpid(),
            url=self.url,
            ports=self.ports,
            pids=self.pids,
            postgres_pid=self.postgres_pid,
            database_url=self.database_url,
            store_url=self.store_url,
            started_at=self.started_at.isoformat(),
        ).write(self.data_dir)


@contextlib.asynccontextmanager
async def running(
    options: UpOptions, hurry: asyncio.Event | None = None
) -> AsyncIterator[Instance]:
    """A Kinsight that is ready to be used, and gone without a trace of a process at the end.

    What dies in between is started again; once `hurry` is set, the end does not wait for anybody.
    Raises StartFailed with what to do when it cannot be started, AlreadyRunning when one runs on
    this folder.
    """
    _check_host(options)
    data_dir = (options.data_dir or default_data_dir()).expanduser().resolve()
    make_data_dir(data_dir)
    lock = FolderLock(data_dir / "kinsight.lock")
    lock.acquire()
    try:
        if (earlier := read_run(data_dir)) is not None:
            # Of a supervisor that was killed; its guardian is ending its services just now.
            await clear_marked(earlier.instance, patience=2 * SERVICE_SECONDS)
        instance = Instance(data_dir, options.host, _ports(options), hurry)
        with _logging_to(instance.log):
            try:
                await _start(instance, options)
                yield instance
            finally:
                await instance.supervisor.stop()
                run_file(data_dir).unlink(missing_ok=True)
    finally:
        lock.release()


async def run_up(
    options: UpOptions, on_ready: Callable[[Instance], Awaitable[None]] | None = None
) -> None:
    """Runs Kinsight until SIGINT, SIGTERM or SIGHUP, then stops it and returns.

    `on_ready` is awaited once everything is ready; a signal cancels it, and what it raises stops
    Kinsight and is raised here. A second signal stops without patience. Call it from the main
    thread.
    """
    loop = asyncio.get_running_loop()
    hurry = asyncio.Event()
    work = asyncio.create_task(_serve(options, on_ready, hurry))
    asked = False

    def stop(number: signal.Signals) -> None:
        nonlocal asked
        _log.info("Stopping on %s", number.name)
        if asked:
            hurry.set()
        else:
            asked = True
            work.cancel()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        await work
    except asyncio.CancelledError:
        if not asked:  # cancelled by the caller, not by a signal
            raise
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _serve(
    options: UpOptions,
    on_ready: Callable[[Instance], Awaitable[None]] | None,
    hurry: asyncio.Event,
) -> None:
    async with running(options, hurry) as instance:
        if on_ready is not None:
            await on_ready(instance)
        await instance.supervisor.forever()


async def _start(instance: Instance, options: UpOptions) -> None:
    await instance.supervisor.add({"guardian": instance.guardian})
    await instance.supervisor.add({"postgres": instance.postgres})
    pool = await open_pool(instance.database_url, size=1)
    try:
        await migrate(pool)
    finally:
        await pool.close()
    made = programs(
        instance.ports,
        gateway_host=options.host,
        data_dir=instance.data_dir,
        database_url=instance.database_url,
        store_url=instance.store_url,
        environment=options.environment,
    )
    instance.services = {
        name: Service(
            program,
            logs=instance.logs,
            guardian=instance.guardian,
            stop_seconds=options.stop_seconds,
        )
        for name, program in made.items()
    }
    # The gateway is a stage of its own, so that it is the first to stop and no new request meets
    # a half-stopped system.
    inner = {name: one for name, one in instance.services.items() if name != GATEWAY}
    await instance.supervisor.add(dict(inner))
    await instance.supervisor.add({GATEWAY: instance.services[GATEWAY]})
    await instance.until_ready(options.ready_seconds)
    _log.info("Ready at %s, data in %s", instance.url, instance.data_dir)


def _ports(options: UpOptions) -> dict[str, int]:
    names = list(URL_VARIABLES)
    if options.port == 0:
        ports = free_ports(len(names), host=options.host)
    else:
        ports = consecutive_ports(options.port, len(names), host=options.host)
    return dict(zip(names, ports, strict=True))


def _check_host(options: UpOptions) -> None:
    keys = options.environment.get("KINSIGHT_API_KEYS", os.environ.get("KINSIGHT_API_KEYS", ""))
    if _is_loopback(options.host) or keys.strip(" ,"):
        return
    raise StartFailed(
        f"--host {options.host} would let other machines in without a key: set KINSIGHT_API_KEYS "
        "to one or more secrets, separated by commas, or leave --host at 127.0.0.1."
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def _logging_to(log: LogFile) -> Iterator[None]:
    """Writes what the embedded run has to say to its log file as well."""
    os.close(log.open())  # made readable by its owner only
    handler = logging.FileHandler(log.path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("kinsight.local")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
