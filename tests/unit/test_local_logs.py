"""Log files that children write and the supervisor bounds."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kinsight.local.logs import LogFile


def write(descriptor: int, *lines: str) -> None:
    for line in lines:
        os.write(descriptor, f"{line}\n".encode())


def test_a_small_file_is_left_alone(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", max_bytes=100)
    write(log.open(), "x" * 99)
    assert not log.rotate_if_large()
    assert not LogFile(tmp_path / "missing.log").rotate_if_large()


def test_a_writer_goes_on_in_the_same_file_after_rotation(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", max_bytes=10)
    descriptor = log.open()
    write(descriptor, "before, and long")
    assert log.rotate_if_large()
    write(descriptor, "after")
    assert log.path.read_text() == "after\n"
    assert (tmp_path / "a.log.1").read_text() == "before, and long\n"


def test_old_parts_are_dropped(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", max_bytes=1, parts=3)
    descriptor = log.open()
    for number in range(6):
        write(descriptor, str(number))
        assert log.rotate_if_large()
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert texts == {"a.log": "", "a.log.1": "5\n", "a.log.2": "4\n", "a.log.3": "3\n"}


def test_only_the_owner_may_read_a_log(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", max_bytes=1)
    write(log.open(), "secret")
    log.rotate_if_large()
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_tail_of_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert LogFile(tmp_path / "missing.log").tail() == []


@given(
    old=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), max_size=20),
    new=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), max_size=20),
    lines=st.integers(1, 25),
)
def test_tail_is_the_last_lines_since_an_offset(
    tmp_path_factory, old: list[str], new: list[str], lines: int
) -> None:
    log = LogFile(tmp_path_factory.mktemp("tail") / "a.log")
    descriptor = log.open()
    write(descriptor, *old)
    offset = log.size()
    write(descriptor, *new)
    os.close(descriptor)
    assert log.tail(lines) == (old + new)[-lines:]
    assert log.tail(lines, since=offset) == new[-lines:]
