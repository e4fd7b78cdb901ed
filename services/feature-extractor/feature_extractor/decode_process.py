"""The extractor's side of one decode worker: starting it, asking it, ending it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from feature_extractor.decode_protocol import DecodeTask, receive_frame, send_frame
from feature_extractor.decode_worker import WorkerSettings
from kinsight.errors import Unavailable

_PROGRAM = "feature_extractor.decode_worker"
_START_SECONDS = 30.0
_BUFFER_BYTES = 1 << 20


class WorkerLost(Exception):
    """The worker died over a request, or was ended because it took too long."""

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__("timed out" if timed_out else "died")
        self.timed_out = timed_out


class WorkerProcess:
    """One process and the connection to it; used by one thread at a time.

    Linux ends a child by PR_SET_PDEATHSIG when the thread that started it ends, so that thread
    has to outlive the worker.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._seconds = settings.seconds
        self._peer, theirs = socket.socketpair()
        for end in (self._peer, theirs):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        # One picture per worker at a time: threads of its libraries would only stand in the way.
        single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        descriptor = str(theirs.fileno())
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "feature_extractor.decode_worker",
                descriptor,
                settings.to_json(),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **single},
        )
        theirs.close()
        self._await_start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(
        self, images: Sequence[bytes], task: DecodeTask
    ) -> tuple[list[dict[str, Any]], list[memoryview]]:
        """Facts and result of each image; raises WorkerLost."""
        try:
            send_frame(self._peer, task.to_json(), images)
            head, bodies = receive_frame(self._peer)
        except TimeoutError as error:
            raise WorkerLost(timed_out=True) from error
        except (OSError, EOFError) as error:
            raise WorkerLost(timed_out=False) from error
        return head["items"], bodies

    def kill(self) -> None:
        """From any thread: whoever waits for an answer gets WorkerLost."""
        self._process.kill()

    def end(self) -> None:
        """Kills the process, in the midst of a picture too, and collects it."""
        self._process.kill()
        self._peer.close()
        self._process.wait()

    def _await_start(self) -> None:
        self._peer.settimeout(_START_SECONDS)
        try:
            receive_frame(self._peer)
        except (OSError, EOFError) as error:
            self.end()
            raise Unavailable(
                "A decode worker did not start; the extractor's log has its last words."
            ) from error
        self._peer.settimeout(self._seconds)
