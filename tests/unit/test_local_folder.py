"""The data folder of the embedded run: its place, its lock, its record of the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kinsight.errors import AlreadyRunning, StartFailed
from kinsight.local.cluster import Cluster
from kinsight.local.folder import (
    RunRecord,
    default_data_dir,
    make_data_dir,
    read_run,
    run_file,
)
from kinsight.local.lock import FolderLock


def test_the_environment_chooses_the_folder() -> None:
    chosen = {"KINSIGHT_DATA_DIR": "/srv/kinsight", "XDG_DATA_HOME": "/elsewhere"}
    assert default_data_dir(chosen) == Path("/srv/kinsight")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has another convention")
@pytest.mark.parametrize(
    ("xdg", "expected"),
    [
        ("/elsewhere", Path("/elsewhere/kinsight")),
        ("", Path.home() / ".local" / "share" / "kinsight"),
        ("relative/folder", Path.home() / ".local" / "share" / "kinsight"),
    ],
)
def test_without_it_the_platform_does(xdg: str, expected: Path) -> None:
    assert default_data_dir({"XDG_DATA_HOME": xdg}) == expected


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StartFailed, match="--data-dir"):
            make_data_dir(folder)


def test_others_cannot_list_a_new_folder(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o066 == 0


def test_a_second_owner_is_refused_by_name(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}\b.*--data-dir"):
        second.acquire()
    assert first.held and not second.held
    first.release()
    second.acquire()
    second.release()


def test_a_dead_owner_holds_nothing(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; from kinsight.local.lock import FolderLock;"
        "FolderLock(pathlib.Path(sys.argv[1])).acquire(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "lock")], check=False)
    lock = FolderLock(tmp_path / "lock")
    lock.acquire()
    lock.release()


def test_the_record_of_a_run_is_read_back(tmp_path: Path) -> None:
    record = RunRecord(
        instance="a1",
        supervisor_pid=1,
        url="http://127.0.0.1:8000",
        ports={"gateway": 8000},
        pids={"gateway": 2},
        postgres_pid=None,
        database_url="postgresql://kinsight@/kinsight?host=/tmp",
        store_url="file:///tmp/store",
        started_at="2026-11-21T00:00:00+00:00",
    )
    assert read_run(tmp_path) is None
    record.write(tmp_path)
    assert read_run(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    run_file(tmp_path).write_text('{"half')
    assert read_run(tmp_path) is None


def test_the_socket_path_stays_within_the_limit_of_the_system(tmp_path: Path) -> None:
    short, long = Cluster(Path("/srv/kinsight")), Cluster(tmp_path / ("x" * 100))
    assert short.socket == Path("/srv/kinsight/postgres/socket")
    assert len(os.fsencode(long.socket / ".s.PGSQL.5432")) <= 103
    assert long.socket != Cluster(tmp_path / ("y" * 100)).socket
