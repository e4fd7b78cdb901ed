"""A network made quicker for inference, and proof that it still says the same.

Whatever variant serves must match the plain module: cosine of at least 0.9999 in every output,
on a fixed batch, measured when the model is loaded. Otherwise the plain module serves.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from kinsight.networks import Outputs, RetrievalNetwork

_log = logging.getLogger(__name__)
_LEAST_COSINE = 0.9999


@dataclass(frozen=True)
class Variant:
    """network: in evaluation mode, on its device. precision: of autocast, None for float32."""

    network: nn.Module
    precision: torch.dtype | None
    description: str

    def __call__(self, x_BCHW: Tensor) -> Outputs:
        outputs: Outputs
        with self._autocast(x_BCHW.device.type):
            outputs = self.network(x_BCHW)
        return outputs

    def _autocast(self, device_type: str) -> AbstractContextManager[object]:
        if self.precision is None:
            return nullcontext()
        return torch.autocast(device_type, self.precision)


def quickest(network: RetrievalNetwork, x_BCHW: Tensor) -> Variant:
    """The first variant, quickest first, that agrees with the plain network on this batch.

    network: in evaluation mode, on the device of x_BCHW, which it may share memory with
    afterwards.
    """
    plain = Variant(network, None, "float32")
    with torch.inference_mode():
        expected = plain(x_BCHW)
        for variant in _candidates(network, x_BCHW.device):
            if agree(expected, variant(x_BCHW)):
                return variant
            _log.info("Variant %s is not exact enough for this network.", variant.description)
    return plain


def agree(expected: Outputs, found: Outputs) -> bool:
    """Whether every row of every output has a cosine of at least 0.9999 with the expected one.

    Activations are compared from their threshold 0.5, so that the sign of the code counts.
    """
    pairs = (
        (expected.probabilities, found.probabilities),
        (expected.feature, found.feature),
        (expected.activations - 0.5, found.activations - 0.5),
    )
    return all(_least_cosine(one.float(), other.float()) >= _LEAST_COSINE for one, other in pairs)


def fold_batch_norm(network: RetrievalNetwork) -> RetrievalNetwork | None:
    """A copy in which every convolution has absorbed the batch normalisation behind it.

    W' = W γ/√(σ² + ε), b' = (b − μ) γ/√(σ² + ε) + β. None where there is nothing to fold or the
    network's code cannot be traced.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return None
    folded = copy.deepcopy(network)
    return folded if _fold_children(folded) else None


def _candidates(network: RetrievalNetwork, device: torch.device) -> Iterator[Variant]:
    if device.type == "cuda":
        yield Variant(network, torch.float16, "float16 autocast")
        yield Variant(network, torch.bfloat16, "bfloat16 autocast")
    elif folded := fold_batch_norm(network):
        channels_last = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        yield Variant(channels_last, None, "float32, batch normalisation folded")


class _Tracer(fx.Tracer):
    """Looks into modules with children only: one without has no layers to fold, and may decide by
    its input's type what to do, which a stand-in for a tensor does not tell."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) or not any(m.children())


def _fold_children(module: nn.Module) -> int:
    """Folds within each child by itself, so that one that cannot be traced spoils no other."""
    count = 0
    for name, child in list(module.named_children()):
        if isinstance(child, nn.ModuleList | RetrievalNetwork):  # an ensemble's members
            count += _fold_children(child)
            continue
        try:
            traced = fx.GraphModule(child, _Tracer().trace(child))
        # Tracing runs the module's own code on stand-ins for tensors; it may fail in any way.
        except Exception as error:  # noqa: BLE001
            _log.info("%s cannot be traced: %s", name, error)
            continue
        if folds := _fold(traced):
            setattr(module, name, traced)
            count += folds
    return count


def _fold(traced: fx.GraphModule) -> int:
    modules = dict(traced.named_modules())
    calls = [str(node.target) for node in traced.graph.nodes if node.op == "call_module"]
    count = 0
    for node in list(traced.graph.nodes):
        source = node.args[0] if node.args else None
        if not (
            node.op == "call_module"
            and isinstance(norm := modules[str(node.target)], nn.BatchNorm2d)
            and isinstance(source, fx.Node)
            and source.op == "call_module"
            and isinstance(convolution := modules[str(source.target)], nn.Conv2d)
            # Shared weights, or an output that is read before normalisation, must stay.
            and len(source.users) == 1
            and calls.count(str(source.target)) == calls.count(str(node.target)) == 1
        ):
            continue
        traced.set_submodule(str(source.target), fuse_conv_bn_eval(convolution, norm))
        node.replace_all_uses_with(source)
        traced.graph.erase_node(node)
        count += 1
    traced.delete_all_unused_submodules()
    traced.recompile()
    return count


def _least_cosine(one: Tensor, other: Tensor) -> float:
    if not torch.isfinite(other).all():
        return -1.0
    cosine = nn.functional.cosine_similarity(one.double(), other.double(), dim=1)
    # Two zero vectors agree, though they have no cosine.
    return float(torch.where((one == other).all(dim=1), 1.0, cosine).min())
