"""The built-in sample through the whole loop, by the public client: ingest, train, search."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinsight.cli.following import succeeded
from kinsight.cli.output import note
from kinsight.cli.progress import JobBar
from kinsight.errors import KinsightError

if TYPE_CHECKING:
    from kinsight.clients import Kinsight
    from kinsight.contracts.jobs import Job
    from kinsight.contracts.libraries import Library
    from kinsight.contracts.search import SearchAnswer

LIBRARY = "digits"
NETWORK_OPTIONS: dict[str, Any] = {
    "input_size": 32,
    "width": 0.25,
    "fc_width": 256,
    "hash_bits": 48,
    "towers": 1,
}
# Enough for P@10 of 0.99; mirrored digits are other digits or none.
RECIPE_OPTIONS: dict[str, Any] = {"epochs": 12, "batch_size": 32, "mirror": False}


class Stopped(KinsightError):
    """The sample was not loaded to its end, since Kinsight was stopped."""

    title = "Stopped"


@dataclass(frozen=True)
class SampleLoop:
    """Each step ends at once when `stop` is set; the jobs go on at the next start."""

    client: Kinsight
    stop: threading.Event

    def wanted(self) -> Library | None:
        """The library to load the sample into, made on an empty database.

        One that an earlier start did not finish is taken up again; None where all is done.
        """
        found = self.client.libraries()
        if not found:
            return self.client.create_library(LIBRARY)
        unfinished = len(found) == 1 and found[0].name == LIBRARY and found[0].model is None
        return found[0] if unfinished else None

    def load(self, library: Library) -> SearchAnswer:
        """Ingests and trains; returns the answer to a search with a digit held out."""
        self.ingest(library)
        self.train(library)
        return self.search()

    def ingest(self, library: Library) -> Job:
        from kinsight.local.sample import sample_zip  # numpy and Pillow: slow to load

        note("Sending the sample: scans of handwritten digits")
        with tempfile.TemporaryDirectory(prefix="kinsight-sample-") as folder:
            archive = sample_zip(Path(folder) / "digits.zip")
            job = self.client.index_batch(
                LIBRARY, [archive], idempotency_key=_key(library, "ingest")
            )
        return self._follow(job)

    def train(self, library: Library) -> Job:
        note("Training a small AlexNet with a hash layer on them")
        job = self.client.train(
            LIBRARY,
            "alexnet",
            NETWORK_OPTIONS,
            "fine-tune",
            RECIPE_OPTIONS,
            trained_by="kinsight's sample",
            idempotency_key=_key(library, "train"),
        )
        return self._follow(job)

    def evaluate(self) -> Job:
        """On the 300 digits that are not in the library."""
        from kinsight.local.sample import sample_zip  # numpy and Pillow: slow to load

        model = self.client.library(LIBRARY).model
        if model is None:
            raise KinsightError("The trained model was not promoted; the train job says why.")
        note("Measuring on the digits held out")
        with tempfile.TemporaryDirectory(prefix="kinsight-sample-") as folder:
            archive = sample_zip(Path(folder) / "test.zip", part="test")
            job = self.client.evaluate(model, archive)
        return self._follow(job)

    def search(self, k: int = 10) -> SearchAnswer:
        from kinsight.local.sample import sample_images  # numpy and Pillow: slow to load

        self._check()
        picture = sample_images("test")[0]
        note(f"Searching with a scan of {picture.label} that the library does not hold")
        return self.client.search(LIBRARY, picture.data, k=k)

    def _follow(self, job: Job) -> Job:
        with JobBar() as bar:

            def seen(job: Job) -> None:
                self._check()
                bar.update(job)

            return succeeded(self.client.wait(job.id, on_progress=seen))

    def _check(self) -> None:
        if self.stop.is_set():
            raise Stopped


def _key(library: Library, step: str) -> str:
    """The same for every try on this library, another for a library made anew."""
    return f"sample-{step}-{library.created_at.timestamp()}"
