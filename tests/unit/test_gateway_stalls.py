"""How long running jobs have stood still."""

from __future__ import annotations

from gateway.stalls import Stalls


def test_a_job_that_does_not_move_is_told_by_its_kind() -> None:
    stalls = Stalls()
    assert stalls.seconds({"a": ("train", "1"), "b": ("ingest", "1")}, 100) == {
        "train": 0,
        "ingest": 0,
    }
    assert stalls.seconds({"a": ("train", "1"), "b": ("ingest", "2")}, 130) == {
        "train": 30,
        "ingest": 0,
    }
    assert stalls.seconds({"a": ("train", "2"), "b": ("ingest", "2")}, 140) == {
        "train": 0,
        "ingest": 10,
    }


def test_the_one_that_has_stood_longest_counts() -> None:
    stalls = Stalls()
    stalls.seconds({"a": ("train", "1")}, 0)
    stalls.seconds({"a": ("train", "1"), "b": ("train", "1")}, 10)
    assert stalls.seconds({"a": ("train", "1"), "b": ("train", "2")}, 20) == {"train": 20}


def test_a_job_that_has_ended_is_forgotten() -> None:
    stalls = Stalls()
    stalls.seconds({"a": ("train", "1")}, 0)
    assert stalls.seconds({}, 50) == {}
    assert stalls.seconds({"a": ("train", "1")}, 60) == {"train": 0}
