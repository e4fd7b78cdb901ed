"""What the trainer shows of a run."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY

from kinsight.contracts.jobs import Progress
from trainer import metrics


def shown(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"kinsight_training_{name}", labels)


def told(**facts: Any) -> Progress:
    return Progress.model_validate({"unit": "iterations", **facts})


def test_a_run_is_shown_by_the_model_it_makes() -> None:
    metrics.run_begins()
    before = shown("iterations_total") or 0.0
    reached = metrics.observe(told(iteration=None, loss=None), "first", 0)
    assert (reached, shown("run_iteration", model="first")) == (0, None)
    reached = metrics.observe(
        told(iteration=40, loss=0.5, training_accuracy=0.75, images_per_second=99.0), "first", 0
    )
    assert reached == 40
    assert shown("run_iteration", model="first") == 40
    assert shown("run_accuracy", model="first", images="training") == 0.75
    assert shown("run_accuracy", model="first", images="validation") is None
    metrics.observe(told(iteration=50, validation_accuracy=0.625), "first", reached)
    assert shown("run_accuracy", model="first", images="validation") == 0.625
    assert shown("iterations_total") == pytest.approx(before + 50)


def test_the_last_run_stays_until_the_next_begins() -> None:
    metrics.observe(told(iteration=7, training_accuracy=0.5), "first", 0)
    metrics.run_ended()
    assert shown("run_iteration", model="first") == 7
    metrics.run_begins()
    assert shown("run_iteration", model="first") is None
    assert shown("run_accuracy", model="first", images="training") is None
