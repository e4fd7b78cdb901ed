"""The files of the embedded PostgreSQL: its folder, its socket, its configuration."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kinsight.errors import StartFailed
from kinsight.local.account import Account
from kinsight.local.folder import make_data_dir
from kinsight.local.install import Install

ROLE = "kinsight"
DATABASE = "kinsight"
SOCKET_PORT = 5432  # only part of the socket's name; every cluster has a folder of its own
_SOCKET_LIMIT = 103  # sun_path: 108 bytes on Linux, 104 on macOS, with the terminating zero

# One call for the whole file system in place of one per file, a thousand of them; Linux has it.
_SYNC = "syncfs" if sys.platform == "linux" else None

# Sized for one machine that also runs five services and trains; ALTER SYSTEM overrides them.
SETTINGS: Mapping[str, str] = {
    "shared_buffers": "128MB",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "jit": "off",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    # A scan of every class table locks each partition and its indexes.
    "max_locks_per_transaction": "512",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "lc_messages": "C",
}


@dataclass(frozen=True)
class Cluster:
    """The layout inside the Kinsight data folder; everything under `folder` is the server's."""

    data_dir: Path
    port: int | None = None  # loopback TCP as well, when given
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def data(self) -> Path:
        return self.folder / "cluster"

    @property
    def half_made(self) -> Path:
        return self.folder / "cluster.new"

    @property
    def socket(self) -> Path:
        """The folder of the socket: inside the data folder, or in /tmp when that is too long."""
        inside = self.folder / "socket"
        if len(os.fsencode(inside / f".s.PGSQL.{self.socket_port}")) <= _SOCKET_LIMIT:
            return inside
        return Path(tempfile.gettempdir()) / f"kinsight-{self._digest()}"

    @property
    def socket_port(self) -> int:
        return self.port or SOCKET_PORT

    @property
    def configuration(self) -> Path:
        return self.folder / "kinsight.conf"

    @property
    def password_file(self) -> Path:
        return self.data_dir / "postgres.password"

    @property
    def name(self) -> str:
        """Stands in the title of every process of this cluster, which tells orphans by it."""
        return f"kinsight-{self._digest()}"

    @property
    def major(self) -> int | None:
        """The PostgreSQL that made the cluster, None when there is no cluster yet."""
        try:
            return int((self.data / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None

    def _digest(self) -> str:
        return hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]

    def maker(self, install: Install) -> list[str]:
        """The command that makes the cluster, in a folder of another name until it is whole."""
        program = [str(install.bin / "initdb"), "--pgdata", str(self.half_made), "--username", ROLE]
        program += ["--encoding", "UTF8", "--locale", "C"]
        # Sorts by code point as C does, but knows upper and lower case beyond ASCII.
        program += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        program += ["--auth-local", "peer", "--auth-host", "scram-sha-256"]
        program += ["--data-checksums", "--no-instructions"]
        return program + ([f"--sync-method={_SYNC}"] if _SYNC else [])

    def program(self, install: Install) -> list[str]:
        """The command that runs the server."""
        settings = f"config_file={self.configuration}"
        return [str(install.bin / "postgres"), "-D", str(self.data), "-c", settings]

    def prepare(self, account: Account) -> None:
        """Makes the folders, the server's own ones under `account`; parents stay as they are."""
        make_data_dir(self.data_dir)
        try:
            _private_folder(self.folder, account)
            _private_folder(self.socket, account)
        except PermissionError as error:
            raise StartFailed(
                f"{error.filename} cannot be made or entered by this user, who lacks the rights "
                "root usually has: start Kinsight as an ordinary user, or choose another folder "
                "with --data-dir."
            ) from error

    def tidy(self) -> None:
        """Leaves nothing outside the data folder once the server has stopped."""
        if not self.socket.is_relative_to(self.folder):
            with contextlib.suppress(OSError):
                self.socket.rmdir()

    def write_configuration(self, account: Account, owner: str) -> None:
        """Writes the three configuration files anew; `owner` is the user let in."""
        local = f"local all {ROLE} peer map=kinsight\n"
        loopback = f"host all {ROLE} 127.0.0.1/32 scram-sha-256\n" if self.port else ""
        self._write("hba.conf", local + loopback, account)
        self._write("ident.conf", f'kinsight "{owner}" {ROLE}\n', account)
        values = {
            **SETTINGS,
            "cluster_name": self.name,
            "hba_file": str(self.folder / "hba.conf"),
            "ident_file": str(self.folder / "ident.conf"),
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.socket_port),
            "unix_socket_directories": _list_item(str(self.socket)),
            "unix_socket_permissions": "0700",
            **({"recovery_init_sync_method": _SYNC} if _SYNC else {}),
            **self.settings,
        }
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in values.items()]
        heading = "# Written at every start; change a setting with ALTER SYSTEM.\n"
        self._write(self.configuration.name, heading + "".join(lines), account)

    def _write(self, name: str, text: str, account: Account) -> None:
        # The folder is the server's: a name there may have become a link, so a new file is
        # renamed over it and none is ever opened by name for writing.
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{name}-")
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            if account.switch:
                os.fchown(file.fileno(), account.uid, account.gid)
        Path(temporary).replace(self.folder / name)

    def password(self) -> str:
        """The password of the TCP port, made on first use and kept readable by its owner only."""
        try:
            return self.password_file.read_text().strip()
        except FileNotFoundError:
            value = secrets.token_urlsafe(24)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(self.password_file, flags, 0o600), "w") as file:
                file.write(value + "\n")
            return value


def _private_folder(folder: Path, account: Account) -> None:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid:
            raise StartFailed(
                f"{folder} is there already and is not a folder of PostgreSQL's user (id "
                f"{account.uid}): remove it, or choose another folder with --data-dir."
            ) from None
        folder.chmod(0o700)
        return
    if account.switch:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)


def _quoted(value: str) -> str:
    """As postgresql.conf wants it between single quotes."""
    return value.replace("\\", "\\\\").replace("'", "''")


def _list_item(value: str) -> str:
    """One element of a list-valued setting: unix_socket_directories splits at commas."""
    return '"' + value.replace('"', '""') + '"'
