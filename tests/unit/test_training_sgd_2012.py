"""The paper's update rule, against the formula and against torch's."""

from __future__ import annotations

import copy

import torch
from torch import nn

from trainer.training.sgd_2012 import SGD2012

GRADIENTS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
START = torch.tensor([1.0, -2.0, 0.5, 3.0])


def _walk(kind: str, rates: list[float]) -> torch.Tensor:
    weight = nn.Parameter(START.clone())
    make = SGD2012 if kind == "paper" else torch.optim.SGD
    optimiser = make([weight], lr=rates[0], momentum=0.9, weight_decay=5e-4)  # type: ignore[operator]
    for gradient, rate in zip(GRADIENTS, rates, strict=True):
        optimiser.param_groups[0]["lr"] = rate
        weight.grad = gradient.clone()
        optimiser.step()
    return weight.detach()


def test_steps_follow_the_formula() -> None:
    rates = [0.1, 0.1, 0.1, 0.01, 0.01, 0.001]
    w, v = START.double(), torch.zeros(4, dtype=torch.float64)
    for gradient, rate in zip(GRADIENTS.double(), rates, strict=True):
        v = 0.9 * v - 0.0005 * rate * w - rate * gradient
        w = w + v
    torch.testing.assert_close(_walk("paper", rates).double(), w, rtol=1e-6, atol=1e-6)


def test_it_is_torchs_rule_as_long_as_the_rate_stays() -> None:
    torch.testing.assert_close(_walk("paper", [0.1] * 6), _walk("torch", [0.1] * 6))


def test_after_a_change_of_the_rate_the_velocity_keeps_the_old_one() -> None:
    rates = [0.1, 0.1, 0.1, 0.01, 0.01, 0.01]
    paper, torchs = _walk("paper", rates), _walk("torch", rates)
    # torch's velocity of the first three steps goes on at a tenth; the paper's in full.
    assert (paper - torchs).abs().max() > 0.05


def test_the_velocity_is_part_of_the_state() -> None:
    weight = nn.Parameter(START.clone())
    optimiser = SGD2012([weight])
    weight.grad = GRADIENTS[0].clone()
    optimiser.step()
    again = nn.Parameter(weight.detach().clone())
    resumed = SGD2012([again])
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for parameter, steps in ((weight, optimiser), (again, resumed)):
        parameter.grad = GRADIENTS[1].clone()
        steps.step()
    torch.testing.assert_close(again, weight, rtol=0, atol=0)


def test_parameters_without_a_gradient_stay() -> None:
    weight = nn.Parameter(START.clone())
    SGD2012([weight]).step()
    torch.testing.assert_close(weight.detach(), START)
