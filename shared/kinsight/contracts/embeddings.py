"""Embeddings between extractor, gateway and indexer: raw bytes in a small envelope.

Layout (little-endian): magic `KSE1`, uint32 length of the JSON head, the head, then the arrays'
bytes one after another in the head's order. The head is
`{"meta": {...}, "arrays": [{"name", "dtype", "shape"}, ...]}`. JSON numbers would cost ten times
the bytes and lose the exact floats that make the SQL answers reproducible.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinsight.errors import BadRequest

MEDIA_TYPE = "application/vnd.kinsight.embeddings"
_MAGIC = b"KSE1"
_DTYPES = {"float32": "<f4", "uint8": "u1", "int64": "<i8"}


@dataclass(frozen=True)
class Embeddings:
    """The three outputs of a model for N images (design: every model has three outputs).

    probabilities: (N, K) float32, rows sum to 1.
    feature: (N, d) float32, the last hidden layer.
    code: (N, n/8) uint8, bits packed with the first bit highest (`numpy.packbits`).
    meta: what goes with them, see the extractor's routes.
    """

    probabilities: NDArray[np.float32]
    feature: NDArray[np.float32]
    code: NDArray[np.uint8]
    meta: dict[str, Any]

    def __len__(self) -> int:
        return len(self.probabilities)

    def to_bytes(self) -> bytes:
        return encode(
            self.meta,
            {"probabilities": self.probabilities, "feature": self.feature, "code": self.code},
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> Embeddings:
        """Raises BadRequest where the bytes are not an envelope of the three outputs."""
        meta, arrays = decode(payload)
        try:
            return cls(arrays["probabilities"], arrays["feature"], arrays["code"], meta)
        except KeyError as missing:
            raise BadRequest(f"The envelope lacks the array {missing}.") from missing


def encode(meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    head = {"meta": meta, "arrays": []}
    bodies = []
    for name, array in arrays.items():
        dtype = _DTYPES[array.dtype.name]
        head["arrays"].append({"name": name, "dtype": array.dtype.name, "shape": array.shape})  # type: ignore[attr-defined]
        bodies.append(np.ascontiguousarray(array, dtype=dtype).tobytes())
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join([_MAGIC, struct.pack("<I", len(text)), text, *bodies])


def read_meta(payload: bytes) -> dict[str, Any]:
    """The head's meta alone, for whoever passes the vectors on unread."""
    meta: dict[str, Any] = _head(payload)[0]["meta"]
    return meta


def decode(payload: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Raises BadRequest where the bytes are cut short or are no envelope."""
    head, offset = _head(payload)
    arrays: dict[str, NDArray[Any]] = {}
    for entry in head["arrays"]:
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        count = int(np.prod(entry["shape"]))
        if offset + count * dtype.itemsize > len(payload):
            raise BadRequest("The embedding envelope is cut short.")
        array = np.frombuffer(payload, dtype, count, offset)
        arrays[entry["name"]] = array.reshape(entry["shape"])
        offset += array.nbytes
    return head["meta"], arrays


def _head(payload: bytes) -> tuple[dict[str, Any], int]:
    if payload[:4] != _MAGIC or len(payload) < 8:
        raise BadRequest(f"The body is not {MEDIA_TYPE}.")
    (length,) = struct.unpack_from("<I", payload, 4)
    try:
        return json.loads(payload[8 : 8 + length]), 8 + length
    except ValueError as error:
        raise BadRequest("The head of the embedding envelope is not JSON.") from error
