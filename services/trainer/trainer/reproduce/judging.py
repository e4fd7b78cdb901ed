"""A trained network on pictures it has not seen: errors, and what their codes find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.libraries import TrainingImage
from kinsight.images.limits import Limits
from trainer.reproduce.listening import Listener
from trainer.training.events import Reporter

if TYPE_CHECKING:
    from kinsight.contracts.evaluation import EvaluationRow
    from kinsight.contracts.models import ModelCard
    from kinsight.networks import EmbeddingArrays
    from trainer.training.calibration import Labelled

Crops = Literal[1, 10]


@dataclass(frozen=True)
class Errors:
    """Of the classifier, in per cent of the pictures judged."""

    top1: float
    top5: float
    pictures: int


class Judge:
    """One model's outputs for the images of a set, computed when they are asked for.

    classes of the model; images whose label is not among them are wrong.
    """

    def __init__(
        self,
        store: Path,
        card: ModelCard,
        images: Sequence[TrainingImage],
        scratch: Path,
        say: Callable[[str], None],
        *,
        name: str,
        crops: Crops = 1,
    ) -> None:
        self._store, self._scratch, self._say, self._name = store, scratch, say, name
        self._crops = crops
        self.card, self.images = card, images

    @cached_property
    def pixels(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """(N, S, S, 3) canvases of all images, and the rows of those that can be read."""
        from trainer.training.dataset import read_canvases
        from trainer.training.store_access import StoreAccess

        with StoreAccess(self._store.resolve().as_uri()) as store:
            reporter = Reporter(Listener(f"{self._name}: test", self._say, self._scratch / "curve"))
            canvases = store.run(
                read_canvases(
                    self.images,
                    self.card.preprocessing,
                    store.store,
                    self._scratch,
                    reporter,
                    Limits(),
                )
            )
        return canvases.pixels, np.flatnonzero(canvases.readable)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,) class numbers of the images that can be read; -1 for an unknown class."""
        number = {name: i for i, name in enumerate(self.card.classes)}
        rows = self.pixels[1]
        return np.array([number.get(self.images[i].label, -1) for i in rows], dtype=np.int64)

    @cached_property
    def outputs(self) -> EmbeddingArrays:
        """Of the images that can be read, in their order."""
        from trainer.reproduce.embedding import embed_rows

        pixels, rows = self.pixels
        self._say(f"{self._name}: judging {len(rows):,} pictures")
        return embed_rows(self._store, self.card, pixels, rows, crops=self._crops)

    def errors(self) -> Errors:
        return errors_of(self.outputs.probabilities, self.labels)

    def labelled(self) -> Labelled:
        from trainer.training.calibration import Labelled

        return Labelled(self.outputs, self.labels)

    def retrieval(
        self,
        database: Judge,
        spaces: Sequence[str],
        routings: Sequence[str],
        *,
        queries: Labelled | None = None,
    ) -> list[EvaluationRow]:
        """These images, or some of them, as queries against others under the same model."""
        from trainer.offline_evaluation import evaluate

        return evaluate(
            database.labelled(),
            queries or self.labelled(),
            self.card.retrieval,
            classes=self.card.classes,
            feature_metric=self.card.feature_metric,
            spaces=spaces,
            routings=routings,
        )


def errors_of(probabilities_NK: NDArray[np.float32], labels_N: NDArray[np.int64]) -> Errors:
    """Top-1 and top-5 error; equal probabilities go by class number."""
    order = np.argsort(-probabilities_NK, axis=1, kind="stable")
    right = order == labels_N[:, None]
    count = max(1, len(labels_N))
    top1 = 100 * (1 - right[:, :1].sum() / count)
    top5 = 100 * (1 - right[:, :5].sum() / count)
    return Errors(float(top1), float(top5), len(labels_N))
