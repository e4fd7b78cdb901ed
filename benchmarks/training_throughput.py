"""Training steps of AlexNet against what the machine can multiply.

python benchmarks/training_throughput.py [--sizes 224,32] [--batch 128] [--steps 5] [--compile]

Measures large matrix products in float32 and bfloat16 (the roofline of fused multiply-adds), then
whole steps (forward, backward, fused SGD) in float32 and mixed precision, and prints images per
second, floating-point operations per second, and their share of the roofline of the same
precision, each roofline measured again beside its steps. A step counts 3 × 2 × multiply-adds of
all convolutions and linear layers, less the first layer's input gradient, which nobody needs;
normalisation, pooling, dropout and the optimiser count nothing and cost time.

As the training process does, this process keeps the memory it frees; --give-back shows what the C
library's own way costs. Figures are of the best of the steps; on a busy machine take --clock cpu.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import NamedTuple

# Before torch loads, as in the training process.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor, nn

from kinsight import networks
from kinsight.networks import RetrievalNetwork
from trainer.training import devices
from trainer.training.allocation import keep_freed_memory
from trainer.training.first_layer import first_layer_in_full_precision

_CLASSES = 10
_PRODUCT = {"cpu": 2048, "cuda": 8192}


class Mode(NamedTuple):
    name: str
    dtype: torch.dtype
    channels_last: bool
    compiled: bool


@dataclass(frozen=True)
class Row:
    size: int
    mode: str
    images_per_second: float
    forward_ms: float
    backward_ms: float
    optimiser_ms: float
    gflops: float
    roofline_gflops: float
    share: float


def training_flops(network: RetrievalNetwork, size: int) -> float:
    """Of one image: forward, weight gradients, input gradients but the first layer's."""
    macs: list[float] = []

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        outputs = output[0].numel()
        weight = module.get_parameter("weight")
        macs.append(outputs * weight.numel() / weight.shape[0])

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return 2 * (3 * sum(macs) - macs[0])


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def now(clock: str) -> float:
    return time.perf_counter() if clock == "wall" else time.process_time() / torch.get_num_threads()


def timed(clock: str, device: torch.device, work: Callable[[], object]) -> float:
    wait(device)
    begun = now(clock)
    work()
    wait(device)
    return now(clock) - begun


def roofline(clock: str, device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the best of ten large products."""
    side = _PRODUCT[device.type]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product = torch.empty(side, side, device=device, dtype=dtype)
    seconds = min(timed(clock, device, lambda: torch.mm(a, b, out=product)) for _ in range(10))
    return 2 * side**3 / seconds


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[None]:
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def first_layer(
    mode: Mode, network: RetrievalNetwork, device: torch.device
) -> AbstractContextManager[None]:
    """As recipe `fast` does."""
    if mode.dtype == torch.bfloat16 and device.type == "cpu":
        return first_layer_in_full_precision(network)
    return nullcontext()


def measure(mode: Mode, size: int, arguments: argparse.Namespace, device: torch.device) -> Row:
    options = {"input_size": size, "hash_bits": arguments.hash_bits}
    network = networks.build("alexnet", options, classes=_CLASSES)
    flops = training_flops(network, size)
    layout = torch.channels_last if mode.channels_last else torch.contiguous_format
    network = network.train().to(device, memory_format=layout)  # type: ignore[call-overload]
    if mode.compiled:
        network.compile()
    x = torch.randn(arguments.batch, 3, size, size, device=device).contiguous(memory_format=layout)
    y = torch.randint(0, _CLASSES, (arguments.batch,), device=device)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, fused=True)

    def step() -> tuple[float, float, float]:
        losses: list[Tensor] = []

        def forward() -> None:
            with autocast(device, mode.dtype):
                logits = network(x).logits
            losses.append(nn.functional.cross_entropy(logits.float(), y))

        def backward() -> None:
            optimiser.zero_grad()
            losses[0].backward()  # type: ignore[no-untyped-call]

        clock = arguments.clock
        return (
            timed(clock, device, forward),
            timed(clock, device, backward),
            timed(clock, device, optimiser.step),
        )

    found, rooflines = [], []
    with first_layer(mode, network, device):
        for _ in range(2):
            step()
        for _ in range(arguments.steps):
            rooflines.append(roofline(arguments.clock, device, mode.dtype))
            found.append(step())
    best = min(found, key=sum)
    forward_ms, backward_ms, optimiser_ms = (1e3 * part for part in best)
    rate = arguments.batch / sum(best)
    return Row(
        size,
        mode.name,
        rate,
        forward_ms,
        backward_ms,
        optimiser_ms,
        rate * flops / 1e9,
        max(rooflines) / 1e9,
        rate * flops / max(rooflines),
    )


def modes(arguments: argparse.Namespace) -> list[Mode]:
    if arguments.precision == "bfloat16":
        kinds = (False, True) if arguments.compile else (False,)
        names = {False: "bfloat16, channels last", True: "bfloat16, compiled"}
        return [Mode(names[c], torch.bfloat16, channels_last=True, compiled=c) for c in kinds]
    wanted = [
        Mode("float32, channels first", torch.float32, channels_last=False, compiled=False),
        Mode("float32, channels last", torch.float32, channels_last=True, compiled=False),
        Mode("bfloat16, channels last", torch.bfloat16, channels_last=True, compiled=False),
    ]
    if arguments.compile:
        wanted += [
            Mode("float32, compiled", torch.float32, channels_last=True, compiled=True),
            Mode("bfloat16, compiled", torch.bfloat16, channels_last=True, compiled=True),
        ]
    return wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="224,32")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--hash-bits", type=int, default=48)
    parser.add_argument("--precision", choices=("both", "bfloat16"), default="both")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--give-back", action="store_true", help="leave the allocator as it is")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: processor time by core, for a machine on which other things run too",
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not arguments.give_back:
        keep_freed_memory()
    chosen = devices.choose()
    rows = [
        measure(mode, int(size), arguments, chosen.torch)
        for size in arguments.sizes.split(",")
        for mode in modes(arguments)
    ]
    if arguments.json:
        print(json.dumps({"machine": chosen.machine, "rows": [asdict(row) for row in rows]}))
        return
    print(f"{chosen.machine}; batch {arguments.batch}")
    print(
        f"{'input':>5}  {'mode':<24} {'images/s':>9} {'forward':>8} {'backward':>8} "
        f"{'update':>6} {'GFLOP/s':>8} {'roofline':>8} {'share':>6}"
    )
    for row in rows:
        print(
            f"{row.size:>5}  {row.mode:<24} {row.images_per_second:>9.1f} {row.forward_ms:>6.0f}ms "
            f"{row.backward_ms:>6.0f}ms {row.optimiser_ms:>4.0f}ms {row.gflops:>8.0f} "
            f"{row.roofline_gflops:>8.0f} {row.share:>6.2f}"
        )


if __name__ == "__main__":
    main()
