"""One running system for all tests of this folder, with a trained library in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from e2e.system import System, up
from kinsight.clients import Kinsight
from kinsight.local.sample import SampleImage, sample_images, sample_zip

# Smaller than the sample's network: these tests are about the system, not about its figures.
NETWORK = ("input_size=32", "width=0.125", "fc_width=64", "hash_bits=32", "towers=1")
RECIPE = ("epochs=8", "batch_size=16", "mirror=false")


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    data_dir = tmp_path_factory.mktemp("e2e") / "data"
    # The metrics of quality are looked at so often that no test waits for them.
    with up(data_dir, "--no-sample", environment={"KINSIGHT_WATCH_SECONDS": "2"}) as running:
        yield running


@pytest.fixture(scope="session")
def client(system: System) -> Iterator[Kinsight]:
    with Kinsight(system.url) as client:
        yield client


@pytest.fixture(scope="session")
def http(system: System) -> Iterator[httpx.Client]:
    """Plain REST, for requests that no well-behaved client makes."""
    with httpx.Client(base_url=system.url, timeout=60) as http:
        yield http


@dataclass(frozen=True)
class Digits:
    """A library of handwritten digits, trained and live."""

    name: str
    model: str
    ingest_job: str
    train_job: str
    images: int
    held_out: list[SampleImage]


@pytest.fixture(scope="session")
def digits(system: System, client: Kinsight, tmp_path_factory: pytest.TempPathFactory) -> Digits:
    """Ingested and trained by the command line, as a user would."""
    archive = sample_zip(tmp_path_factory.mktemp("digits") / "digits.zip")
    ingested = system.run("ingest", "digits", str(archive), "--labels", "folders", "--json")
    assert ingested.code == 0, ingested.stderr
    options = [word for option in (*NETWORK, *RECIPE) for word in ("--option", option)]
    trained = system.run("train", "digits", *options, "--wait", "--json")
    assert trained.code == 0, trained.stderr
    library = client.library("digits")
    assert library.model is not None
    return Digits(
        name="digits",
        model=library.model,
        ingest_job=ingested.document()["jobs"][0]["id"],
        train_job=trained.document()["id"],
        images=library.images,
        held_out=sample_images("test"),
    )


@pytest.fixture
def picture(digits: Digits, tmp_path: Path) -> Path:
    """A digit that the library does not hold."""
    path = tmp_path / digits.held_out[0].filename
    path.write_bytes(digits.held_out[0].data)
    return path
