"""Queries out of archives and out of the library, a batch at a time."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinsight.clients.indexer import IndexerClient
from kinsight.contracts.libraries import TrainingImage
from kinsight.errors import BadArchive
from kinsight.images.near_duplicates import NearDuplicates
from kinsight.store import LocalStore
from trainer.library_images import LibraryImages
from trainer.queries import ArchiveQueries, QuerySource, ValidationQueries

FILES = {
    "test/hat/1.jpg": b"hat 1",
    "test/hat/2.jpg": b"hat 2",
    "test/shoe/1.jpg": b"shoe 1",
    "loose.jpg": b"no label",
    "test/shoe/empty.jpg": b"",
    "test/shoe/large.jpg": b"x" * 101,
    "__MACOSX/test/hat/._1.jpg": b"resource",
    "../../hat/out.jpg": b"hat 3",
}
USABLE = {b"hat 1": "hat", b"hat 2": "hat", b"shoe 1": "shoe"}
LIMIT = 100


def write_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("test")
        for name, data in FILES.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("test")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


async def drain(source: QuerySource, store: LocalStore) -> dict[bytes, str]:
    """What each stored query holds, and its label."""
    found = {}
    async for batch in source.batches(2):
        assert len(batch) <= 2
        found |= {await store.get(query.key): query.label for query in batch}
    return found


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
async def test_usable_members_become_queries(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "queries"
    if kind == "zip":
        write_zip(path)
    else:
        write_tar(path, "w:gz" if kind == "tar.gz" else "w")
    store = LocalStore(tmp_path / "store")
    source = ArchiveQueries(path, store, "uploads/evaluate/1/", LIMIT)
    assert await drain(source, store) == USABLE
    assert source.skipped == len(FILES) - len(USABLE)
    assert source.total == (None if kind == "tar.gz" else len(FILES))
    assert await store.keys("uploads/") == []
    assert not list(tmp_path.parent.glob("out.jpg"))


async def test_encrypted_and_damaged_members_are_skipped(tmp_path: Path) -> None:
    data = bytearray(write_zip(tmp_path / "queries").read_bytes())
    encrypted = data.rindex(b"PK\x01\x02", 0, data.rindex(b"test/hat/1.jpg"))
    data[encrypted + 8] |= 1  # flag of the central directory
    damaged = data.index(b"shoe/1.jpg") + len(b"shoe/1.jpg")
    data[damaged : damaged + 4] = b"\xff" * 4
    (tmp_path / "queries").write_bytes(data)
    store = LocalStore(tmp_path / "store")
    source = ArchiveQueries(tmp_path / "queries", store, "uploads/evaluate/1/", LIMIT)
    assert await drain(source, store) == {b"hat 2": "hat"}
    assert source.skipped == len(FILES) - 1


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and no more"])
def test_other_files_are_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "queries"
    path.write_bytes(content)
    with pytest.raises(BadArchive, match="neither a zip nor a tar"):
        ArchiveQueries(path, LocalStore(tmp_path / "store"), "uploads/evaluate/1/", LIMIT)


async def test_a_tar_that_breaks_off_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "queries", "w")
    path.write_bytes(path.read_bytes()[: 512 * 4 + 2])  # in the middle of the second picture
    store = LocalStore(tmp_path / "store")
    source = ArchiveQueries(path, store, "uploads/evaluate/1/", LIMIT)
    with pytest.raises(BadArchive, match="breaks off"):
        await drain(source, store)


class Library:
    """Streams a training set in pieces of a given size."""

    def __init__(self, images: list[TrainingImage], piece: int = 1 << 16) -> None:
        self._stream = b"".join(image.model_dump_json().encode() + b"\n" for image in images)
        self._piece = piece

    async def training_set(self, _name: str) -> AsyncIterator[bytes]:
        for start in range(0, len(self._stream), self._piece):
            yield self._stream[start : start + self._piece]


def an_image(number: int, perceptual_hash: int) -> TrainingImage:
    return TrainingImage(
        image_id=number,
        key=f"blobs/{number}",
        label=str(number % 3),
        perceptual_hash=perceptual_hash,
    )


async def library_of(hashes: list[int], piece: int = 1 << 16) -> LibraryImages:
    images = [an_image(number, value) for number, value in enumerate(hashes)]
    return await LibraryImages.read(cast(IndexerClient, Library(images, piece)), "shop")


@pytest.mark.parametrize("piece", [1, 7, 100, 1 << 16])
async def test_validation_images_are_found_in_the_library(piece: int) -> None:
    images = await library_of(list(range(20)), piece)
    source = ValidationQueries(images, [3, 5, 19, 77])
    batches = [batch async for batch in source.batches(2)]
    assert [[query.key for query in batch] for batch in batches] == [
        ["blobs/3", "blobs/5"],
        ["blobs/19"],
    ]
    assert [query.label for query in batches[0]] == ["0", "2"]
    assert (source.total, source.skipped) == (3, 1)  # 77 was deleted since
    assert images.counts == {"0": 7, "1": 7, "2": 6}


async def test_likenesses_in_the_library() -> None:
    rng = np.random.default_rng(0)
    hashes = [int(value) for value in rng.integers(-(2**63), 2**63 - 1, 200)]
    images = await library_of([*hashes, hashes[7] ^ 0b101])
    assert images.like("blobs/elsewhere", hashes[7]).tolist() == [7, 200]
    # Bits in all four parts of the hash, the sign among them.
    far = hashes[7] ^ (1 << 20) ^ (1 << 40) ^ -(1 << 63)
    assert images.like("blobs/elsewhere", far).tolist() == [7]
    assert images.like("blobs/elsewhere", far ^ (1 << 50)).tolist() == []
    # Of one that the library has, the hash that it has there.
    assert images.like("blobs/31", hashes[7]).tolist() == [31]
    assert images.like("blobs/200", 0).tolist() == [7, 200]


@settings(deadline=None, max_examples=50)
@given(bits=st.sets(st.integers(0, 63), max_size=5), row=st.integers(0, 299))
def test_near_duplicates_are_those_that_differ_in_three_bits(bits: set[int], row: int) -> None:
    hashes = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 300)
    mask = np.uint64(sum(1 << bit for bit in bits))
    wanted = hashes.view(np.uint64)[row] ^ mask
    differing = np.bitwise_count(hashes.view(np.uint64) ^ wanted)
    found = NearDuplicates(hashes).of(int(wanted.view(np.int64)))
    assert found.tolist() == np.flatnonzero(differing <= 3).tolist()
    assert (row in found) == (len(bits) <= 3)


async def test_hashes_that_tell_nothing_apart_leave_the_same_file() -> None:
    """Of handwriting a third has the hash of another picture, which is then no duplicate."""
    images = await library_of([number % 8 for number in range(100)])
    assert images.like("blobs/elsewhere", 5).tolist() == []
    assert images.like("blobs/5", 5).tolist() == [5]
