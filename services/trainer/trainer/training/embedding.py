"""Passes over images without training: features, embeddings, accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinsight.networks import EmbeddingArrays, Outputs, RetrievalNetwork, to_arrays
from trainer.training.augment import Normaliser, centre_crops
from trainer.training.dataset import mapped
from trainer.training.events import Reporter
from trainer.training.group import ALONE, Group

# A CPU is quicker while a batch's activations stay in its caches; a GPU wants to be filled.
_BATCH = {"cpu": 16, "cuda": 256}


# Of the device's free memory, for canvases that lie there as long as the run lasts.
_RESIDENT_PART = 0.3


class Pictures:
    """The canvases as the network's input, centre crops unless asked otherwise."""

    def __init__(self, pixels_NSS3: NDArray[np.uint8], side: int, normalise: Normaliser) -> None:
        self.pixels, self.side, self.normalise = pixels_NSS3, side, normalise

    @property
    def device(self) -> torch.device:
        return self.normalise.device

    @property
    def canvas(self) -> int:
        """S, the side of the canvases."""
        return int(self.pixels.shape[1])

    @cached_property
    def resident(self) -> Tensor | None:
        """(N, S, S, 3) uint8 on a CUDA device, where they take up to 30 % of its free memory."""
        if self.device.type != "cuda":
            return None
        free, _ = torch.cuda.mem_get_info(self.device)
        if self.pixels.nbytes > _RESIDENT_PART * free:
            return None
        return torch.from_numpy(self.pixels).to(self.device)

    def __getitem__(self, indices: NDArray[np.int64]) -> Tensor:
        """(B, 3, side, side) on the device."""
        return self.normalise(centre_crops(self.pixels, indices, self.side))


def blocks(indices: NDArray[np.int64], device: torch.device) -> Iterator[NDArray[np.int64]]:
    """The indices in parts of a size that suits the device."""
    size = _BATCH.get(device.type, _BATCH["cuda"])
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def evaluated(
    module: nn.Module, inputs: Callable[[NDArray[np.int64]], Tensor], indices: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], Outputs]]:
    """Batches of indices with the module's outputs, in evaluation mode."""
    module.eval()
    device = next(module.parameters()).device
    for block in blocks(indices, device):
        with torch.inference_mode():
            yield block, module(inputs(block))


def accuracy(
    module: nn.Module,
    inputs: Callable[[NDArray[np.int64]], Tensor],
    indices: NDArray[np.int64],
    labels_N: NDArray[np.int64],
    group: Group = ALONE,
) -> float:
    """Part of these images that is classified rightly; 0 of none. The group shares the work."""
    right = torch.zeros(1, dtype=torch.float64)
    for block, outputs in evaluated(module, inputs, indices[group.rank :: group.size]):
        predicted = outputs.logits.argmax(dim=1).cpu().numpy()
        right += int((predicted == labels_N[block]).sum())
    return float(group.sum(right)) / max(1, len(indices))


def embed(
    module: nn.Module,
    inputs: Callable[[NDArray[np.int64]], Tensor],
    indices: NDArray[np.int64],
    advance: Callable[[int], None],
) -> EmbeddingArrays:
    """All outputs for these images, in their order."""
    parts = []
    for block, outputs in evaluated(module, inputs, indices):
        parts.append(to_arrays(outputs))
        advance(len(block))
    return EmbeddingArrays(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def cached_features(
    network: RetrievalNetwork,
    pictures: Pictures,
    indices: NDArray[np.int64],
    file: Path,
    reporter: Reporter,
    *,
    mirrored: bool = False,
    group: Group = ALONE,
) -> NDArray[np.float32]:
    """(N, d) float32, rows filled at `indices`; kept in the file, so a resumed run goes on.

    mirrored: of the mirror images. The group shares the work and the file.
    """
    shape = (len(pictures.pixels), network.feature_dimensions)
    with group.leader_first():
        features = mapped(file.with_suffix(".f32"), shape, np.float32)
        present = mapped(file.with_suffix(".u8"), shape[:1], np.uint8)
        missing = indices[present[indices] == 0]
    done = len(indices) - len(missing)
    reporter.phase("features", len(indices), done=done)
    network.eval()
    for block in blocks(missing[group.rank :: group.size], pictures.device):
        x = pictures[block]
        with torch.inference_mode():
            found = network.features(x.flip(3) if mirrored else x)
        features[block] = found.float().cpu().numpy()
        features.flush()
        present[block] = 1
        done = min(done + len(block) * group.size, len(indices))
        reporter.advance(done)
    group.barrier()
    return features
