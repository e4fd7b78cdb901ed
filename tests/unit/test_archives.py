"""Archives as they come from strangers: each bad member costs itself."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from kinsight.archives import open_archive
from kinsight.archives.members import Member
from kinsight.errors import BadArchive

LIMIT = 1 << 20


def read(path: Path, start: int = 0) -> list[Member]:
    return list(open_archive(path, "folders", LIMIT).members(start))


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_label_is_the_last_folder(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"train/hat/1.png": b"x", "2.png": b"y", "boot/": b""})
    assert [(m.number, m.name, m.label) for m in read(path)] == [
        (0, "train/hat/1.png", "hat"),
        (1, "2.png", None),
    ]
    unlabelled = open_archive(path, "none", LIMIT)
    assert [m.label for m in unlabelled.members(0)] == [None, None]
    assert unlabelled.total == 2


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_interrupted_reading_goes_on_at_the_same_file(tmp_path: Path, kind: str) -> None:
    files = {f"c/{i}.png": bytes([i]) * 9 for i in range(7)}
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        make_zip(path, files)
    else:
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    assert read(path, 3) == read(path)[3:]
    assert [m.data for m in read(path)] == list(files.values())
    archive = open_archive(path, "folders", LIMIT)
    assert list(archive.names()) == list(enumerate(files))
    assert list(archive.chosen({5, 2})) == [read(path)[2], read(path)[5]]


def test_names_that_lead_out_are_refused(tmp_path: Path) -> None:
    names = ["../evil.png", "/etc/evil.png", "a/../../evil.png", "..\\evil.png"]
    members = read(make_zip(tmp_path / "a.zip", dict.fromkeys([*names, "good/1.png"], b"x")))
    assert [m.reason for m in members[:4]] == ["The name leads out of the archive."] * 4
    assert (members[4].reason, members[4].data) == (None, b"x")


def test_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "bomb.zip", {"zeros.png": bytes(64 << 20)})
    [member] = read(path)
    assert member.reason == "Larger than 1 MB, the most this server takes per image."
    assert member.data == b""


def test_size_in_the_header_is_not_believed(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "liar.zip", {"zeros.png": bytes(64 << 20)})
    raw = bytearray(path.read_bytes())
    central = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<I", raw, central + 24, 10)  # "uncompressed size: 10 bytes"
    path.write_bytes(raw)
    [member] = read(path)
    assert len(member.data) <= LIMIT


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "secret.zip", {"a.png": b"x"})
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    [member] = read(path)
    assert member.reason == "Encrypted; send the archive without a password."


def test_nested_archive_and_empty_file_are_refused(tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", {"a.png": b"x"}).read_bytes()
    members = read(make_zip(tmp_path / "outer.zip", {"inner.zip": inner, "empty.png": b""}))
    assert [m.reason for m in members] == [
        "An archive inside the archive; send it by itself.",
        "The file is empty.",
    ]


def test_damaged_member_leaves_the_others_alone(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"bad.png": bytes(range(256)) * 40, "good.png": b"y"})
    raw = bytearray(path.read_bytes())
    raw[60:100] = b"\xff" * 40
    path.write_bytes(raw)
    bad, good = read(path)
    assert bad.reason is not None
    assert bad.reason.startswith("Damaged inside the archive")
    assert (good.reason, good.data) == (None, b"y")


def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("folder/"))
    assert [m.reason for m in read(path)][:1] == ["A link or a device, not a file."]


def test_tar_that_breaks_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for i in range(3):
            info = tarfile.TarInfo(f"{i}.png")
            info.size = 5000
            archive.addfile(info, io.BytesIO(bytes([i + 1]) * 5000))
    path.write_bytes(path.read_bytes()[:8000])
    with pytest.raises(BadArchive, match="breaks off"):
        read(path)


def test_hostile_names_become_text_that_can_be_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", errors="surrogateescape", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a\udce4b/<script>.png"))
    [member] = read(path)
    member.name.encode()
    assert "\0" not in member.name


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", b"\x1f\x8b\x08rubbish", bytes(600)])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "upload"
    path.write_bytes(data)
    with pytest.raises(BadArchive):
        read(path)
