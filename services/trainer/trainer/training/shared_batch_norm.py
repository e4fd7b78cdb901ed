"""Batch normalisation over a batch that several processes share; torch has it on CUDA only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainer.training.group import Group


class SharedBatchNorm(_BatchNorm):
    """What `nn.BatchNorm2d` and its kin do with the whole batch (Ioffe & Szegedy 2015, alg. 1)."""

    def __init__(self, own: _BatchNorm, group: Group) -> None:
        """With the options and values of a layer of one process."""
        super().__init__(
            own.num_features, own.eps, own.momentum, own.affine, own.track_running_stats
        )
        self.load_state_dict(own.state_dict())
        self._group = group

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) → the same shape; of each process its own rows."""
        if not self.training:
            return super().forward(x)
        axes = [0, *range(2, x.dim())]
        shape = [1, -1] + [1] * (x.dim() - 2)
        values = x.float()
        count = self._group.sum(torch.tensor(values.numel() / values.shape[1]))
        mean = self._group.total(values.sum(axes)) / count
        centred = values - mean.view(shape)
        variance = self._group.total(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1).clamp_min(1))
        y = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        # Without a momentum the running figures are plain means.
        part = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, part)
        self.running_var.lerp_(variance, part)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  # torch's name
        pass


def share_batch_norms(module: nn.Module, group: Group) -> None:
    """Puts such layers in the place of the module's own."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, SharedBatchNorm(child, group))
        else:
            share_batch_norms(child, group)
