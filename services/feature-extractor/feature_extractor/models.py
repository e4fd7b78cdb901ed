"""Models in memory: loaded from the store when first asked for, the least used dropped."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from feature_extractor.batching import Batcher
from feature_extractor.device import Device
from feature_extractor.lanes import Lane
from feature_extractor.optimise import Variant, quickest
from feature_extractor.pace import Pace
from feature_extractor.passing_thread import in_passing_thread
from kinsight.contracts.models import ModelCard
from kinsight.errors import BlobNotFound, ModelNotFound, Unavailable, UnfitWeights
from kinsight.networks import EmbeddingArrays, Outputs, RetrievalNetwork, to_arrays
from kinsight.networks.model_folder import card_key, load, weights_key
from kinsight.store import Store

_log = logging.getLogger(__name__)
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_CHECK_ROWS = 4
_WARM_UP_SECONDS = 60.0


class LoadedModel:
    """A network on its device, its card, and the batch size that suits both."""

    def __init__(self, card: ModelCard, variant: Variant, device: Device, pace: Pace) -> None:
        self.card = card
        self.variant = variant
        self.device = device
        self.pace = pace
        mean = torch.tensor(card.preprocessing.mean).view(1, 3, 1, 1)
        deviation = torch.tensor(card.preprocessing.std).view(1, 3, 1, 1)
        self._scale = (1 / (255 * deviation)).to(device.torch)
        self._shift = (-mean / deviation).to(device.torch)

    def run(self, rows_BHWC: NDArray[np.uint8], crops: int = 1) -> EmbeddingArrays:
        """Embeddings of B / crops pictures from (B, S, S, 3) pixels, crop after crop.

        With several crops a picture's outputs are their means (AlexNet §4.1), and its code comes
        from the mean activations. A batch too large for the device's memory is halved; raises
        Unavailable where not even one picture fits.
        """
        try:
            with torch.inference_mode():
                outputs = self.variant(self.normalised(rows_BHWC))
                return to_arrays(_mean_over(outputs, crops) if crops > 1 else outputs)
        except torch.OutOfMemoryError as error:
            if len(rows_BHWC) <= crops:
                raise Unavailable(
                    f"{self.device.name} has too little free memory for one picture; end other "
                    "programs on it, or set KINSIGHT_DEVICE=cpu."
                ) from error
        torch.cuda.empty_cache()
        middle = len(rows_BHWC) // crops // 2 * crops
        _log.warning("%s is out of memory at %d inputs.", self.device.name, len(rows_BHWC))
        one, other = self.run(rows_BHWC[:middle], crops), self.run(rows_BHWC[middle:], crops)
        return EmbeddingArrays(
            np.concatenate((one.probabilities, other.probabilities)),
            np.concatenate((one.feature, other.feature)),
            np.concatenate((one.code, other.code)),
        )

    def normalised(self, rows_BHWC: NDArray[np.uint8]) -> Tensor:
        """(B, 3, S, S) float32 on the device: (pixel / 255 − mean) / deviation.

        The permuted view keeps the pixels' order in memory, which is channels_last.
        """
        pixels = torch.from_numpy(rows_BHWC).to(self.device.torch, non_blocking=True)
        return pixels.permute(0, 3, 1, 2).float().mul_(self._scale).add_(self._shift)


class Models:
    """At most `capacity` models; every method belongs to one event loop."""

    def __init__(
        self, store: Store, device: Device, batcher: Batcher, *, capacity: int, batch_seconds: float
    ) -> None:
        self._store = store
        self.device = device
        self._batcher = batcher
        self._capacity = capacity
        self._batch_seconds = batch_seconds
        self._loading: OrderedDict[str, asyncio.Task[LoadedModel]] = OrderedDict()

    async def get(self, model_id: str) -> LoadedModel:
        """From memory, or loaded, once however many ask; others are served meanwhile.

        Raises ModelNotFound, UnfitWeights.
        """
        task = self._loading.get(model_id)
        if task is None:
            task = asyncio.create_task(self._load(model_id), name=f"load {model_id}")
            self._loading[model_id] = task
        self._loading.move_to_end(model_id)
        try:
            # Shielded: one who goes away must not break off the load for the others.
            model = await asyncio.shield(task)
        except BaseException:
            if task.done() and self._loading.get(model_id) is task:
                del self._loading[model_id]
            raise
        self._drop_least_used()
        return model

    def forget(self, model_id: str) -> None:
        """Batches under way keep the network until they are done."""
        self._loading.pop(model_id, None)

    def loaded(self) -> list[str]:
        """Ids, the least recently used first."""
        return [
            model_id
            for model_id, task in self._loading.items()
            if task.done() and not task.cancelled() and task.exception() is None
        ]

    def _drop_least_used(self) -> None:
        for model_id in self.loaded()[: -self._capacity]:
            _log.info("Model %s leaves memory.", model_id)
            del self._loading[model_id]

    async def _load(self, model_id: str) -> LoadedModel:
        began = time.perf_counter()
        if not _MODEL_ID.fullmatch(model_id):
            raise _unknown(model_id)
        try:
            card = ModelCard.model_validate_json(await self._store.get(card_key(model_id)))
            async with self._store.local_file(weights_key(model_id)) as path:
                network = await in_passing_thread(partial(load, path, card))
        except BlobNotFound as error:
            raise _unknown(model_id) from error
        except ValidationError as error:
            raise UnfitWeights(
                f"The card of model {model_id} cannot be read ({error.error_count()} fields are "
                "wrong); train the model again."
            ) from error
        model = await in_passing_thread(partial(self._prepare, network, card))
        # Kernels are prepared at a thread's first use of them, so the first run is no search's.
        side = card.preprocessing.input_size
        black = np.zeros((1, side, side, 3), np.uint8)
        await self._batcher.embed(model, black, Lane.SEARCH, _WARM_UP_SECONDS)
        _log.info(
            "Model %s loaded in %.2f s: %s on %s, %s.",
            model_id, time.perf_counter() - began, card.network, self.device.name,
            model.variant.description,
        )  # fmt: skip
        return model

    def _prepare(self, network: RetrievalNetwork, card: ModelCard) -> LoadedModel:
        network = network.to(self.device.torch, memory_format=torch.channels_last)  # type: ignore[call-overload]
        plain = Variant(network, None, "float32")
        model = LoadedModel(card, plain, self.device, Pace(self._batch_seconds))
        side = card.preprocessing.input_size
        noise = np.random.default_rng(0).integers(0, 256, (_CHECK_ROWS, side, side, 3), np.uint8)
        model.variant = quickest(network, model.normalised(noise))
        return model


def _mean_over(outputs: Outputs, crops: int) -> Outputs:
    """(B, …) to (B / crops, …); softmax(log p̄) = p̄ carries the mean of the probabilities."""

    def mean(values: Tensor) -> Tensor:
        return values.float().reshape(-1, crops, values.shape[1]).mean(1)

    probabilities = mean(outputs.probabilities).clamp_min(torch.finfo(torch.float32).tiny)
    return Outputs(probabilities.log(), mean(outputs.feature), mean(outputs.activations))


def _unknown(model_id: str) -> ModelNotFound:
    return ModelNotFound(f"There is no model {model_id[:80]!r}; `GET /models` lists them.")
