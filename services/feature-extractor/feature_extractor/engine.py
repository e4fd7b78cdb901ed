"""Everything that needs torch, opened in the background while the service answers already."""

from __future__ import annotations

import time

import numpy as np
import torch

from feature_extractor import metrics
from feature_extractor.batching import Batcher
from feature_extractor.device import Device, choose, versions
from feature_extractor.lanes import Lane
from feature_extractor.models import LoadedModel, Models
from feature_extractor.options import ExtractorOptions, usable_cores
from kinsight.contracts.extraction import DeviceReport
from kinsight.store import Store

_MEASURED_SECONDS = 1.0


class Engine:
    """The device, the models on it, and the queue before it."""

    def __init__(self, store: Store, options: ExtractorOptions) -> None:
        """Raises Unavailable where the device wanted is not there."""
        self.device: Device = choose(options.device)
        shared = options.torch_threads
        torch.set_num_threads(shared)
        # OpenMP keeps the number per thread, so every inference thread sets its own.
        self.batcher = Batcher(
            search_queue=options.search_queue,
            threads=1 if self.device.is_cuda else max(1, usable_cores() // shared),
            on_start=lambda: torch.set_num_threads(shared),
        )
        self.models = Models(
            store,
            self.device,
            self.batcher,
            capacity=options.loaded_models,
            batch_seconds=options.batch_seconds,
        )
        metrics.INFERENCE_THREADS.set(self.batcher.threads)
        metrics.DEVICE_INFO.labels(self.device.name, self.device.hardware).set(1)

    def close(self) -> None:
        self.batcher.close()

    async def report(self, model_id: str | None, *, measure: bool) -> DeviceReport:
        """model_id: the model to measure with, else the one used last; None if none is loaded."""
        loaded = self.models.loaded()
        model_id = model_id or (loaded[-1] if loaded else None)
        speed = None
        if measure and model_id is not None:
            speed = await self._images_per_second(await self.models.get(model_id))
        return DeviceReport(
            device=self.device.name,
            name=self.device.hardware,
            images_per_second=speed,
            model=model_id,
            loaded_models=self.models.loaded(),
            versions=versions(),
        )

    async def _images_per_second(self, model: LoadedModel) -> float:
        """Full batches of noise for about a second; searches go on being served in between."""
        side = model.card.preprocessing.input_size
        noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        images, began = 0, time.monotonic()
        while images == 0 or time.monotonic() - began < _MEASURED_SECONDS:
            # Enough to keep every thread of the batcher busy from batch to batch.
            count = 4 * model.pace.rows * self.batcher.threads
            await self.batcher.embed_all(model, [noise] * count, Lane.BULK, 60.0)
            images += count
        return images / (time.monotonic() - began)
