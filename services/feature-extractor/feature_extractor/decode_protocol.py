"""Frames between the extractor and its decode workers: a JSON head and raw bytes.

Never a pickle: a worker that a crafted picture has taken over must not be able to run code in the
process that owns the models.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kinsight.contracts.models import Preprocessing
from kinsight.images.cropping import Crop

_LENGTHS = struct.Struct("<IQ")  # of the JSON head, of the bytes behind it


@dataclass(frozen=True)
class DecodeTask:
    """What to make of each picture of a request, besides its facts.

    card: pixels for a network, (1, S, S, 3) uint8, or (10, S, S, 3) with crops = 10.
    thumbnail: a WebP of this size in pixels. Neither: facts only.
    """

    card: Preprocessing | None = None
    crop: Crop | None = None
    crops: int = 1
    thumbnail: int | None = None

    def to_json(self) -> dict[str, Any]:
        crop = self.crop
        return {
            "card": self.card.model_dump() if self.card else None,
            "crop": (crop.x, crop.y, crop.width, crop.height) if crop else None,
            "crops": self.crops,
            "thumbnail": self.thumbnail,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> DecodeTask:
        return cls(
            card=Preprocessing(**fields["card"]) if fields["card"] else None,
            crop=Crop(*fields["crop"]) if fields["crop"] else None,
            crops=fields["crops"],
            thumbnail=fields["thumbnail"],
        )


def send_frame(peer: socket.socket, head: dict[str, Any], bodies: Sequence[bytes]) -> None:
    text = json.dumps({**head, "lengths": [len(body) for body in bodies]}).encode()
    peer.sendall(_LENGTHS.pack(len(text), sum(map(len, bodies))) + text)
    for body in bodies:
        peer.sendall(body)


def receive_frame(peer: socket.socket) -> tuple[dict[str, Any], list[memoryview]]:
    """The head and its bodies; raises EOFError when the other side has gone."""
    head_length, body_length = _LENGTHS.unpack(_receive(peer, _LENGTHS.size))
    head: dict[str, Any] = json.loads(bytes(_receive(peer, head_length)))
    whole = _receive(peer, body_length)
    bodies, at = [], 0
    for length in head.pop("lengths"):
        bodies.append(whole[at : at + length])
        at += length
    return head, bodies


def _receive(peer: socket.socket, length: int) -> memoryview:
    buffer = memoryview(bytearray(length))
    filled = 0
    while filled < length:
        count = peer.recv_into(buffer[filled:])
        if count == 0:
            raise EOFError("the other side closed the connection")
        filled += count
    return buffer
