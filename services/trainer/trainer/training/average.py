"""An exponential moving average of a network's weights while it is trained.

Polyak & Juditsky 1992; as in Izmailov et al. 2018 and most recipes since, the averaged network
generalises better than the last one, and is there without further training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Follows the parameters and the floating-point buffers (running means) of a module.

    decay: of a step. While the average is young it decays faster, (1 + n) / (10 + n) after n
    steps, so that the first weights do not linger. every: steps between two updates, each of
    which counts for all of them, as reading all weights takes time.
    """

    def __init__(self, module: nn.Module, *, decay: float, every: int = 1) -> None:
        self._module, self._decay, self._every = module, decay, every
        self._steps = 0
        self._averaged = {name: tensor.clone() for name, tensor in _floating(module).items()}

    @torch.no_grad()
    def step(self) -> None:
        """After each step of the optimiser."""
        self._steps += 1
        if self._steps % self._every:
            return
        young = (1 + self._steps) / (10 + self._steps)
        weight = 1 - min(self._decay, young) ** self._every
        torch._foreach_lerp_(
            list(self._averaged.values()), list(_floating(self._module).values()), weight
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averaged weights inside, and its own again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def keep(self) -> None:
        """The module has the averaged weights from now on."""
        with torch.no_grad():
            for name, tensor in _floating(self._module).items():
                tensor.copy_(self._averaged[name])

    def state(self) -> dict[str, object]:
        return {"steps": self._steps, "averaged": self._averaged}

    def restore(self, state: dict[str, object]) -> None:
        averaged, steps = state["averaged"], state["steps"]
        assert isinstance(averaged, dict)
        assert isinstance(steps, int)
        self._steps = steps
        for name, tensor in self._averaged.items():
            tensor.copy_(averaged[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, tensor in _floating(self._module).items():
            own = tensor.clone()
            tensor.copy_(self._averaged[name])
            self._averaged[name].copy_(own)


def _floating(module: nn.Module) -> dict[str, Tensor]:
    """Detached, in the order of the module's state."""
    return {
        name: tensor.detach()
        for name, tensor in module.state_dict().items()
        if tensor.is_floating_point()
    }
