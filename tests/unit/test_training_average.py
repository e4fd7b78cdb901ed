"""The moving average of a network's weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainer.training.average import WeightAverage


def _module(value: float) -> nn.Module:
    module = nn.BatchNorm1d(1)
    _set(module, value)
    return module


def _set(module: nn.Module, value: float) -> None:
    with torch.no_grad():
        module.get_parameter("weight").fill_(value)
        module.get_buffer("running_mean").fill_(-value)


def _values(module: nn.Module) -> list[float]:
    return [
        float(module.get_parameter("weight").detach()),
        float(module.get_buffer("running_mean")),
    ]


def test_it_follows_parameters_and_running_means() -> None:
    module = _module(1.0)
    average = WeightAverage(module, decay=0.1)
    expected = 1.0
    for value in (2.0, 5.0, 3.0):
        _set(module, value)
        average.step()
        expected = 0.1 * expected + 0.9 * value
    with average.applied():
        assert _values(module) == pytest.approx([expected, -expected])
    assert _values(module) == [3.0, -3.0]
    average.keep()
    assert _values(module) == pytest.approx([expected, -expected])


def test_a_young_average_forgets_faster() -> None:
    module = _module(1.0)
    average = WeightAverage(module, decay=0.999)
    _set(module, 2.0)
    average.step()
    average.keep()
    assert _values(module)[0] == pytest.approx(1 + 9 / 11)


def test_rare_updates_count_for_the_steps_between() -> None:
    module, often = _module(0.0), _module(0.0)
    rare = WeightAverage(module, decay=0.9, every=4)
    each = WeightAverage(often, decay=0.9)
    for _ in range(400):
        rare.step()
        each.step()
    for moved, average in ((module, rare), (often, each)):
        _set(moved, 1.0)
        for _ in range(20):
            average.step()
        average.keep()
    assert _values(module)[0] == pytest.approx(1 - 0.9**20)
    assert _values(module) == pytest.approx(_values(often))


def test_it_goes_on_where_it_was() -> None:
    module = _module(1.0)
    average = WeightAverage(module, decay=0.5, every=2)
    for value in (2.0, 3.0, 4.0):
        _set(module, value)
        average.step()
    other = _module(4.0)
    resumed = WeightAverage(other, decay=0.5, every=2)
    resumed.restore(average.state())
    for moved, its in ((module, average), (other, resumed)):
        _set(moved, 7.0)
        its.step()
        its.keep()
    assert _values(other) == _values(module)


def test_an_error_inside_gives_the_weights_back() -> None:
    module = _module(1.0)
    average = WeightAverage(module, decay=0.5)
    _set(module, 2.0)
    with pytest.raises(ZeroDivisionError), average.applied():
        raise ZeroDivisionError
    assert _values(module) == [2.0, -2.0]
