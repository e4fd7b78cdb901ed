"""`kinsight reproduce`: the real command, its exit codes, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from e2e.system import KINSIGHT
from trainer.reproduce import REPRODUCTIONS

pytestmark = pytest.mark.slow


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*KINSIGHT, "reproduce", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _run(*arguments: str) -> tuple[int, str, str]:
    process = _start(*arguments)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def test_the_list_names_all_of_them_one_a_line() -> None:
    code, output, _ = _run("--list")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == list(REPRODUCTIONS)


def test_stopped_by_ctrl_c_and_gone_on(test_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("alexnet-table-2", "--data", str(test_data / "clothing.zip"), "--out", str(out))
    process = _start(*arguments, "--scale", "smoke")
    assert process.stderr is not None
    while "CNN 2: training" not in process.stderr.readline():
        assert process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "goes on where it stopped" in errors
    assert not psutil.wait_procs(children, timeout=5)[1]
    assert not (out / "report.json").exists()

    code, output, errors = _run(*arguments, "--scale", "smoke", "--json")
    assert code == 0, errors
    document = json.loads(output)
    assert document == json.loads((out / "report.json").read_text())
    assert [row["paper"]["top1"] for row in document["tables"][0]["rows"]] == [
        40.7,
        38.1,
        39.0,
        36.7,
    ]
    # What was trained before the stop is not trained again.
    finished = [line for line in errors.splitlines() if "trained before, taken from work" in line]
    assert any(line.startswith("CNN 1:") for line in finished)


def test_a_killed_command_leaves_nothing_behind(test_data: Path, tmp_path: Path) -> None:
    process = _start(
        *("hash-table-1", "--data", str(test_data / "mnist.npz"), "--scale", "smoke"),
        *("--out", str(tmp_path)),
    )
    assert process.stderr is not None
    while "training" not in process.stderr.readline():
        assert process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert not psutil.wait_procs(children, timeout=20)[1]


def test_bad_requests_say_what_to_do(test_data: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    code, _, errors = _run("hash-table-9", "--data", str(tmp_path), "--out", out)
    assert code == 2
    assert "hash-table-5" in errors
    code, _, errors = _run("hash-table-1", "--out", out)
    assert (code, "missing: --data DIR" in errors) == (2, True)
    for wrong in (("--scale", "huge"), ("--device", "tpu"), ("--seed", "-1")):
        code, _, _ = _run("hash-table-1", "--data", str(tmp_path), "--out", out, *wrong)
        assert code == 2, wrong

    code, output, _ = _run(
        "hash-table-3", "--data", str(test_data), "--out", out, "--json", "--scale", "smoke"
    )
    assert code == 1
    problem = json.loads(output)
    assert problem["code"] == "bad-request"
    assert "cifar100*" in problem["detail"] and "cifar10.zip" in problem["detail"]
    data = str(test_data / "mnist.npz")
    code, output, _ = _run(
        *("hash-table-1", "--data", data, "--out", out, "--json"),
        *("--weights", str(test_data / "weights" / "mobilenet_v2.safetensors")),
    )
    assert code == 1
    assert "holds no AlexNet" in json.loads(output)["detail"]
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "report.md").write_text("# hash-table-2: another\n")
    code, output, _ = _run("hash-table-1", "--data", data, "--out", out, "--json")
    assert code == 1
    assert "holds another report" in json.loads(output)["detail"]


def test_what_is_at_work_in_a_folder_is_alone(test_data: Path, tmp_path: Path) -> None:
    arguments = ("hash-table-1", "--data", str(test_data / "mnist.npz"), "--out", str(tmp_path))
    first = _start(*arguments, "--scale", "smoke")
    assert first.stderr is not None
    while "reading" not in first.stderr.readline():
        assert first.poll() is None
    code, output, _ = _run(*arguments, "--scale", "smoke", "--json")
    first.send_signal(signal.SIGTERM)
    began = time.monotonic()
    first.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert first.returncode == 130
    assert code == 1
    assert "Another reproduction is at work" in json.loads(output)["detail"]
