"""What a report is made of: what training has computed anyway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.models import CurvePoint
from trainer.training.calibration import Labelled


@dataclass(frozen=True)
class Embedded:
    """Images of a run, by index, with their outputs and labels in the same order."""

    indices: NDArray[np.int64]
    images: Labelled


@dataclass(frozen=True)
class Results:
    """training: at most 20,000 of the training images; curve: as training went."""

    training: Embedded
    validation: Embedded
    curve: Sequence[CurvePoint]
