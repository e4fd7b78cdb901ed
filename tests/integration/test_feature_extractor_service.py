"""The extractor's routes, with real workers, a real store and a real network."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from extractor_models import SMALL, put_model
from PIL import Image

from feature_extractor.app import create_app
from feature_extractor.options import ExtractorOptions
from kinsight.contracts.embeddings import MEDIA_TYPE, Embeddings
from kinsight.images.decode import decode
from kinsight.images.limits import Limits
from kinsight.images.perceptual import difference_hash
from kinsight.images.preprocess import preprocess
from kinsight.networks import RetrievalNetwork, to_arrays
from kinsight.store import Store, open_store
from kinsight.store.base import blob_key
from kinsight.web.settings import Settings

OPTIONS = ExtractorOptions(device="cpu", torch_threads=1, decode_workers=1, loaded_models=2)


def picture(number: int, width: int = 160, height: int = 120, kind: str = "JPEG") -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((width, height)).save(out, kind)
    return out.getvalue()


@asynccontextmanager
async def running(
    store_url: str, options: ExtractorOptions = OPTIONS, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(store_url=store_url, **settings), options)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("store").as_uri())


@pytest.fixture(scope="module")
async def network(store: Store) -> RetrievalNetwork:
    return await put_model(store, "m1")


@pytest.fixture(scope="module")
async def client(store: Any, network: RetrievalNetwork) -> AsyncIterator[httpx.AsyncClient]:
    async with running(store.root.as_uri(), max_image_bytes=400_000) as opened:
        yield opened


def expected(network: RetrievalNetwork, data: bytes) -> tuple[np.ndarray, ...]:
    rows = preprocess(decode(data, limits=Limits(), target=256).image, SMALL)
    mean, std = torch.tensor(SMALL.mean), torch.tensor(SMALL.std)
    x_BCHW = ((torch.from_numpy(rows.copy()) / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return to_arrays(network(x_BCHW))


async def put(store: Store, *images: bytes) -> list[str]:
    keys = [blob_key(hashlib.sha256(image).hexdigest()) for image in images]
    await store.put_many(list(zip(keys, images, strict=True)))
    return keys


async def test_embed(client: httpx.AsyncClient, network: RetrievalNetwork) -> None:
    data = picture(1)
    answer = await client.post("/embed", params={"model": "m1"}, content=data)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    found = Embeddings.from_bytes(answer.content)
    probabilities, feature, code = expected(network, data)
    assert np.allclose(found.probabilities, probabilities, atol=1e-5)
    assert np.allclose(found.feature, feature, atol=1e-4)
    assert (found.code == code).all()
    assert found.meta["model"] == "m1"
    assert (found.meta["width"], found.meta["height"]) == (160, 120)
    assert found.meta["device"] == "cpu"
    assert set(found.meta["timings_ms"]) == {"queue", "decode", "embed"}
    assert all(value >= 0 for value in found.meta["timings_ms"].values())


async def test_a_crop_is_what_cutting_the_picture_gives(
    client: httpx.AsyncClient, network: RetrievalNetwork
) -> None:
    data = picture(2, kind="PNG")
    params = {"model": "m1", "crop": "20,10,100,80"}
    found = Embeddings.from_bytes(
        (await client.post("/embed", params=params, content=data)).content
    )
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).crop((20, 10, 120, 90)).save(out, "PNG")
    assert np.allclose(found.feature, expected(network, out.getvalue())[1], atol=1e-4)
    assert (found.meta["width"], found.meta["height"]) == (160, 120)


async def test_ten_crops(client: httpx.AsyncClient) -> None:
    one, ten, again = [
        Embeddings.from_bytes(
            (
                await client.post(
                    "/embed", params={"model": "m1", "crops": crops}, content=picture(3)
                )
            ).content
        )
        for crops in (1, 10, 10)
    ]
    assert ten.probabilities.shape == one.probabilities.shape
    assert not np.allclose(ten.feature, one.feature)
    assert np.allclose(ten.feature, again.feature, atol=1e-5)
    assert abs(float(ten.probabilities.sum()) - 1) < 1e-5


async def test_stored_pictures_come_back_in_order_and_bad_ones_with_a_reason(
    client: httpx.AsyncClient, store: Store, network: RetrievalNetwork
) -> None:
    images = [picture(number) for number in range(20)]
    keys = await put(store, *images)
    (broken,) = await put(store, images[0][:700])
    missing = blob_key("0" * 64)
    asked = [*keys[:5], broken, *keys[5:], missing]
    answer = await client.post("/embed-stored", json={"keys": asked, "model": "m1"})
    assert answer.status_code == 200, answer.text
    found = Embeddings.from_bytes(answer.content)
    items = found.meta["items"]
    assert [item["key"] for item in items] == asked
    assert [bool(item["error"]) for item in items] == [key in (broken, missing) for key in asked]
    assert "cut short" in items[5]["error"]
    assert missing in items[-1]["error"]
    assert len(found) == 20
    for number, image in enumerate(images):
        assert np.allclose(found.feature[number], expected(network, image)[1][0], atol=1e-4)
    facts = {"width": 160, "height": 120, "format": "jpeg", "error": None}
    assert {name: items[0][name] for name in facts} == facts
    own = difference_hash(decode(images[0], limits=Limits(), target=256).image)
    assert items[0]["perceptual_hash"] == own

    inspected = (await client.post("/inspect-stored", json={"keys": asked})).json()["items"]
    assert inspected == items


async def test_stored_pictures_by_ten_crops_are_embedded_like_single_ones(
    client: httpx.AsyncClient, store: Store
) -> None:
    keys = await put(store, picture(3), picture(4))
    body = {"keys": keys, "model": "m1", "crops": 10}
    found = Embeddings.from_bytes((await client.post("/embed-stored", json=body)).content)
    for number in (3, 4):
        query = {"model": "m1", "crops": 10}
        answer = await client.post("/embed", params=query, content=picture(number))
        alone = Embeddings.from_bytes(answer.content)
        assert np.allclose(found.feature[number - 3], alone.feature[0], atol=1e-5)
        assert np.allclose(found.probabilities[number - 3], alone.probabilities[0], atol=1e-5)
    answer = await client.post("/embed-stored", json={"keys": keys, "model": "m1", "crops": 3})
    assert answer.status_code == 422


async def test_no_usable_picture_still_has_the_right_shapes(
    client: httpx.AsyncClient, network: RetrievalNetwork
) -> None:
    for keys in ([], [blob_key("1" * 64)]):
        answer = await client.post("/embed-stored", json={"keys": keys, "model": "m1"})
        found = Embeddings.from_bytes(answer.content)
        assert found.probabilities.shape == (0, 5)
        assert found.feature.shape == (0, network.feature_dimensions)
        assert found.code.shape == (0, (network.code_bits + 7) // 8)
        assert len(found.meta["items"]) == len(keys)


async def test_thumbnail(client: httpx.AsyncClient, store: Store) -> None:
    (key,) = await put(store, picture(4))
    answer = await client.post("/thumbnail", json={"key": key, "size": 64})
    assert answer.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).size == (64, 48)
    small = await client.post("/thumbnail", json={"key": key, "size": 1})
    assert (small.status_code, small.json()["code"]) == (400, "bad-request")
    gone = await client.post("/thumbnail", json={"key": blob_key("2" * 64), "size": 64})
    assert (gone.status_code, gone.json()["code"]) == (404, "blob-not-found")


@pytest.mark.parametrize(
    ("params", "body", "status", "code"),
    [
        ({"model": "m1"}, b"", 400, "empty-body"),
        ({"model": "m1"}, b"hello", 422, "bad-image"),
        ({"model": "m1"}, picture(1)[:900], 422, "bad-image"),
        ({"model": "m1"}, picture(1, 2, 1, "PNG"), 422, "bad-image"),
        ({"model": "m1"}, bytes(400_001), 413, "image-too-large"),
        ({"model": "nope"}, picture(1), 404, "model-not-found"),
        ({"model": "m1", "crop": "1,2"}, picture(1), 400, "bad-request"),
        ({"model": "m1", "crop": "0,0,999,9"}, picture(1), 400, "bad-request"),
        ({"model": "m1", "crops": "3"}, picture(1), 422, "invalid-request"),
        ({}, picture(1), 422, "invalid-request"),
    ],
)
async def test_bad_requests(
    client: httpx.AsyncClient, params: dict[str, str], body: bytes, status: int, code: str
) -> None:
    answer = await client.post("/embed", params=params, content=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"].endswith(".") or code == "invalid-request"


async def test_a_body_without_a_declared_length_is_bounded_too(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield bytes(10_000)

    answer = await client.post("/embed", params={"model": "m1"}, content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "image-too-large")


async def test_stored_requests_need_a_model_and_few_enough_keys(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed-stored", json={"keys": []})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-request")
    answer = await client.post("/embed-stored", json={"keys": [], "model": "nope"})
    assert (answer.status_code, answer.json()["code"]) == (404, "model-not-found")
    answer = await client.post("/inspect-stored", json={"keys": ["x"] * 1025})
    assert answer.status_code == 422


async def test_models_are_loaded_and_forgotten_on_request(
    client: httpx.AsyncClient, store: Store
) -> None:
    await put_model(store, "m2", seed=5)
    assert (await client.put("/models/m2")).status_code == 204
    assert "m2" in (await client.get("/device")).json()["loaded_models"]
    assert (await client.delete("/models/m2")).status_code == 204
    assert "m2" not in (await client.get("/device")).json()["loaded_models"]
    assert (await client.put("/models/nope")).json()["code"] == "model-not-found"


async def test_device_report(client: httpx.AsyncClient) -> None:
    await client.put("/models/m1")
    plain = (await client.get("/device")).json()
    assert (plain["device"], plain["images_per_second"]) == ("cpu", None)
    assert plain["name"] and plain["versions"]["torch"] == torch.__version__
    measured = (await client.get("/device", params={"measure": True})).json()
    assert measured["model"] == "m1"
    assert measured["images_per_second"] > 1


async def test_searches_and_bulk_at_once_are_all_answered(
    client: httpx.AsyncClient, store: Store, network: RetrievalNetwork
) -> None:
    images = [picture(number) for number in range(100, 148)]
    keys = await put(store, *images)
    bulk = [
        client.post("/embed-stored", json={"keys": keys[start : start + 16], "model": "m1"})
        for start in range(0, 48, 16)
    ]
    searches = [client.post("/embed", params={"model": "m1"}, content=i) for i in images[:12]]
    answers = [Embeddings.from_bytes(a.content) for a in await asyncio.gather(*bulk, *searches)]
    stored = np.concatenate([answer.feature for answer in answers[:3]])
    single = np.concatenate([answer.feature for answer in answers[3:]])
    assert np.allclose(stored[:12], single, atol=1e-4)
    assert np.allclose(stored[0], expected(network, images[0])[1][0], atol=1e-4)


async def test_metrics(client: httpx.AsyncClient) -> None:
    await client.post("/embed", params={"model": "m1"}, content=picture(1))
    await client.post("/embed", params={"model": "m1"}, content=b"hello")
    text = (await client.get("/metrics")).text
    for name in (
        'kinsight_images_embedded_total{lane="search"}',
        "kinsight_batch_size_bucket",
        'kinsight_extractor_queue_depth{lane="search"} 0.0',
        "kinsight_decode_seconds_count",
        "kinsight_embed_seconds_count",
        'kinsight_device_info{device="cpu",name="',
        'kinsight_images_rejected_total{reason="bad-image"}',
    ):
        assert name in text, name


async def test_more_than_the_intake_holds_is_overload(store: Any, network: object) -> None:
    options = OPTIONS.model_copy(update={"search_queue": 1, "bulk_requests": 1})
    async with running(store.root.as_uri(), options) as client:
        await client.put("/models/m1")
        asked = [
            client.post("/embed", params={"model": "m1"}, content=picture(1)) for _ in range(6)
        ]
        answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.json()["code"] == "overloaded"
        assert refused.headers["retry-after"] == "1"
        keys = await put(store, picture(1))
        asked = [client.post("/inspect-stored", json={"keys": keys * 40}) for _ in range(4)]
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200, 503}
        # What was refused holds nothing: there is room again.
        again = await client.post("/embed", params={"model": "m1"}, content=picture(1))
        assert again.status_code == 200


async def test_it_is_alive_before_it_is_ready_and_says_what_is_missing(tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"device": "cuda:63"})
    async with running(tmp_path.as_uri(), options) as client:
        assert (await client.get("/livez")).status_code == 200
        async with asyncio.timeout(60):
            while "KINSIGHT_DEVICE" not in (await client.get("/readyz")).text:
                await asyncio.sleep(0.02)
        answer = await client.post("/embed", params={"model": "m1"}, content=picture(1))
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_ready_needs_no_model(client: httpx.AsyncClient, tmp_path: Path) -> None:
    async with running(tmp_path.as_uri()) as empty:
        async with asyncio.timeout(60):
            while (await empty.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.02)
        assert (await empty.get("/device")).json()["loaded_models"] == []
