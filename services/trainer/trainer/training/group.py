"""Several processes that train one model: the same updates as one process makes, up to rounding.

Each takes a part of every batch. A gradient is the sum of the parts' gradients, each weighted by
its part of the batch (synchronous data parallelism, as in Goyal et al. 2017, §2.3); whatever the
loss or batch normalisation takes of the whole batch is taken over all parts. Dropout draws other
numbers in each process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch import distributed as dist

from trainer.training.place import place

# Whoever waits is ended with the others, so a wait may be as long as the first one's work.
_PATIENCE = timedelta(days=30)


@dataclass(frozen=True)
class Group:
    """A process of its group; alone by default. Every method is called by all of them at once."""

    rank: int = 0
    size: int = 1

    @property
    def leader(self) -> bool:
        """The one that reports and writes."""
        return self.rank == 0

    def part(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
        """This process's part of a batch, and its weight in the whole.

        A batch smaller than the group is everybody's.
        """
        if len(positions) < self.size:
            return positions, 1 / self.size
        part = np.array_split(positions, self.size)[self.rank]
        return part, len(part) / len(positions)

    def sum(self, figures: Tensor) -> Tensor:
        """Over all processes, in place; no gradient."""
        if self.size > 1:
            dist.all_reduce(figures)
        return figures

    def mean(self, x_BN: Tensor) -> Tensor:
        """(N,) mean over the whole batch, of which each process has some rows; with gradient."""
        if self.size == 1:
            return x_BN.mean(dim=0)
        rows = self.sum(torch.tensor(float(len(x_BN)), device=x_BN.device))
        return self.total(x_BN.sum(dim=0)) / rows

    def total(self, x: Tensor) -> Tensor:
        """The sum over all processes, with gradient."""
        if self.size == 1:
            return x
        total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
        return total

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Of losses that were weighted before."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def align(self, module: nn.Module) -> None:
        """Everybody's module becomes the leader's."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, 0)

    def barrier(self) -> None:
        self.sum(torch.zeros(1))  # on the CPU: a device would be kept busy by waiting

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """The others do the same once the leader has; they find what it has written."""
        if not self.leader:
            self.barrier()
        yield
        if self.leader:
            self.barrier()


ALONE = Group()


class _Sum(torch.autograd.Function):
    """Over all processes. Every process has a loss of the sum, so its gradient is a sum, too."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        summed = x.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        summed = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed


def join(device: torch.device) -> Group:
    """The group that torchrun has started this process in; alone where it has not."""
    own = place()
    if own.size == 1:
        return Group()
    backend = "gloo"
    if device.type == "cuda" and own.local_size <= torch.cuda.device_count():
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)
    return Group(own.rank, own.size)
