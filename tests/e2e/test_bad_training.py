"""Bad training requests and weights: refused before a job is made."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.conftest import Digits
from e2e.system import System
from e2e.test_bad_requests import check
from kinsight.clients import Kinsight

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def few(
    client: Kinsight, digits: Digits, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Libraries with too little in them: `one` class, and `few` images in class 1."""
    folder = tmp_path_factory.mktemp("few")
    for image in digits.held_out:
        for name, labels in (("one", "0"), ("few", "01")):
            if image.label in labels:
                path = folder / name / image.label / image.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(image.data)
    for name in ("one", "few"):
        client.wait(client.index_batch(name, [folder / name]).id, timeout=60)
    yield
    for name in ("one", "few"):
        client.delete_library(name)


@pytest.fixture(autouse=True)
def nothing_changes(system: System, few: None) -> Iterator[None]:
    with system.unchanged():
        yield


REQUESTS: dict[str, tuple[dict[str, Any], int, str, list[str]]] = {
    "one class": ({"library": "one"}, 422, "too-few-classes", ["'0'", "labelled classes"]),
    "few images": (
        {"library": "few"},
        422,
        "too-few-images",
        ["0 has 30", "1 has 30", "100", "min_images_per_class"],
    ),
    "few images lowered": (
        {"library": "few", "min_images_per_class": 31},
        422,
        "too-few-images",
        ["31"],
    ),
    "library": ({"library": "nowhere"}, 404, "library-not-found", ["nowhere"]),
    "network": (
        {"library": "digits", "network": "torchvision/mobilenet_v9"},
        422,
        "unknown-network",
        ["mobilenet_v9", "mobilenet_v2"],
    ),
    "network option": (
        {"library": "digits", "network_options": {"colour": "red"}},
        422,
        "bad-option",
        ["colour", "hash_bits"],
    ),
    "network option's value": (
        {"library": "digits", "network_options": {"towers": 3}},
        422,
        "bad-option",
        ["towers"],
    ),
    "recipe": ({"library": "digits", "recipe": "soup"}, 422, "unknown-recipe", ["fine-tune"]),
    "recipe option": (
        {"library": "digits", "recipe_options": {"salt": 1}},
        422,
        "bad-option",
        ["salt", "epochs"],
    ),
    "weights unknown": (
        {"library": "digits", "weights": "sha256:" + "0" * 64},
        404,
        "weights-not-found",
        ["POST /weights"],
    ),
    "weights misspelt": ({"library": "digits", "weights": "../secret"}, 422, "", []),
    "least images": (
        {"library": "digits", "min_images_per_class": 1},
        422,
        "invalid-request",
        ["min_images_per_class"],
    ),
    "then": ({"library": "digits", "then": "rest"}, 422, "invalid-request", ["promote"]),
    "typo": ({"library": "digits", "networks": "alexnet"}, 422, "invalid-request", ["networks"]),
    "nothing": ({}, 422, "invalid-request", ["library"]),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_training_that_cannot_be(http: httpx.Client, name: str) -> None:
    body, status, code, says = REQUESTS[name]
    response = http.post("/train", json=body)
    check(response, status, code or response.json()["code"], *says)


def test_training_without_json(http: httpx.Client) -> None:
    check(
        http.post("/train", content=b"{", headers={"Content-Type": "application/json"}),
        422,
        "invalid-request",
        "JSON",
    )


def safetensors(shapes: dict[str, list[int]]) -> bytes:
    """A file of zeros in the safetensors format: header length, JSON header, the bytes."""
    head: dict[str, Any] = {}
    offset = 0
    for name, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + bytes(offset)


def test_weights_that_do_not_fit(
    http: httpx.Client, client: Kinsight, system: System, tmp_path: Path
) -> None:
    file = tmp_path / "other.safetensors"
    file.write_bytes(safetensors({"somewhere.weight": [7, 7], "somewhere.bias": [7]}))
    info = client.upload_weights(file)
    assert (info.tensors, info.weights[:7]) == (2, "sha256:")
    try:
        response = http.post(
            "/train",
            json={
                "library": "digits",
                "network": "torchvision/mobilenet_v2",
                "weights": info.weights,
            },
        )
        check(response, 422, "unfit-weights")
    finally:
        stored = system.data_dir / "store" / "weights" / f"{info.weights[7:]}.safetensors"
        stored.unlink()  # as before; weights have no route of their own to delete them


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "empty-body"),
        (b"these are no weights", 422, "unfit-weights"),
        (b"\x80\x04cos\nsystem\n(S'true'\ntR.", 422, "unfit-weights"),
        (struct.pack("<Q", 1 << 60) + b"{}", 422, "unfit-weights"),
    ],
    ids=["empty", "text", "pickle", "endless header"],
)
def test_weights_that_are_none(http: httpx.Client, data: bytes, status: int, code: str) -> None:
    check(http.post("/weights", content=data), status, code)
