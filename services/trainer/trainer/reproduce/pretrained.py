"""`--weights`: an AlexNet trained elsewhere, as a start for the papers' fine-tuned networks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinsight.errors import UnfitWeights

if TYPE_CHECKING:
    from torch import Tensor

_TORCHVISION_FIRST = "features.0.weight"
_OWN_FIRST = "convolutions.conv1.conv.weight"
# What torchvision's AlexNet is: that of Krizhevsky 2014.
_TORCHVISIONS = {"channels": "2014", "towers": 1, "response_norm": False}


@dataclass(frozen=True)
class Fitted:
    """An `alexnet` whose initial values lie in the store as uploaded weights do."""

    options: dict[str, Any]
    weights: str


@dataclass
class Pretrained:
    """told: which layers could not be taken, by network."""

    state: Mapping[str, Tensor]
    store: Path
    told: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, file: Path | None, store: Path) -> Pretrained | None:
        """Raises UnfitWeights where the file holds no AlexNet."""
        if file is None:
            return None
        from kinsight.networks import load_state  # brings torch

        state = load_state(file)
        if _OWN_FIRST not in state and _TORCHVISION_FIRST not in state:
            raise UnfitWeights(
                f"{file} holds no AlexNet: neither {_OWN_FIRST} of this product's network nor "
                f"{_TORCHVISION_FIRST} of torchvision's."
            )
        return cls(state, store)

    @property
    def is_torchvisions(self) -> bool:
        """torchvision's AlexNet has other channels than the paper's (64 in the first layer)."""
        return _TORCHVISION_FIRST in self.state and len(self.state[_TORCHVISION_FIRST]) == 64

    def into(self, options: dict[str, Any], *, seed: int) -> Fitted | None:
        """Every layer that has the given one's shape takes its values, the others start afresh.

        options: of `alexnet`; torchvision's weights change those that they were trained with. None
        where no convolution is of the same shape.
        """
        import torch
        from safetensors.torch import save

        from kinsight import networks

        torch.manual_seed(seed)
        if self.is_torchvisions:
            options = {**options, **_TORCHVISIONS}
            told = (
                "The given weights are of torchvision's AlexNet: 64, 192, 384, 256, 256 maps, one "
                "tower, no response normalisation; so are these networks."
            )
            self.told += [told] if told not in self.told else []
        built = networks.build("alexnet", options, classes=2)
        given = built.own_names(self.state)
        whole = {
            name: tensor
            for name, tensor in built.state_dict().items()
            if not name.startswith("head.")
        }
        fresh = {
            _layer(name)
            for name, tensor in whole.items()
            if name not in given or given[name].shape != tensor.shape
        }
        taken = {name: given[name].contiguous() for name in whole if _layer(name) not in fresh}
        if not any(tensor.ndim == 4 for tensor in taken.values()):
            return None
        if fresh:
            told = f"Not in the given weights, started afresh: {', '.join(sorted(fresh))}."
            self.told += [told] if told not in self.told else []
        data = save({**{n: t.contiguous() for n, t in whole.items()}, **taken})
        digest = hashlib.sha256(data).hexdigest()
        path = self.store / "weights" / f"{digest}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            partial = path.with_suffix(".partial")
            partial.write_bytes(data)
            partial.replace(path)
        return Fitted(options, f"sha256:{digest}")


def _layer(name: str) -> str:
    """Whose tensor it is; a layer is taken whole or not at all."""
    return name.rpartition(".")[0]
