"""Archives as they come from strangers: the good pictures arrive, each bad member is named."""

from __future__ import annotations

import io
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from e2e.conftest import Digits
from e2e.system import System
from e2e.test_bad_requests import check
from kinsight.clients import Kinsight
from kinsight.contracts.jobs import Job

pytestmark = pytest.mark.slow


@pytest.fixture
def library(system: System, client: Kinsight, digits: Digits) -> Iterator[str]:
    """A name for a library that is gone afterwards; all others stay as they were."""
    with system.unchanged("libraries", "models", "weights"):
        yield "strange"
        if any(found.name == "strange" for found in client.libraries()):
            client.delete_library("strange")


def make_zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def send(http: httpx.Client, library: str, data: bytes) -> httpx.Response:
    return http.post(f"/index/batch?library={library}", content=data)


def ingest(http: httpx.Client, client: Kinsight, library: str, data: bytes) -> Job:
    response = send(http, library, data)
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/jobs/{response.json()['id']}"
    return client.wait(response.json()["id"], timeout=120, poll_seconds=0.1)


def encrypted(data: bytes) -> bytes:
    """The archive with the flag of encryption on its last member."""
    raw = bytearray(data)
    raw[raw.rindex(b"PK\x03\x04") + 6] |= 1
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def claiming_a_terabyte(data: bytes) -> bytes:
    """The archive whose last member says it unpacks to almost 4 GB, the most the field holds."""
    raw = bytearray(data)
    struct.pack_into("<I", raw, raw.rindex(b"PK\x01\x02") + 24, 0xFFFFFFFE)
    return bytes(raw)


def unchanged(data: bytes) -> bytes:
    return data


Change = Callable[[bytes], bytes]
# name of the bad member, its bytes, what is done to the archive, a word of the reason
MEMBERS: dict[str, tuple[str, bytes, Change, str]] = {
    "leads out": ("../../evil.png", b"", unchanged, "leads out"),
    "absolute": ("/etc/evil.png", b"", unchanged, "leads out"),
    "nested": ("inner.zip", make_zip({"0/a.png": b"x"}), unchanged, "archive inside"),
    "zeros": ("zeros.png", bytes(64 << 20), unchanged, "Larger than"),
    "claims": ("zeros.png", bytes(1000), claiming_a_terabyte, "Larger than"),
    "encrypted": ("secret.png", b"x", encrypted, "Encrypted"),
    "text": ("notes.txt", b"no picture", unchanged, ""),
    "empty": ("empty.png", b"", unchanged, "empty"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_bad_member_costs_only_itself(
    http: httpx.Client, client: Kinsight, library: str, digits: Digits, name: str
) -> None:
    bad, data, change, word = MEMBERS[name]
    good = digits.held_out[0]
    archive = change(make_zip({f"{good.label}/{good.filename}": good.data, bad: data or good.data}))
    if name == "empty":
        archive = make_zip({f"{good.label}/{good.filename}": good.data, bad: b""})
    job = ingest(http, client, library, archive)
    assert job.state == "succeeded", job.error
    outcomes = {item.name: item for item in client.items(job.id)}
    assert outcomes[f"{good.label}/{good.filename}"].outcome == "stored"
    assert outcomes[bad].outcome == "rejected"
    assert word in (outcomes[bad].reason or "")
    assert client.library(library).labels == {good.label: 1}
    assert job.result is not None
    assert (job.result["files"], job.result["stored"], job.result["rejected"]) == (2, 1, 1)


@pytest.mark.parametrize(
    "data",
    [b"no archive at all", b"PK\x03\x04 nor is this", bytes(2048), b"\x1f\x8b\x08 nor this"],
    ids=["text", "zip", "empty tar", "gzip"],
)
def test_upload_that_is_no_archive(
    http: httpx.Client, client: Kinsight, library: str, data: bytes
) -> None:
    """It is refused at once, or its job fails; the problem is the same."""
    response = send(http, library, data)
    if response.status_code == 202:
        job = client.wait(response.json()["id"], timeout=60, poll_seconds=0.1)
        assert job.state == "failed"
        assert job.error is not None
        assert (job.error["status"], job.error["code"]) == (422, "bad-archive")
        assert "archive" in job.error["detail"]
    else:
        check(response, 422, "bad-archive", "archive")


def test_evaluation_with_no_archive(http: httpx.Client, client: Kinsight, digits: Digits) -> None:
    response = http.post(f"/models/{digits.model}/evaluate", content=b"no archive")
    assert response.status_code == 202, response.text
    job = client.wait(response.json()["id"], timeout=60, poll_seconds=0.1)
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error["status"], job.error["code"]) == (422, "bad-archive")
    assert "zip or tar" in job.error["detail"]


def test_terabyte_of_zeros(
    http: httpx.Client, client: Kinsight, system: System, library: str, digits: Digits
) -> None:
    """A few MB that unpack to 8 GB of the terabyte that the only member is said to have."""
    info = tarfile.TarInfo("0/zeros.png")
    info.size = 1 << 40
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)  # 31: with the header of gzip
    head = packer.compress(info.tobuf(tarfile.GNU_FORMAT)) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(1 << 26)) + packer.flush(zlib.Z_FULL_FLUSH)
    data = head + zeros * 128  # after a full flush the same bytes unpack to the same again
    assert len(data) < 10_000_000
    memory = {process.pid: process.memory_info().rss for process in system.children()}
    began = time.monotonic()
    job = ingest(http, client, library, data)
    assert time.monotonic() - began < 10
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error["status"], job.error["code"]) == (422, "bad-archive")
    assert "unpacks to more than" in job.error["detail"]
    for process in system.children():
        if process.pid in memory:
            assert process.memory_info().rss - memory[process.pid] < 200_000_000
    assert client.library(library).images == 0


def test_folder_outside_the_allowed_roots(
    http: httpx.Client, client: Kinsight, library: str, tmp_path: Path
) -> None:
    for folder in (str(tmp_path), "/etc", "../.."):
        response = http.post(f"/index/batch?library={library}", json={"folder": folder})
        check(response, 403, "folder-not-allowed", "KINSIGHT_INGEST_ROOTS")
    assert all(found.name != library for found in client.libraries())


@pytest.mark.parametrize(
    ("query", "body", "kind", "status", "code"),
    [
        ("library=strange", b"", "application/zip", 400, "empty-body"),
        ("library=Strange!", b"PK", "application/zip", 422, "invalid-request"),
        ("labels=none", b"PK", "application/zip", 422, "invalid-request"),
        ("library=strange&labels=colours", b"PK", "application/zip", 422, "invalid-request"),
        ("library=strange", b"{", "application/json", 400, "bad-request"),
        ("library=strange", b"{}", "application/json", 422, "invalid-request"),
        ("library=strange", b'{"urls": 3}', "application/json", 422, "invalid-request"),
    ],
    ids=["empty", "name", "nameless", "labels", "not json", "neither", "urls"],
)
def test_batch_that_cannot_be_read(
    http: httpx.Client, library: str, query: str, body: bytes, kind: str, status: int, code: str
) -> None:
    response = http.post(f"/index/batch?{query}", content=body, headers={"Content-Type": kind})
    check(response, status, code)


def test_job_cancelled_twice(
    http: httpx.Client, client: Kinsight, library: str, digits: Digits
) -> None:
    """Each picture once as it is and often with trailing bytes, so that the job takes a while."""
    files = {
        f"0/{n}.png": image.data + n.to_bytes(4, "big")
        for n, image in enumerate(digits.held_out * 40)
    }
    response = send(http, library, make_zip(files))
    job_id = response.json()["id"]
    first = http.post(f"/jobs/{job_id}/cancel")
    assert first.status_code == 200, first.text
    check(http.post(f"/jobs/{job_id}/cancel"), 409, "job-finished")
    assert client.wait(job_id, timeout=30, poll_seconds=0.1).state == "cancelled"
    check(http.post(f"/jobs/{job_id}/cancel"), 409, "job-finished", "cancelled")
