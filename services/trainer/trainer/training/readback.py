"""Figures of a step on their way from the device to the processor."""

from __future__ import annotations

import torch
from torch import Tensor


class Readback:
    """Starts the way at once, without waiting for what the device does after it.

    On CUDA the backward pass is queued behind the copy; whoever asks for the values then waits
    for the copy alone, and the device never for the processor.
    """

    def __init__(self, figures: Tensor) -> None:
        self._figures, self._copied = figures, None
        if figures.is_cuda:
            self._figures = torch.empty_like(figures, device="cpu", pin_memory=True)
            self._figures.copy_(figures, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()

    def values(self) -> list[float]:
        if self._copied is not None:
            self._copied.synchronize()
        values: list[float] = self._figures.tolist()
        return values
