"""How the rate moves: by the part done, and by the validation error."""

from __future__ import annotations

import json

import pytest

from trainer.training.plateau import Plateau
from trainer.training.schedule import one_cycle, warmup_cosine


def test_the_rate_rises_and_then_falls_to_nothing() -> None:
    factor = warmup_cosine(0.2)
    assert factor(0.1) == pytest.approx(0.5)
    assert factor(0.2) == pytest.approx(1.0)
    assert factor(0.6) == pytest.approx(0.5)
    assert factor(1.0) == pytest.approx(0.0, abs=1e-12)
    assert warmup_cosine(0)(0.0) == pytest.approx(1.0)


def test_one_cycle_is_a_triangle() -> None:
    factor = one_cycle(0.25)
    assert factor(0.125) == pytest.approx(0.5)
    assert factor(0.25) == pytest.approx(1.0)
    assert factor(0.625) == pytest.approx(0.5)
    assert factor(1.0) == pytest.approx(0.0)


@pytest.mark.parametrize("schedule", [warmup_cosine(0.1), one_cycle(0.1)])
def test_a_timed_schedule_does_not_heed_the_run(schedule: object) -> None:
    assert not schedule.ended  # type: ignore[attr-defined]
    schedule.validated(0.0)  # type: ignore[attr-defined]
    assert schedule.state() == {}  # type: ignore[attr-defined]


def _factors(plateau: Plateau, accuracies: list[float]) -> list[float]:
    factors = []
    for accuracy in accuracies:
        plateau.validated(accuracy)
        factors.append(plateau(0.5))
    return factors


def test_the_rate_falls_when_the_error_stops_falling() -> None:
    plateau = Plateau(patience=2)
    found = _factors(plateau, [0.1, 0.3, 0.2, 0.3, 0.4, 0.4, 0.4])
    assert found == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01])
    assert not plateau.ended


def test_the_run_ends_on_the_plateau_after_the_third_drop() -> None:
    plateau = Plateau(patience=1)
    plateau.validated(0.5)
    for factor in (0.1, 0.01, 0.001):
        plateau.validated(0.5)
        assert plateau(0.5) == pytest.approx(factor)
        assert not plateau.ended
    plateau.validated(0.5)
    assert plateau.ended


def test_a_plateau_goes_on_where_it_was() -> None:
    accuracies = [0.2, 0.1, 0.1, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1]
    for stop in range(len(accuracies)):
        whole, first, second = (Plateau(patience=2) for _ in range(3))
        expected = _factors(whole, accuracies)
        found = _factors(first, accuracies[:stop])
        # What a checkpoint keeps are plain values.
        second.restore(json.loads(json.dumps(first.state())))
        assert found + _factors(second, accuracies[stop:]) == expected
        assert second.ended == whole.ended
