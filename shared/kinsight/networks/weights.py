"""Weights from outside: read safely, checked against the network, and loaded."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kinsight.errors import UnfitWeights
from kinsight.networks.base import RetrievalNetwork

_NAMED = 3
_WRAPPERS = ("state_dict", "model_state_dict", "model")
# Head layers depend on the classes and bits of the new training set: they start afresh where
# their shape differs. Everything else has to fit.
_HEAD = "head."
# Counts steps for a running mean without momentum, which no network here uses.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Fit:
    """How a state goes into a network, by the network's own tensor names."""

    tensors: dict[str, Tensor]
    fresh: tuple[str, ...]  # not in the file, or of another shape: head layers only


def load_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a PyTorch state dict, floats as float32.

    A state dict is read with `weights_only`, so that a file cannot run code. Raises UnfitWeights
    with a sentence where the file is neither.
    """
    state = _load_safetensors(path) if _is_safetensors(path) else _load_state_dict(path)
    if not state:
        raise UnfitWeights("The weights file holds no tensors.")
    return {name: _as_float32(tensor) for name, tensor in state.items()}


def fit(network: RetrievalNetwork, state: Mapping[str, Tensor]) -> Fit:
    """Which tensors go where; raises UnfitWeights naming the first few that do not fit.

    Only names and shapes are compared, so the network may be on the meta device.
    """
    own = network.state_dict()
    given = network.own_names(state)
    taken, fresh, wrong = {}, [], []
    for name, tensor in own.items():
        if name in given and given[name].shape == tensor.shape:
            taken[name] = given[name]
        elif name.startswith(_HEAD):
            fresh.append(name)
        elif name in given:
            wrong.append(f"{name} is {_shape(given[name])}, the network's is {_shape(tensor)}")
        elif not name.endswith(_COUNTER):
            wrong.append(f"{name} is missing")
    wrong += [f"{name} is not of the network" for name in given if not _known(name, own)]
    if wrong:
        raise UnfitWeights(
            f"The weights do not fit the network: {_some(wrong)}. Name the network they were "
            "trained for and the same options, or train with weights `none`.",
            tensors=wrong[:_NAMED],
            misfits=len(wrong),
        )
    return Fit(taken, tuple(fresh))


def load_into(network: RetrievalNetwork, state: Mapping[str, Tensor]) -> Fit:
    """Copies the tensors that `fit` finds; the head's fresh ones keep their initial values."""
    found = fit(network, state)
    # Its own state dict first: some torchvision modules read its version metadata.
    whole = network.state_dict()
    whole.update(found.tensors)
    network.load_state_dict(whole, strict=True)
    return found


def _is_safetensors(path: Path) -> bool:
    """A length, then a JSON object of that length, within the file."""
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) < 9 or start[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", start[:8])
    return bool(length <= path.stat().st_size - 8)


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UnfitWeights(f"The safetensors file is damaged ({error}); send it again.") from error


def _load_state_dict(path: Path) -> dict[str, Tensor]:
    refusal = (
        "The weights file is neither a safetensors file nor a PyTorch state dict that loads "
        "with weights_only; save one with safetensors.torch.save_file(model.state_dict(), path)."
    )
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler meets arbitrary bytes, and raises anything
        raise UnfitWeights(refusal) from error
    for wrapper in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not all(_is_entry(item) for item in loaded.items()):
        raise UnfitWeights(refusal)
    return {str(name).removeprefix("module."): tensor for name, tensor in loaded.items()}


def _is_entry(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor


def _known(name: str, own: Mapping[str, Tensor]) -> bool:
    return name in own or name.startswith(_HEAD)


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "a number"


def _some(wrong: Iterable[str]) -> str:
    listed = list(wrong)
    rest = len(listed) - _NAMED
    return "; ".join(listed[:_NAMED]) + (f"; and {rest} more" if rest > 0 else "")
