"""Full precision inside mixed-precision training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Suspends autocast on the device; on meta, which knows none, does nothing."""
    # Asking torch whether there is one would break a compiled network into parts.
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def mixed_precision(
    device: torch.device, *, on_processors: bool = False
) -> AbstractContextManager[None]:
    """bfloat16 on CUDA; elsewhere nothing.

    on_processors: also on a CPU that multiplies in it (AMX, AVX-512 BF16), see `cpu_has_bfloat16`.
    """
    if device.type == "cuda" or (on_processors and device.type == "cpu" and cpu_has_bfloat16()):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def cpu_has_bfloat16() -> bool:
    """Whether this CPU has instructions for it; without them it only costs conversions."""
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)
