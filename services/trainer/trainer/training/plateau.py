"""The schedule of AlexNet §5: a lower rate each time the validation error stops improving."""

from __future__ import annotations

from typing import Any

from trainer.training.schedule import Schedule


class Plateau(Schedule):
    """Divides the rate by ten when so many epochs in a row (`patience`) brought no validation
    error below the lowest so far; the run ends when that happens after the last of `drops`.

    The paper divided by hand, "three times prior to termination", over about 90 epochs.
    """

    def __init__(self, *, patience: int, drops: int = 3) -> None:
        self._patience, self._drops = patience, drops
        self._dropped, self._waited = 0, 0
        self._best = -1.0

    def __call__(self, done: float) -> float:
        return float(10.0 ** -min(self._dropped, self._drops))

    @property
    def ended(self) -> bool:
        return self._dropped > self._drops

    def validated(self, accuracy: float) -> None:
        if accuracy > self._best:
            self._best, self._waited = accuracy, 0
            return
        self._waited += 1
        if self._waited >= self._patience:
            self._dropped, self._waited = self._dropped + 1, 0

    def state(self) -> dict[str, Any]:
        return {"best": self._best, "waited": self._waited, "dropped": self._dropped}

    def restore(self, state: dict[str, Any]) -> None:
        self._best, self._waited = state["best"], state["waited"]
        self._dropped = state["dropped"]
