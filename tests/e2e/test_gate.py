"""The gate by command line and REST, with models that were really trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from e2e.conftest import NETWORK
from e2e.system import Finished, System
from kinsight.clients import Kinsight
from kinsight.local.sample import sample_images

pytestmark = pytest.mark.slow

LIBRARY = "gated"
DIGITS = ("0", "1", "4", "7")
PER_DIGIT = 50
GOOD = (*NETWORK, "epochs=20", "batch_size=16", "mirror=false")
# Eight numbers per picture, from a network that has hardly been taught.
NARROW = ("input_size=32", "width=0.125", "fc_width=8", "hash_bits=8", "towers=1")
BAD = (*NARROW, "epochs=1", "batch_size=16", "mirror=false", "learning_rate=0.000001")


@dataclass(frozen=True)
class Models:
    good: str
    bad: str


def train(system: System, chosen: tuple[str, ...]) -> str:
    options = [word for option in chosen for word in ("--option", option)]
    few = ["--min-images-per-class", "20", "--then", "nothing", "--json"]
    trained = system.run("train", LIBRARY, *options, *few)
    assert trained.code == 0, trained.stderr
    model: str = trained.document()["result"]["model"]
    return model


@pytest.fixture(scope="module")
def models(
    system: System, client: Kinsight, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Models]:
    folder = tmp_path_factory.mktemp("gated")
    images = sample_images("train")
    for digit in DIGITS:
        (folder / digit).mkdir()
        for image in [one for one in images if one.label == digit][:PER_DIGIT]:
            (folder / digit / image.filename).write_bytes(image.data)
    ingested = system.run("ingest", LIBRARY, str(folder), "--labels", "folders")
    assert ingested.code == 0, ingested.stderr
    yield Models(train(system, GOOD), train(system, BAD))
    client.delete_library(LIBRARY)


def searched_with(client: Kinsight) -> str:
    picture = next(one for one in sample_images("test") if one.label in DIGITS)
    return client.search(LIBRARY, picture.data).model


def outcomes(history: Finished) -> list[tuple[str, str, str | None]]:
    assert history.code == 0, history.stderr
    lines = history.document()["promotions"]
    return [(line["model"], line["outcome"], line["by"]) for line in lines]


def test_worse_models_wait_for_a_person(
    system: System, client: Kinsight, http: httpx.Client, models: Models
) -> None:
    first = system.run("promote", models.good)
    assert first.code == 0, first.stderr
    assert first.stdout.startswith(f"{models.good} is live. P@10 ")
    before = client.library(LIBRARY)

    refused = system.run("promote", models.bad, "--json")
    assert refused.code == 1
    result = refused.document()["result"]
    assert (result["promoted"], result["outcome"]) == (False, "refused")
    gate = result["gate"]
    assert gate["p_at_10"] < gate["live_p_at_10"]
    assert (
        gate["queries"] == gate["live_queries"] == client.model(models.bad).card.validation_images
    )
    assert gate["same_images"], "one split: both held out the same images"
    assert client.library(LIBRARY) == before
    assert searched_with(client) == models.good

    wrong = http.post(f"/models/{models.bad}/promote?library=digits&override=true")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong-library")
    assert LIBRARY in wrong.json()["detail"]

    overridden = system.run("promote", models.bad, "--override", "--by", "ada", "--json")
    assert overridden.code == 0, overridden.stderr
    assert overridden.document()["result"]["indexed"] == 0, "its index was there already"
    assert searched_with(client) == models.bad

    back = system.run("rollback", LIBRARY, "--by", "ada")
    assert back.stdout == f"{LIBRARY} is searched with {models.good} again.\n"
    assert searched_with(client) == models.good
    assert outcomes(system.run("promotions", LIBRARY, "--json")) == [
        (models.good, "rolled-back", "ada"),
        (models.bad, "overridden", "ada"),
        (models.bad, "refused", None),
        (models.good, "promoted", None),
    ]


def test_floor_by_rest(system: System, http: httpx.Client, models: Models) -> None:
    path = f"/libraries/{LIBRARY}"
    for bad in ({}, {"floor": 1.5}, {"floor": "high"}, {"flor": 0.5}):
        response = http.patch(path, json=bad)
        assert (response.status_code, response.json()["code"]) == (422, "invalid-request"), bad
    assert http.patch(path, json={"floor": 0.9}).json()["floor"] == 0.9
    assert http.get(path).json()["floor_is_default"] is False
    assert system.run("floor", LIBRARY, "default").code == 0
    assert http.get(path).json()["floor"] == 0.8
    assert http.patch("/libraries/nowhere", json={"floor": 0.9}).status_code == 404
    assert http.get("/libraries/nowhere/promotions").status_code == 404
    assert http.get(f"{path}/promotions?page_token=x").status_code == 400
    response = http.post(f"/models/{models.good}/promote", json={"overide": True})
    assert (response.status_code, response.json()["code"]) == (422, "invalid-request")
    assert http.post(f"/models/{models.good}/promote?crops=5").status_code == 422


def test_ten_crops_by_rest_and_command_line(
    system: System, client: Kinsight, http: httpx.Client, models: Models
) -> None:
    asked = http.post(f"/models/{models.good}/promote?crops=10&override=true&by=ada")
    assert asked.status_code == 202
    job = client.wait(asked.json()["id"], timeout=120)
    assert job.result is not None and job.result["promoted"] is True
    assert client.library(LIBRARY).crops == 10
    picture = next(one for one in sample_images("test") if one.label in DIGITS)
    assert client.search(LIBRARY, picture.data, crops=10).hits
    rebuilt = system.run("rebuild", LIBRARY, "--crops", "1")
    assert rebuilt.code == 0, rebuilt.stderr
    assert client.library(LIBRARY).crops == 1
    assert client.library(LIBRARY).indexed == len(DIGITS) * PER_DIGIT
