"""Building networks without memory for their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_ALLOCATING = frozenset({torch.empty, torch.zeros, torch.ones, torch.full})


class Unallocated(TorchFunctionMode):
    """Inside this context parameters and their like are made on the meta device.

    `torch.device("meta")` would take along the index arithmetic with which RegNet computes its
    widths and Swin its position tables, whose values are needed.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _ALLOCATING:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)
