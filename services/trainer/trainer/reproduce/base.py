"""What a reproduction is: a table or a figure of a paper, and the way to make it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from trainer.reproduce.bench import Bench
    from trainer.reproduce.report import Report

Scale = Literal["smoke", "small", "full"]
SCALES: dict[Scale, str] = {
    "smoke": "seconds: a handful of pictures and steps, to see that everything works",
    "small": "up to an hour on two cores: smaller networks, fewer epochs",
    "full": "as the paper; for a GPU",
}


CBIR = "Hu and Feng: an image retrieval system based on deep learning (the CBIR paper)"
ALEXNET = (
    "Krizhevsky, Sutskever and Hinton 2012: ImageNet classification with deep convolutional "
    "neural networks (AlexNet)"
)
HASH = "AlexNet with maxout, max-average pooling and a binary hash layer (the hash paper)"


@dataclass(frozen=True)
class DataWanted:
    """sets: the usual names of the data sets, by which a file or folder is found among several."""

    description: str
    sets: tuple[str, ...] = ()


WEIGHTS = frozenset({"weights"})


class Reproduction(Protocol):
    """One entry of the table of reproductions."""

    @property
    def name(self) -> str: ...

    @property
    def paper(self) -> str: ...

    @property
    def place(self) -> str:
        """Table or figure of the paper, and its section."""
        ...

    @property
    def shows(self) -> str:
        """One line."""
        ...

    @property
    def data(self) -> DataWanted: ...

    @property
    def takes(self) -> frozenset[str]:
        """Which of `weights` and `pretraining_data` it can be given."""
        ...

    def run(self, bench: Bench) -> Report:
        """Trains and measures; raises a KinsightError where that cannot be done."""
        ...
