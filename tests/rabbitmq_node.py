"""A RabbitMQ node of the tests' own, which they may stop and kill: nothing else uses it.

It has its own ports, data, name, cookie and port mapper (epmd), so that neither a RabbitMQ that
runs here already nor another test run is touched.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from contextlib import suppress
from pathlib import Path

import aio_pika
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from yarl import URL

from kinsight.local.ports import free_ports, is_free

_DEBIAN = "/usr/lib/rabbitmq/bin"  # what Debian has in /usr/sbin switches to user rabbitmq
_START_SECONDS, _STOP_SECONDS = 90.0, 30.0


def program(name: str) -> str | None:
    """The path of one of RabbitMQ's programs, None where it is not installed."""
    return shutil.which(name, path=f"{_DEBIAN}{os.pathsep}{os.environ.get('PATH', '')}")


class RabbitNode:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._tls_port, distribution, self._epmd_port = free_ports(4)
        home = folder / "home"
        home.mkdir()
        cookie = home / ".erlang.cookie"
        cookie.write_text(uuid.uuid4().hex)
        cookie.chmod(0o400)
        configuration = folder / "rabbitmq.conf"
        certificate, key = self._certificate()
        configuration.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self._port}\n"
            f"listeners.ssl.1 = 127.0.0.1:{self._tls_port}\n"
            f"ssl_options.certfile = {certificate}\n"
            f"ssl_options.keyfile = {key}\n"
            "log.file = false\n"
        )
        loopback = "{127,0,0,1}"
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RABBITMQ_")},
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests-{uuid.uuid4().hex[:8]}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            # a port mapper that they start would outlive them
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false"
            f" -kernel inet_dist_use_interface {loopback}",
            "RABBITMQ_CTL_ERL_ARGS": "-start_epmd false",
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the server instead of waiting for it
        }
        self._vhosts: list[str] = []
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def url(self, vhost: str = "%2F", user: str = "guest", password: str = "guest") -> str:
        return f"amqp://{user}:{password}@127.0.0.1:{self._port}/{vhost}"

    def tls_url(self, vhost: str) -> str:
        """Trusts the node's certificate."""
        ca = self._folder / "certificate.pem"
        return f"amqps://guest:guest@127.0.0.1:{self._tls_port}/{vhost}?cafile={ca}"

    @property
    def running(self) -> bool:
        return self._server is not None and self._server.poll() is None

    async def start(self) -> None:
        """Returns once the node takes connections."""
        deadline = time.monotonic() + _START_SECONDS
        if self._epmd is None:
            self._epmd = self._launch("epmd", "-port", str(self._epmd_port))
            while is_free(self._epmd_port):
                assert time.monotonic() < deadline, f"epmd does not start: {self._log()}"
                await asyncio.sleep(0.02)
        self._server = self._launch("rabbitmq-server", "-noinput")
        while not await self._answers():
            assert self.running, f"RabbitMQ has ended: {self._log()}"
            assert time.monotonic() < deadline, f"RabbitMQ does not start: {self._log()}"
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """As an operator stops it."""
        assert self._server is not None
        self._server.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self._server.wait, _STOP_SECONDS)

    async def kill(self) -> None:
        """kill -9 of the server and of what it has started."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGKILL)
        await asyncio.to_thread(self._server.wait)

    def freeze(self) -> None:
        """Connections stay open, and nobody answers."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGCONT)

    async def close(self) -> None:
        if self.running:
            await self.kill()
        if self._epmd:
            self._epmd.kill()
            self._epmd.wait()

    async def control(self, *arguments: str) -> str:
        """Runs rabbitmqctl and returns what it prints."""
        command = [program("rabbitmqctl"), "--quiet", *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def vhost(self) -> str:
        """A virtual host with no queues in it, for guest."""
        if not self._vhosts:  # a dozen take hardly longer than one
            self._vhosts = [f"v{uuid.uuid4().hex[:8]}" for _ in range(12)]
            await self.add_vhosts(*self._vhosts)
        return self._vhosts.pop()

    async def add_vhosts(self, *names: str) -> None:
        everything = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}
        definitions = {
            "vhosts": [{"name": name} for name in names],
            "permissions": [{"vhost": name, **everything} for name in names],
        }
        file = self._folder / "definitions.json"
        file.write_text(json.dumps(definitions))
        await self.control("import_definitions", str(file))

    def _certificate(self) -> tuple[Path, Path]:
        """A certificate of its own for 127.0.0.1, and its key."""
        certificate, key = self._folder / "certificate.pem", self._folder / "key.pem"
        kind = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        names = ["-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-out", str(certificate), "-keyout", str(key)]
        command = ["openssl", *kind.split(), *names, *files]
        subprocess.run(command, check=True, capture_output=True)
        return certificate, key

    def _launch(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "console.log").open("ab") as console:
            return subprocess.Popen(
                [program(name) or name, *arguments],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    async def _answers(self) -> bool:
        connection = aio_pika.Connection(URL(self.url()))
        try:
            await connection.connect(timeout=2)
        except (*CONNECTION_EXCEPTIONS, TimeoutError):
            return False
        finally:
            with suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
                await connection.close()
        return True

    def _log(self) -> str:
        return (self._folder / "console.log").read_text(errors="replace")[-2000:]
