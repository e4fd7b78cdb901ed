"""Vectors and codes in pgvector's binary form, for asyncpg."""

from __future__ import annotations

import struct
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

_HEAD = struct.Struct(">HH")  # dimensions, unused


async def register(connection: asyncpg.Connection[Any]) -> None:
    """Lets a connection send float32 arrays as `vector` and receive them back."""
    await connection.set_type_codec(
        "vector", schema="public", encoder=_encode, decoder=_decode, format="binary"
    )


def bits(code: NDArray[np.uint8], length: int) -> asyncpg.BitString:
    """A packed code, shape (⌈length/8⌉,), as a bit string of `length` bits."""
    return asyncpg.BitString.frombytes(code.tobytes(), length)


def _encode(vector: NDArray[np.float32]) -> bytes:
    return _HEAD.pack(len(vector), 0) + vector.astype(">f4").tobytes()


def _decode(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data, ">f4", offset=_HEAD.size).astype(np.float32)
