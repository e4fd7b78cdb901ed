"""The first convolution of a network under mixed precision on a processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import nn

from kinsight.networks.precision import full_precision

_COLOURS = 3


@contextmanager
def first_layer_in_full_precision(network: nn.Module) -> Iterator[None]:
    """Inside, the convolution that reads the pictures' three colours computes in float32.

    With three channels bfloat16 has little to gain, and oneDNN 3.12's gradient of such a layer's
    weights was seen to take longer than all the rest of a step of AlexNet at 32 × 32 on cores
    shared with other processes. A network without such a layer stays as it is.
    """
    layers = [
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and module.in_channels == _COLOURS
    ]
    contexts: list[AbstractContextManager[None]] = []

    def enter(module: nn.Module, _: object) -> None:
        contexts.append(full_precision(next(module.parameters()).device))
        contexts[-1].__enter__()

    def leave(*_: object) -> None:
        contexts.pop().__exit__(None, None, None)

    hooks = [layer.register_forward_pre_hook(enter) for layer in layers[:1]]
    hooks += [layer.register_forward_hook(leave, always_call=True) for layer in layers[:1]]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
