"""Which parameters move at which rate, and which of them decay."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn


def parameter_groups(
    network: nn.Module,
    pretrained: Collection[str],
    *,
    rate: float,
    pretrained_rate: float,
    weight_decay: float,
) -> list[dict[str, Any]]:
    """For an optimiser of torch. pretrained: names of parameters that came with given weights;
    they move at `pretrained_rate` times the rate. Only weights decay.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        # Biases and the scales of normalisation layers are vectors; decay would only shift them.
        groups.setdefault((name in pretrained, parameter.ndim > 1), []).append(parameter)
    described = []
    for (given, decays), parameters in groups.items():
        own = rate * (pretrained_rate if given else 1.0)
        decay = weight_decay if decays else 0.0
        described.append(
            {"params": parameters, "lr": own, "initial_lr": own, "weight_decay": decay}
        )
    return described
