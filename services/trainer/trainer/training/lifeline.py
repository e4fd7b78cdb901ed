"""Ends the process at once when it is told to, or when the process that started it is gone.

A training step may run for seconds in compiled code, where Python handles no signal. The C-level
handler writes the signal's number to a pipe at once, and a thread waits for that pipe. All that
must survive is a checkpoint, and those are written atomically, so nothing has to be wound up.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1
_SECONDS_BETWEEN_LOOKS = 0.5


def hold(*, certain: bool = False) -> None:
    """Call once, from the main thread. SIGTERM ends with 143, SIGINT with 130.

    certain: the kernel ends this process when the thread that started it ends. For processes
    that were started by a main thread and are in no group that someone else could end.
    """
    parent = os.getppid()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    if sys.platform == "linux":
        # The kernel tells at the moment of the parent's death; elsewhere the thread finds out.
        # The signal comes when the parent's *thread* ends, too, hence the look at the parent.
        told = signal.SIGKILL if certain else signal.SIGHUP
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, told)
    watcher = threading.Thread(target=_watch, args=(reader, parent), daemon=True, name="lifeline")
    watcher.start()


def _watch(reader: int, parent: int) -> None:
    while True:
        ready, _, _ = select.select([reader], [], [], _SECONDS_BETWEEN_LOOKS)
        received = os.read(reader, 64) if ready else b""
        for number in (signal.SIGTERM, signal.SIGINT):
            if number in received:
                os._exit(128 + number)
        if os.getppid() != parent:
            os._exit(128 + signal.SIGTERM)
