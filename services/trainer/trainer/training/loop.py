"""The training loop: one for every recipe, read from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinsight.errors import TrainingDiverged
from kinsight.networks import Outputs
from trainer.training.average import WeightAverage
from trainer.training.checkpoint import Checkpoint, Checkpoints
from trainer.training.devices import Device
from trainer.training.divergence import diverged, is_finite
from trainer.training.events import Reporter
from trainer.training.group import Group
from trainer.training.inputs import Inputs, Moment
from trainer.training.losses import Loss, correct
from trainer.training.readback import Readback
from trainer.training.schedule import Schedule
from trainer.training.seeds import derive, generator
from trainer.training.watch import Extent, Watch


@dataclass(frozen=True)
class Task:
    """What is trained on what, and how. labels: (N,) class numbers of the training images.

    compiled: the same module made faster, which is what is trained where there is one.
    average: of the weights; it is what is validated, and what the module has in the end.
    precision: what the module runs under; None: mixed precision where the device has it.
    """

    module: nn.Module
    inputs: Inputs
    labels: NDArray[np.int64]
    loss: Loss
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    epochs: int
    batch_size: int
    clip_norm: float | None
    validate: Callable[[], float]
    key: str
    seed: int
    compiled: Callable[[Tensor], Outputs] | None = None
    average: WeightAverage | None = None
    precision: Callable[[], AbstractContextManager[None]] | None = None

    @property
    def per_epoch(self) -> int:
        """Full batches only: a rest of one image would upset batch normalisation."""
        return max(1, len(self.labels) // self.batch_size)

    @property
    def iterations(self) -> int:
        return self.epochs * self.per_epoch

    @property
    def extent(self) -> Extent:
        images, classes = min(self.batch_size, len(self.labels)), 1 + int(self.labels.max())
        return Extent(self.iterations, self.epochs, self.per_epoch, images, classes)


class Finished(NamedTuple):
    """iterations, epochs: fewer than the task's where its schedule ended the run."""

    iterations: int
    epochs: int
    earlier_seconds: float


def train(task: Task, device: Device, checkpoints: Checkpoints, reporter: Reporter) -> Finished:
    """Trains the task's module in place, from its checkpoint where there is one.

    A run that is stopped and resumed takes the same steps as one that is not. Raises
    TrainingDiverged before a step on a loss that is no finite number; the module then is what it
    was at the last checkpoint.
    """
    group = device.group
    start, seconds_before = _resume(task, checkpoints)
    group.align(task.module)
    begun, done = time.monotonic(), start
    watch = Watch(task.extent, reporter, start)
    labels = torch.from_numpy(task.labels).to(device.torch)
    precision = task.precision or device.autocast
    network = task.compiled if task.compiled is not None else task.module
    task.module.train()
    for iteration, positions, weight, batch in _batches(task, start, group):
        # Dropout draws the same numbers in a resumed run.
        torch.manual_seed(derive(task.seed, "step", iteration, group.rank))
        _set_rates(task, iteration)
        x, y = task.inputs.to_device(batch), labels[torch.from_numpy(positions).to(device.torch)]
        with precision():
            outputs: Outputs = network(x)
        loss = task.loss(outputs, y)
        # Of the whole batch from here on, of which this process may have a part.
        loss = loss * weight
        right = correct(outputs, y) * (weight / len(y))
        told = Readback(group.sum(torch.stack([loss.detach(), right])))
        task.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        group.sum_gradients(task.module.parameters())
        value, accuracy = told.values()
        if not math.isfinite(value):
            raise _diverged(f"The loss is {value}", iteration, task, checkpoints)
        if task.clip_norm is not None:
            nn.utils.clip_grad_norm_(task.module.parameters(), task.clip_norm)
        task.optimiser.step()
        if task.average is not None:
            task.average.step()

        done = iteration + 1
        seconds = seconds_before + time.monotonic() - begun
        watch.step(done, value, accuracy, seconds)
        epoch_ends = done % task.per_epoch == 0
        if epoch_ends:
            validated = _validate(task)
            watch.validated(validated, seconds)
            task.schedule.validated(validated)
        last = done == task.iterations or task.schedule.ended
        if last or checkpoints.due(epoch_ends):
            # A gradient may overflow where the loss did not.
            if not is_finite(task.module):
                raise _diverged("The weights are no longer finite", done, task, checkpoints)
            if group.leader and (last or watch.sound()):
                checkpoints.save(_checkpoint(task, done, seconds))
        if last:
            break
    if task.average is not None:
        task.average.keep()
    return Finished(done, -(-done // task.per_epoch), seconds_before)


def _batches(
    task: Task, start: int, group: Group
) -> Iterator[tuple[int, NDArray[np.int64], float, Any]]:
    """Iteration, positions, their part of the batch, and the prepared pictures.

    The next batch is made while this one is used.
    """
    if task.schedule.ended:
        return
    with ThreadPoolExecutor(1, "batches") as thread:
        order = _Order(task)

        def prepare(iteration: int) -> tuple[NDArray[np.int64], float, Any]:
            positions, weight = group.part(order.positions(iteration))
            moment = Moment(iteration, iteration // task.per_epoch, iteration / task.iterations)
            return positions, weight, task.inputs.prepare(positions, moment)

        ahead = thread.submit(prepare, start) if start < task.iterations else None
        for iteration in range(start, task.iterations):
            assert ahead is not None
            positions, weight, batch = ahead.result()
            if iteration + 1 < task.iterations:
                ahead = thread.submit(prepare, iteration + 1)
            yield iteration, positions, weight, batch


class _Order:
    """The order of the images: a new one every epoch, the same for the same seed."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._epoch = -1
        self._permutation = np.zeros(0, np.int64)

    def positions(self, iteration: int) -> NDArray[np.int64]:
        epoch, step = divmod(iteration, self._task.per_epoch)
        if epoch != self._epoch:
            rng = generator(self._task.seed, "order", epoch)
            self._permutation, self._epoch = rng.permutation(len(self._task.labels)), epoch
        size = self._task.batch_size
        return self._permutation[step * size : (step + 1) * size]


def _validate(task: Task) -> float:
    with task.average.applied() if task.average is not None else nullcontext():
        accuracy = task.validate()
    task.module.train()
    return accuracy


def _resume(task: Task, checkpoints: Checkpoints) -> tuple[int, float]:
    checkpoint = checkpoints.load(task.key)
    if checkpoint is None:
        return 0, 0.0
    task.module.load_state_dict(checkpoint.model)
    task.optimiser.load_state_dict(checkpoint.optimiser)
    task.schedule.restore(checkpoint.extra["schedule"])
    if task.average is not None:
        task.average.restore(checkpoint.extra["average"])
    return checkpoint.iteration, checkpoint.seconds


def _checkpoint(task: Task, iteration: int, seconds: float) -> Checkpoint:
    extra: dict[str, Any] = {"schedule": task.schedule.state()}
    if task.average is not None:
        extra["average"] = task.average.state()
    model, optimiser = task.module.state_dict(), task.optimiser.state_dict()
    return Checkpoint(task.key, iteration, seconds, model, optimiser, extra)


def _diverged(what: str, iteration: int, task: Task, checkpoints: Checkpoints) -> TrainingDiverged:
    checkpoint = checkpoints.load(task.key)
    return diverged(what, iteration, task.module, task.optimiser, checkpoint)


def _set_rates(task: Task, iteration: int) -> None:
    # The middle of the step, so that neither the first nor the last has rate 0.
    factor = task.schedule((iteration + 0.5) / task.iterations)
    for group in task.optimiser.param_groups:
        group["lr"] = group["initial_lr"] * factor
