"""A feature extractor whose vectors a test can reckon with: HTTP and envelopes are real.

A picture is the text `class/number`. A model is named `NAME-right-N`: of every ten numbers it sees
the first N as they are, and the others as the next class. No network would be wrong so exactly.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import FastAPI, Query, Request, Response

from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.extraction import Inspections, StoredImages
from kinsight.contracts.models import Accuracies, ModelCard, Preprocessing, RetrievalSettings
from kinsight.errors import ModelNotFound
from kinsight.store import Store, open_store
from kinsight.web import problems
from kinsight.web.settings import Settings

CLASSES, DIMENSIONS, BITS = 4, 8, 8


def picture(label: int, number: int) -> bytes:
    return f"{label}/{number}".encode()


def files(numbers: range, name: str = "") -> dict[str, bytes]:
    """Of every class the pictures of these numbers, in folders by class."""
    return {
        f"class {label}/{name}{number}": picture(label, number)
        for label in range(CLASSES)
        for number in numbers
    }


def card(model: str, held_out: list[int], library: str = "things", **changes: Any) -> ModelCard:
    values: dict[str, Any] = {
        "id": model,
        "library": library,
        "network": "alexnet",
        "preprocessing": Preprocessing(),
        "classes": [f"class {label}" for label in range(CLASSES)],
        "feature_dimensions": DIMENSIONS,
        "code_bits": BITS,
        "code_kind": "hash-layer",
        "recipe": "head",
        "weights": "none",
        "seed": 0,
        "data_fingerprint": "0",
        "class_counts": {},
        "training_images": 0,
        "validation_images": len(held_out),
        "validation_image_ids": held_out,
        "started_at": datetime.now(UTC),
        "seconds": 1,
        "iterations": 1,
        "epochs": 1,
        "device": "cpu",
        "machine": "test",
        "accuracy": Accuracies(),
        "retrieval": RetrievalSettings(routing_threshold=0.9, shortlist=20),
        "parameters": 1,
        "bytes": 1,
    }
    return ModelCard(**{**values, **changes})


async def put_card(store: Store, added: ModelCard) -> None:
    await store.put(f"models/{added.id}/card.json", added.model_dump_json().encode())


def vectors(model: str, pictures: list[bytes], crops: int = 1) -> Embeddings:
    rows = [_row(model, content, crops) for content in pictures]
    probabilities, feature, code = (np.array(column) for column in zip(*rows, strict=True))
    return Embeddings(
        probabilities.astype(np.float32), feature.astype(np.float32), code.astype(np.uint8), {}
    )


def _row(model: str, content: bytes, crops: int) -> tuple[Any, Any, Any]:
    right = re.search(r"-right-(\d+)", model)
    assert right, model
    label, number = (int(part) for part in content.decode().split("/"))
    seen = label if number % 10 < int(right[1]) else (label + 1) % CLASSES
    probabilities = np.full(CLASSES, 0.01)
    probabilities[seen] = 1 - 0.01 * (CLASSES - 1)
    digest = hashlib.sha256(model.encode() + content).digest()
    looks = np.frombuffer(digest[:DIMENSIONS], np.uint8) / 2560  # less than a tenth
    feature = looks + np.eye(DIMENSIONS)[seen] + (crops - 1)
    return probabilities, feature, [1 << seen]


def create_app(settings: Settings) -> FastAPI:
    app = FastAPI()
    problems.install(app)
    store = open_store(settings.store_url)

    async def check(model: str) -> None:
        if await store.size(f"models/{model}/card.json") is None:
            raise ModelNotFound

    @app.get("/readyz")
    async def ready() -> None: ...

    @app.put("/models/{model}", status_code=204)
    async def load(model: str) -> None:
        await check(model)

    @app.post("/inspect-stored")
    async def inspect_stored(images: StoredImages) -> Inspections:
        contents = [await store.get(key) for key in images.keys]
        items = zip(images.keys, contents, strict=True)
        return Inspections.model_validate({"items": [_inspection(*item) for item in items]})

    @app.post("/embed-stored")
    async def embed_stored(images: StoredImages) -> Response:
        assert images.model
        await check(images.model)
        contents = [await store.get(key) for key in images.keys]
        found = vectors(images.model, contents, images.crops)
        items = [_inspection(*item) for item in zip(images.keys, contents, strict=True)]
        meta = {"items": items}
        return Response(Embeddings(found.probabilities, found.feature, found.code, meta).to_bytes())

    @app.post("/embed")
    async def embed(
        request: Request,
        model: str,
        crops: Annotated[Literal["1", "10"], Query()] = "1",
    ) -> Response:
        await check(model)
        found = vectors(model, [await request.body()], int(crops))
        meta = {"width": 1, "height": 1, "device": "cpu", "timings_ms": {"embed": 0.1}}
        return Response(Embeddings(found.probabilities, found.feature, found.code, meta).to_bytes())

    return app


def _inspection(key: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).digest()
    return {
        "key": key,
        "width": 1,
        "height": 1,
        "format": "png",
        "perceptual_hash": int.from_bytes(digest[:8], "big", signed=True),
    }
