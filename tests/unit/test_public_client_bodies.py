"""What the public client reads from disk and sends."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinsight.clients.public_body import (
    TAR,
    ZIP,
    Body,
    archive_type,
    file_body,
    members,
    pictures_body,
    tar_body,
)
from kinsight.errors import BadRequest

_NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=60
).filter(lambda name: not name.startswith(".") and len(name.encode()) <= 200)


def _untar(body: Body) -> dict[str, bytes]:
    data = b"".join(body.chunks())
    assert len(data) == body.length
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.tuples(_NAMES, _NAMES), st.binary(max_size=2000), min_size=1, max_size=6))
def test_folder_arrives_whole_in_a_tar(
    tmp_path_factory: pytest.TempPathFactory, files: dict[tuple[str, str], bytes]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for (label, name), data in files.items():
        (folder / label).mkdir(exist_ok=True)
        (folder / label / name).write_bytes(data)
    assert _untar(pictures_body([folder])) == {
        f"{label}/{name}": data for (label, name), data in files.items()
    }


def test_names_are_sorted_and_may_be_long(tmp_path: Path) -> None:
    names = ["b/2.jpg", "b/10.jpg", "a/x.jpg", f"c/{'ä' * 100}.jpg", "top.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    found = [member.name for member in members([tmp_path])]
    assert found == ["top.jpg", "a/x.jpg", "b/10.jpg", "b/2.jpg", f"c/{'ä' * 100}.jpg"]
    assert list(_untar(tar_body(members([tmp_path])))) == found


def test_several_folders_keep_their_own_names(tmp_path: Path) -> None:
    for label in ("hat", "shirt"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.jpg").write_bytes(label.encode())
    (tmp_path / "single.jpg").write_bytes(b"single")
    paths = [tmp_path / "hat", tmp_path / "shirt", tmp_path / "single.jpg"]
    assert _untar(pictures_body(paths)) == {
        "hat/1.jpg": b"hat",
        "shirt/1.jpg": b"shirt",
        "single.jpg": b"single",
    }


def test_links_out_and_hidden_files_stay_behind(tmp_path: Path) -> None:
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(b"secret")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.jpg").write_bytes(b"elsewhere")
    folder = tmp_path / "photos"
    (folder / "hat").mkdir(parents=True)
    (folder / "hat" / "1.jpg").write_bytes(b"hat")
    (folder / "hat" / "again.jpg").symlink_to(folder / "hat" / "1.jpg")
    (folder / "hat" / "out.jpg").symlink_to(outside)
    (folder / "hat" / "broken.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "linked").symlink_to(elsewhere)
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "1.jpg").write_bytes(b"hidden")
    (folder / ".DS_Store").write_bytes(b"hidden")
    os.mkfifo(folder / "pipe.jpg")
    assert _untar(pictures_body([folder])) == {"hat/1.jpg": b"hat", "hat/again.jpg": b"hat"}


@pytest.mark.parametrize(
    ("name", "media_type"), [("a.zip", ZIP), ("a.ZIP", ZIP), ("a.tar", TAR), ("a.tar.gz", TAR)]
)
def test_archive_is_sent_as_it_is_in_small_pieces(
    tmp_path: Path, name: str, media_type: str
) -> None:
    data = os.urandom(1_000_000)
    (tmp_path / name).write_bytes(data)
    body = pictures_body([tmp_path / name])
    assert body.media_type == media_type
    pieces = list(body.chunks())
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) < 300_000
    assert b"".join(body.chunks()) == data  # again, for a second attempt


def test_sent_bytes_are_counted_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(bytes(700_000))
    told: list[tuple[int, int]] = []
    body = pictures_body([tmp_path / "a.zip"]).watched(lambda *counts: told.append(counts))
    list(body.chunks())
    assert told[-1] == (700_000, 700_000)
    assert told == sorted(told)


def test_archives_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "1.jpg").write_bytes(b"1")
    with pytest.raises(BadRequest, match=r"a\.zip is an archive; send each archive by itself"):
        pictures_body([tmp_path / "a.zip", tmp_path / "1.jpg"])
    assert archive_type(tmp_path / "1.jpg") is None


@pytest.mark.parametrize("name", ["", "nothing.jpg"])
def test_nothing_to_send_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="There is no file"):
        pictures_body([tmp_path / name])


def test_file_that_shrinks_on_the_way_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(bytes(600_000))
    chunks = file_body(path, ZIP).chunks()
    next(chunks)
    os.truncate(path, 300_000)
    with pytest.raises(BadRequest, match="became shorter while it was sent"):
        list(chunks)
