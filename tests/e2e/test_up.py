"""`kinsight up`: the first start with its sample, a stop in the middle, and later starts."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from e2e.system import System, up
from kinsight.clients import Kinsight
from kinsight.contracts.jobs import Job

pytestmark = pytest.mark.slow

_ADDRESSES = "REST, to try"


def _wait_for_output(system: System, text: str, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while text not in system.output.read_text():
        assert system.process.poll() is None, system.output.read_text()
        assert time.monotonic() < deadline, system.output.read_text()
        time.sleep(0.1)
    return system.output.read_text()


def _wait_for_training(client: Kinsight) -> Job:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for job in client.jobs(kind="train"):
            if job.progress.done > 0:
                return job
        time.sleep(0.1)
    raise AssertionError("the sample is not trained")


def test_sample_survives_a_stop_and_is_loaded_once(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with up(data_dir) as system, Kinsight(system.url) as client:
        job = _wait_for_training(client)  # the system answers while the sample loads
        assert client.library("digits").model is None
        began = time.monotonic()
        assert system.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began < 20
        assert not (data_dir / "run.json").exists()

    with up(data_dir) as system, Kinsight(system.url) as client:
        text = _wait_for_output(system, _ADDRESSES, 240)
        assert system.url in text
        assert "compared, adaptive routing to" in text  # the answer of one search
        assert [found.id for found in client.jobs(kind="train")] == [job.id]
        library = client.library("digits")
        assert (library.images, library.indexed) == (1497, 1497)
        assert system.stop(signal.SIGINT) == 0

    began = time.monotonic()
    with up(data_dir) as system, Kinsight(system.url) as client:
        text = _wait_for_output(system, _ADDRESSES, 30)
        assert time.monotonic() - began < 20  # 10 on an idle machine
        assert "Sending the sample" not in text
        assert client.library("digits") == library
        assert len(list(client.jobs(kind="train"))) == 1


def test_two_systems_run_side_by_side(system: System, tmp_path: Path) -> None:
    with up(tmp_path / "data", "--no-sample") as other, Kinsight(other.url) as client:
        assert other.url != system.url
        assert client.libraries() == []
        client.create_library("other")
    with Kinsight(system.url) as client:
        assert all(library.name != "other" for library in client.libraries())


def test_second_system_on_a_folder_is_refused(system: System) -> None:
    refused = system.run("up", "--port", "0", "--data-dir", str(system.data_dir))
    assert refused.code == 1
    assert "Already running" in refused.stderr
    with Kinsight(system.url) as client:
        client.libraries()


def test_other_machines_are_let_in_with_keys_only(system: System, tmp_path: Path) -> None:
    refused = system.run(
        "up", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path / "data")
    )
    assert refused.code == 1
    assert "KINSIGHT_API_KEYS" in refused.stderr
