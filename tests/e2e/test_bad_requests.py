"""Bad searches, jobs and models: the right problem, a sentence that helps, and no effect."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from e2e.conftest import Digits
from e2e.system import System
from kinsight.clients import Kinsight

pytestmark = pytest.mark.slow

NOWHERE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def nothing_changes(system: System, digits: Digits) -> Iterator[None]:
    with system.unchanged():
        yield


def check(response: httpx.Response, status: int, code: str, *says: str) -> dict[str, Any]:
    """A problem object (RFC 9457) with this status and code, and a sentence that says all this."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["type"] == f"urn:kinsight:problem:{code}"
    assert problem["title"]
    assert re.search(r"\w\w+ \w\w+", problem["detail"]), problem
    for words in says:
        assert words in problem["detail"], problem
    return problem


def png(width: int, height: int, rows: bytes | None = None) -> bytes:
    """A grey PNG; `rows` None: what the size asks for."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    if rows is None:
        rows = bytes((width + 1) * height)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    packed = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + head + packed + chunk(b"IEND", b"")


def _truncated_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 60).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()[: len(buffer.getvalue()) // 3]


BODIES = {
    "empty": (b"", 400, "empty-body", ["send the bytes of one image"]),
    "text": (b"What looks like this?", 422, "bad-image", []),
    "html": (b"<!doctype html><title>no</title>", 422, "bad-image", []),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", 422, "bad-image", []),
    "truncated": (_truncated_jpeg(), 422, "bad-image", []),
    "0x0": (png(0, 0), 422, "bad-image", []),
    "1x1": (png(1, 1), 422, "bad-image", ["1×1"]),
    "bomb": (png(30_000, 30_000, bytes(1_000_000)), 413, "image-too-large", ["30,000×30,000"]),
}


@pytest.mark.parametrize("name", BODIES)
def test_picture_that_is_none(http: httpx.Client, name: str) -> None:
    data, status, code, says = BODIES[name]
    for path in ("/search", "/v1/search"):
        response = http.post(f"{path}?library=digits", content=data)
        check(response, status, code, *says)


def test_hundred_megabytes(http: httpx.Client) -> None:
    response = http.post("/search?library=digits", content=bytes(100_000_000))
    check(response, 413, "image-too-large", "smaller")


def test_hundred_megabytes_of_unknown_length(http: httpx.Client) -> None:
    response = http.post("/search?library=digits", content=(bytes(1_000_000) for _ in range(100)))
    check(response, 413, "image-too-large", "smaller")


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/zip"])
def test_wrong_content_type(http: httpx.Client, kind: str, digits: Digits) -> None:
    response = http.post(
        "/search?library=digits", content=digits.held_out[0].data, headers={"Content-Type": kind}
    )
    check(response, 415, "unsupported-media-type", kind, "image/")


def test_form_without_the_image(http: httpx.Client) -> None:
    response = http.post("/search?library=digits", files={"picture": b"x"})
    check(response, 400, "bad-request", "`image`")


SEARCHES = {
    "k=0": (422, "invalid-request", ["k"]),
    "k=1001": (422, "invalid-request", ["k"]),
    "k=-1": (422, "invalid-request", ["k"]),
    "k=ten": (422, "invalid-request", ["k"]),
    "space=outer": (422, "invalid-request", ["softmax", "auto"]),
    "routing=scenic": (422, "invalid-request", ["argmax", "adaptive", "all"]),
    "routing=named": (422, "invalid-request", ["classes"]),
    "classes=unicorn": (404, "class-not-found", ["unicorn"]),
    "min_similarity=2": (422, "invalid-request", ["min_similarity"]),
    "crops=3": (422, "invalid-request", ["crops"]),
    "crop=1,2": (400, "bad-request", ["crop"]),
    "crop=0,0,0,0": (400, "bad-request", ["crop"]),
    "crop=900,900,10,10": (400, "bad-request", ["crop"]),
    "library=nowhere": (404, "library-not-found", ["nowhere", "GET /libraries"]),
    "image_id=999999999": (404, "image-not-found", []),
    "image_id=abc": (404, "image-not-found", []),
    "image_url=ftp://example.org/a.jpg": (400, "bad-request", ["http"]),
    "image_url=http://127.0.0.1:1/a.jpg": (403, "address-not-allowed", ["KINSIGHT_FETCH"]),
}


@pytest.mark.parametrize("query", SEARCHES)
def test_search_that_asks_for_the_impossible(
    http: httpx.Client, query: str, digits: Digits
) -> None:
    status, code, says = SEARCHES[query]
    library = "" if query.startswith("library=") else "library=digits&"
    with_body = not query.startswith(("image_id", "image_url"))
    response = http.post(
        f"/search?{library}{query}", content=digits.held_out[0].data if with_body else None
    )
    check(response, status, code, *says)


def test_no_library_named(http: httpx.Client) -> None:
    check(http.post("/search", content=b"x"), 422, "invalid-request", "library")


PATHS = {
    ("GET", "/libraries/nowhere"): (404, "library-not-found"),
    ("DELETE", "/libraries/nowhere"): (404, "library-not-found"),
    ("GET", "/libraries/nowhere/images"): (404, "library-not-found"),
    ("POST", "/libraries/nowhere/rollback"): (404, "library-not-found"),
    ("GET", "/libraries/nowhere/promotions"): (404, "library-not-found"),
    ("POST", "/admin/libraries/nowhere/clear"): (404, "library-not-found"),
    ("POST", "/admin/libraries/nowhere/rebuild"): (404, "library-not-found"),
    ("GET", "/models/nothing"): (404, "model-not-found"),
    ("DELETE", "/models/nothing"): (404, "model-not-found"),
    ("POST", "/models/nothing/promote"): (404, "model-not-found"),
    ("POST", "/models/nothing/promote?crops=3"): (422, "invalid-request"),
    ("POST", "/models/nothing/evaluate"): (404, "model-not-found"),
    ("POST", "/models/nothing/evaluate?crops=3"): (422, "invalid-request"),
    ("GET", f"/jobs/{NOWHERE}"): (404, "job-not-found"),
    ("GET", "/jobs/nothing"): (404, "job-not-found"),
    ("GET", f"/jobs/{NOWHERE}/events"): (404, "job-not-found"),
    ("GET", f"/jobs/{NOWHERE}/items"): (404, "job-not-found"),
    ("POST", f"/jobs/{NOWHERE}/cancel"): (404, "job-not-found"),
    ("GET", "/images/999999999"): (404, "image-not-found"),
    ("GET", "/images/nothing/content"): (404, "image-not-found"),
    ("GET", "/images/999999999/thumbnail"): (404, "image-not-found"),
    ("DELETE", "/images/999999999"): (404, "image-not-found"),
    ("GET", "/nothing"): (404, "not-found"),
    ("PUT", "/libraries"): (405, "method-not-allowed"),
    ("GET", "/jobs?page_token=yesterday"): (400, "bad-request"),
    ("GET", "/jobs?page_size=0"): (422, "invalid-request"),
    ("GET", "/jobs?state=asleep"): (422, "invalid-request"),
    ("GET", "/libraries/digits/images?page_token=x"): (400, "bad-request"),
    ("GET", "/admin/sla?hours=-1"): (422, "invalid-request"),
}


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_what_is_not_there(http: httpx.Client, method: str, path: str) -> None:
    status, code = PATHS[method, path]
    check(http.request(method, path), status, code)


LIBRARIES = {
    "exists": ({"name": "digits"}, 409, "library-exists"),
    "capitals": ({"name": "Digits"}, 422, "invalid-request"),
    "path": ({"name": "../digits"}, 422, "invalid-request"),
    "nameless": ({}, 422, "invalid-request"),
    "typo": ({"name": "other", "flor": 0.5}, 422, "invalid-request"),
    "floor": ({"name": "other", "floor": 7}, 422, "invalid-request"),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_library_that_cannot_be_made(http: httpx.Client, name: str) -> None:
    body, status, code = LIBRARIES[name]
    check(http.post("/libraries", json=body), status, code)


def test_library_without_a_model_says_how_to_train(
    http: httpx.Client, client: Kinsight, digits: Digits
) -> None:
    client.create_library("untrained")
    try:
        response = http.post("/search?library=untrained", content=digits.held_out[0].data)
        check(response, 409, "no-model", "untrained", "POST /train")
    finally:
        client.delete_library("untrained")


def test_live_model_is_not_deleted(http: httpx.Client, client: Kinsight, digits: Digits) -> None:
    check(http.delete(f"/models/{digits.model}"), 409, "model-in-use", "digits", "promote")
    assert client.search("digits", digits.held_out[0].data).model == digits.model


def test_job_that_has_ended_is_not_cancelled(http: httpx.Client, digits: Digits) -> None:
    response = http.post(f"/jobs/{digits.ingest_job}/cancel")
    check(response, 409, "job-finished", "succeeded", "nothing to cancel")
