"""A decode worker: a process of its own that a bad picture may take down.

`python -m feature_extractor.decode_worker DESCRIPTOR SETTINGS`: serves the connection it was
given until that closes. It imports Pillow and numpy, never torch, so that it is small and starts
quickly.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import AvifImagePlugin

from feature_extractor.decode_protocol import DecodeTask, receive_frame, send_frame
from kinsight.errors import KinsightError
from kinsight.images.decode import decode
from kinsight.images.limits import Limits
from kinsight.images.perceptual import difference_hash
from kinsight.images.preprocess import canvas, centre, decode_target, ten_crops
from kinsight.images.thumbnail import thumbnail

_PR_SET_PDEATHSIG = 1
# Interpreter, libraries and small pictures; beside it, room for the largest picture allowed:
# Pillow's 4 bytes per pixel, the decoder's own planes and one copy.
_BASE_MEMORY = 512 << 20
_BYTES_PER_PIXEL = 16


@dataclass(frozen=True)
class WorkerSettings:
    """limits: of pictures. seconds: after which a request has hung. memory_bytes: of data.

    parent: the process to die with.
    """

    limits: Limits
    seconds: float
    memory_bytes: int
    parent: int

    @classmethod
    def for_limits(cls, limits: Limits, seconds: float) -> WorkerSettings:
        """With room for the largest picture allowed, as a child of this process."""
        memory = _BASE_MEMORY + _BYTES_PER_PIXEL * limits.max_pixels
        return cls(limits, seconds, memory, os.getpid())

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> WorkerSettings:
        fields = json.loads(text)
        return cls(**{**fields, "limits": Limits(**fields["limits"])})


def process(data: bytes, task: DecodeTask, limits: Limits) -> tuple[dict[str, Any], bytes]:
    """Facts of one picture and what the task asks for; raises what `decode` raises."""
    if task.thumbnail is not None:
        return {}, thumbnail(data, task.thumbnail, limits=limits)
    decoded = decode(data, limits=limits, target=decode_target(task.card), crop=task.crop)
    facts = {
        "width": decoded.width,
        "height": decoded.height,
        "format": decoded.format,
        "perceptual_hash": difference_hash(decoded.image),
    }
    if task.card is None:
        return facts, b""
    pixels = canvas(decoded.image, task.card)
    side = task.card.input_size
    rows = ten_crops(pixels, side) if task.crops == 10 else centre(pixels, side)[np.newaxis]
    return {**facts, "shape": rows.shape}, rows.tobytes()


def serve(peer: socket.socket, settings: WorkerSettings) -> None:
    """Answers requests until the connection closes."""
    send_frame(peer, {"ready": True}, [])
    _silence()
    while True:
        try:
            head, bodies = receive_frame(peer)
        except EOFError:
            return
        # A second guard beside the parent's, which may be gone: an unhandled alarm kills.
        signal.setitimer(signal.ITIMER_REAL, 2 * settings.seconds)
        task = DecodeTask.from_json(head)
        items, results, exhausted = [], [], False
        for body in bodies:
            item, result = _answer(bytes(body), task, settings.limits)
            exhausted = exhausted or item.get("reason") == "memory"
            items.append(item)
            results.append(result)
        signal.setitimer(signal.ITIMER_REAL, 0)
        send_frame(peer, {"items": items}, results)
        if exhausted:
            return  # a fresh process is not fragmented


def _answer(data: bytes, task: DecodeTask, limits: Limits) -> tuple[dict[str, Any], bytes]:
    began = time.perf_counter()
    try:
        facts, result = process(data, task, limits)
    except KinsightError as error:
        facts, result = {"error": error.code, "detail": error.detail, **error.extensions}, b""
    return {**facts, "seconds": time.perf_counter() - began}, result


def _confine(settings: WorkerSettings) -> None:
    """Bounds memory, dies with the parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_DATA, (settings.memory_bytes,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.getppid() != settings.parent:
        sys.exit(0)
    warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the cores are busy with other pictures


def _silence() -> None:
    """From here on only codecs write to stderr, remarks on every odd file."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def main() -> None:
    descriptor, settings = int(sys.argv[1]), WorkerSettings.from_json(sys.argv[2])
    _confine(settings)
    with socket.socket(fileno=descriptor) as peer:
        serve(peer, settings)


if __name__ == "__main__":
    main()
