"""What training minimises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from kinsight.networks import Outputs
from trainer.training.group import ALONE


@dataclass(frozen=True)
class Loss:
    """Cross-entropy, and for hash layers two terms of Yang et al. 2018 (SSDH, eq. 5 and 6).

    quantisation: weight of −4·mean((a − ½)²), which pushes activations to 0 and 1, so that
    thresholding them loses little. balance: weight of 4·mean_n((mean_B a − ½)²), which has every
    bit set for half of the images, so that each tells as much as it can. Both lie in [0, 1] but
    for sign and vanish at weight 0. label_smoothing: Szegedy et al. 2016, §7. batch_mean: (B, n) →
    (n,), over the whole batch where several processes share it.
    """

    quantisation: float
    balance: float
    hash_layer: bool
    label_smoothing: float = 0.0
    batch_mean: Callable[[Tensor], Tensor] = ALONE.mean

    def __call__(self, outputs: Outputs, labels_B: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(
            outputs.logits.float(), labels_B, label_smoothing=self.label_smoothing
        )
        if not self.hash_layer:
            return loss
        centred = outputs.activations.float() - 0.5
        if self.quantisation:
            loss = loss + self.quantisation * (1 - 4 * centred.square().mean())
        if self.balance:
            loss = loss + self.balance * 4 * self.batch_mean(centred).square().mean()
        return loss


def correct(outputs: Outputs, labels_B: Tensor) -> Tensor:
    """How many of the batch are classified rightly, on their device."""
    return (outputs.logits.detach().argmax(dim=1) == labels_B).sum()
