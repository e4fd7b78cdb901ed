"""Stochastic gradient descent as AlexNet §5 writes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class SGD2012(torch.optim.Optimizer):
    """v ← momentum · v − decay · ε · w − ε · ∂L/∂w,  w ← w + v, for all parameters, biases too.

    The rate ε goes into the velocity, where in `torch.optim.SGD` it multiplies the velocity at
    each step. With one rate the two are the same; after a change of ε the velocity gathered here
    still carries the old one.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float = 0.01,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
    ) -> None:
        super().__init__(
            parameters,
            {"lr": lr, "initial_lr": lr, "momentum": momentum, "weight_decay": weight_decay},
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            moved = [w for w in group["params"] if w.grad is not None]
            velocities = [self._velocity(w) for w in moved]
            gradients: list[Tensor] = [w.grad for w in moved]
            _step(moved, gradients, velocities, group)

    def _velocity(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["velocity"] = torch.zeros_like(parameter)
        velocity: Tensor = state["velocity"]
        return velocity


def _step(
    weights: list[Tensor], gradients: list[Tensor], velocities: list[Tensor], group: dict[str, Any]
) -> None:
    if not weights:
        return
    rate = group["lr"]
    torch._foreach_mul_(velocities, group["momentum"])
    torch._foreach_add_(velocities, weights, alpha=-group["weight_decay"] * rate)
    torch._foreach_add_(velocities, gradients, alpha=-rate)
    torch._foreach_add_(weights, velocities)
