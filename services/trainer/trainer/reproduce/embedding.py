"""The outputs of a stored model for canvases, by one crop or by ten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinsight.contracts.models import ModelCard
from kinsight.images.preprocess import centre, ten_crops
from kinsight.networks import EmbeddingArrays, Outputs, RetrievalNetwork, to_arrays
from kinsight.networks.model_folder import load, weights_key
from trainer.training import devices
from trainer.training.augment import Normaliser

# Crops at a time: a CPU is quicker while activations stay in its caches; a GPU wants to be filled.
_BATCH = {"cpu": 20, "cuda": 2000}


def stored_network(store: Path, card: ModelCard) -> RetrievalNetwork:
    """In evaluation mode, on the CPU; raises UnfitWeights where its file is damaged."""
    return load(store / weights_key(card.id), card)


def embed_rows(
    store: Path,
    card: ModelCard,
    pixels_NSS3: NDArray[np.uint8],
    rows: NDArray[np.int64],
    *,
    crops: int,
) -> EmbeddingArrays:
    """Of these rows of the canvases, in their order. With ten crops the outputs are the means over
    them (AlexNet §4.1), and the code that of the mean activations.
    """
    device = devices.choose()
    network = stored_network(store, card).to(device.torch)
    normalise = Normaliser(card.preprocessing, device.torch)
    side = card.preprocessing.input_size
    size = max(1, _BATCH.get(device.torch.type, _BATCH["cuda"]) // crops)
    parts = []
    for start in range(0, len(rows), size):
        canvases = pixels_NSS3[rows[start : start + size]]
        cut = [ten_crops(one, side) if crops == 10 else centre(one, side)[None] for one in canvases]
        with torch.inference_mode(), device.autocast():
            outputs = network(normalise(np.concatenate(cut)))
            parts.append(to_arrays(_mean_over(outputs, crops)))
    return EmbeddingArrays(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _mean_over(outputs: Outputs, crops: int) -> Outputs:
    """(B, …) to (B / crops, …); softmax(log p̄) = p̄ carries the mean of the probabilities."""
    if crops == 1:
        return outputs

    def mean(values: Tensor) -> Tensor:
        return values.float().reshape(-1, crops, values.shape[1]).mean(1)

    probabilities = mean(outputs.probabilities).clamp_min(torch.finfo(torch.float32).tiny)
    return Outputs(probabilities.log(), mean(outputs.feature), mean(outputs.activations))
