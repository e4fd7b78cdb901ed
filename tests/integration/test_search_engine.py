"""The SQL engine against a numpy formulation of the same search, written independently of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product

import asyncpg
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer import indexes, vectors
from indexer.engines import ENGINES
from indexer.indexes import Index
from indexer.routing import route
from indexer.search import Searcher, SearchOptions
from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.models import (
    Accuracies,
    ModelCard,
    Preprocessing,
    RetrievalSettings,
)
from kinsight.contracts.search import RoutingMode, SpaceName
from kinsight.database import Pool, open_pool
from kinsight.database.migrate import migrate
from kinsight.errors import ModelNotLive, NoModel

CLASSES, DIMENSIONS, BITS = 5, 6, 16
SPACES = list(SpaceName)
MODES = [RoutingMode.ARGMAX, RoutingMode.ADAPTIVE, RoutingMode.ALL]


def card(metric: str = "euclidean", *, classes: int = CLASSES, shortlist: int = 8) -> ModelCard:
    return ModelCard(
        id=f"model-{metric}",
        library="things",
        network="alexnet",
        preprocessing=Preprocessing(),
        classes=[f"class {i}" for i in range(classes)],
        feature_dimensions=DIMENSIONS,
        code_bits=BITS,
        code_kind="hash-layer",
        feature_metric="cosine" if metric == "cosine" else "euclidean",
        recipe="head",
        weights="none",
        seed=0,
        data_fingerprint="0",
        class_counts={},
        training_images=0,
        validation_images=0,
        started_at=datetime.now(UTC),
        seconds=1,
        iterations=1,
        epochs=1,
        device="cpu",
        machine="test",
        accuracy=Accuracies(),
        retrieval=RetrievalSettings(routing_threshold=0.7, routing_limit=3, shortlist=shortlist),
        parameters=1,
        bytes=1,
    )


def embeddings(seed: int, rows: int, *, whole: bool) -> Embeddings:
    """Small whole numbers make many exact ties and leave no room for rounding."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, CLASSES)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if whole:  # sixteenths that sum to one
        counts = rng.multinomial(16, np.full(CLASSES, 1 / CLASSES), size=rows)
        probabilities = counts / 16
        feature = rng.integers(-2, 3, size=(rows, DIMENSIONS))
        code = rng.integers(0, 4, size=(rows, BITS // 8))
    else:
        feature = rng.normal(size=(rows, DIMENSIONS))
        code = rng.integers(0, 256, size=(rows, BITS // 8))
    return Embeddings(
        probabilities.astype(np.float32), feature.astype(np.float32), code.astype(np.uint8), {}
    )


@dataclass
class World:
    pool: Pool
    index: Index
    stored: Embeddings
    ids: NDArray[np.int64]


async def fill(pool: Pool, stored: Embeddings, model: ModelCard) -> World:
    async with pool.acquire() as connection:
        await connection.execute(
            "TRUNCATE libraries, images, indexes, class_tables RESTART IDENTITY CASCADE"
        )
        for row in await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'p' AND relname LIKE 'index\\_%'"
        ):
            await connection.execute(f"DROP TABLE {row['relname']}")
        library = await connection.fetchval(
            "INSERT INTO libraries (name) VALUES ('things') RETURNING id"
        )
        ids = [
            await connection.fetchval(
                "INSERT INTO images (library_id, sha256, filename, label, width, height, bytes,"
                " format, perceptual_hash) VALUES ($1, $2, 'x.png', 'x', 2, 2, 1, 'PNG', 0)"
                " RETURNING id",
                library,
                str(n).encode(),
            )
            for n in range(len(stored))
        ]
        # in an order of its own, so that nothing comes out sorted by accident
        order = np.random.default_rng(1).permutation(len(stored))
        index = await indexes.create(connection, library, model, None)
        await indexes.make_class_tables(connection, index, indexes.predicted_classes(stored))
        await indexes.add(
            connection,
            index,
            [ids[i] for i in order],
            indexes.take(stored, [int(i) for i in order]),
        )
        await connection.execute("UPDATE libraries SET live_index = $1", index.id)
    return World(pool, index, stored, np.array(ids))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(database_url, size=1) as setup:
        await migrate(setup)
    async with await open_pool(database_url, size=4, setup=vectors.register) as opened:
        yield opened


def reference(
    world: World, query: Embeddings, space: SpaceName, class_ids: list[int], k: int
) -> list[tuple[int, float]]:
    stored, settings_ = world.stored, world.index.retrieval
    rows = np.flatnonzero(np.isin(stored.probabilities.argmax(axis=1), class_ids))

    def euclidean(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.linalg.norm(a.astype(float) - b.astype(float), axis=1)

    def by_feature() -> NDArray[np.float64]:
        if world.index.feature_metric == "euclidean":
            return euclidean(stored.feature[rows], query.feature[0])
        a, b = stored.feature[rows].astype(float), query.feature[0].astype(float)
        return 1 - (a @ b) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b))

    differing = np.unpackbits(stored.code[rows] ^ query.code[0], axis=1).sum(axis=1)
    if space is SpaceName.SOFTMAX:
        distance = euclidean(stored.probabilities[rows], query.probabilities[0])
    elif space is SpaceName.HASH:
        distance = differing.astype(float)
    else:
        distance = by_feature()
        if space is SpaceName.AUTO and len(rows):
            wanted = max(settings_.shortlist, k)
            border = np.sort(differing)[min(wanted, len(rows)) - 1]
            rows, distance = rows[differing <= border], distance[differing <= border]
    ids = world.ids[rows].tolist()
    # Knuth's multiplicative hashing scatters ids that follow each other.
    found = sorted(zip(distance.tolist(), [i * 2654435761 % 2**32 for i in ids], ids, strict=True))
    return [(image_id, d) for d, _, image_id in found[:k]]


async def check(world: World, query: Embeddings, k: int, *, exact: bool) -> None:
    engine = ENGINES["sql"]
    filled = set(world.stored.probabilities.argmax(axis=1).tolist())
    for space, mode in product(SPACES, MODES):
        chosen = route(mode, query.probabilities[0], filled, world.index.retrieval)
        expected = reference(world, query, space, chosen.class_ids, k)
        options = SearchOptions(k, space, mode)
        answer = await Searcher(world.pool, engine).search(
            "things", world.index.model_id, query, options
        )
        got = [(int(hit.image_id), hit.distance) for hit in answer.hits]
        if exact and world.index.feature_metric == "euclidean":
            assert [i for i, _ in got] == [i for i, _ in expected], (space, mode)
        np.testing.assert_allclose(
            [d for _, d in got], [d for _, d in expected], rtol=1e-5, atol=1e-6
        )
        in_tables = np.isin(world.stored.probabilities.argmax(axis=1), chosen.class_ids)
        assert answer.routing.compared == in_tables.sum()
        assert answer.routing.library_size == len(world.stored)
        assert [hit.similarity for hit in answer.hits] == [1 / (1 + d) for _, d in got]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 60),
    k=st.integers(1, 70),
    whole=st.booleans(),
    metric=st.sampled_from(["euclidean", "cosine"]),
)
@pytest.mark.slow
async def test_sql_engine_equals_numpy(
    pool: Pool, seed: int, rows: int, k: int, whole: bool, metric: str
) -> None:
    stored = embeddings(seed, rows, whole=whole)
    stored.feature[(stored.feature == 0).all(axis=1)] = 1  # the cosine of nothing is undefined
    world = await fill(pool, stored, card(metric))
    query = embeddings(seed + 1, 1, whole=whole)
    query.feature[(query.feature == 0).all(axis=1)] = 1
    await check(world, query, k, exact=whole)


async def test_images_to_leave_out_make_room_for_the_next(pool: Pool) -> None:
    """Each query has its own, and the shortlist of `auto` is made without them."""
    world = await fill(pool, embeddings(8, 60, whole=True), card())
    queries = embeddings(9, 2, whole=True)
    searcher = Searcher(pool, ENGINES["sql"])
    for space in SPACES:
        options = SearchOptions(12, space, RoutingMode.ALL)
        every = await searcher.search_batch("things", world.index.model_id, queries, options)
        without = [every[0].image_ids[:5], []]
        excluding = Embeddings(
            queries.probabilities, queries.feature, queries.code, {"exclude": without}
        )
        found = await searcher.search_batch("things", world.index.model_id, excluding, options)
        assert not set(found[0].image_ids) & set(without[0])
        assert len(found[0].image_ids) == 12
        if space is not SpaceName.AUTO:  # whose shortlist reaches further now
            assert found[0].image_ids[:7] == every[0].image_ids[5:]
        assert found[1].image_ids == every[1].image_ids


async def test_search_touches_only_the_routed_tables(pool: Pool) -> None:
    world = await fill(pool, embeddings(3, 60, whole=False), card())
    async with pool.acquire() as connection:
        plan = await connection.fetch(
            f"EXPLAIN SELECT image_id FROM {world.index.table} WHERE class_id = ANY($1::int[])"
            " ORDER BY probabilities <-> $2 LIMIT 3",
            [2],
            world.stored.probabilities[0],
        )
    text = "\n".join(row[0] for row in plan)
    assert f"{world.index.table}_class_2" in text
    assert f"{world.index.table}_class_1" not in text


async def test_model_that_is_not_live_is_named(pool: Pool) -> None:
    await fill(pool, embeddings(4, 5, whole=True), card())
    searcher = Searcher(pool, ENGINES["sql"])
    with pytest.raises(ModelNotLive) as refused:
        await searcher.search(
            "things",
            "model-other",
            embeddings(5, 1, whole=True),
            SearchOptions(3, SpaceName.AUTO, RoutingMode.ALL),
        )
    assert refused.value.extensions["live_model"] == "model-euclidean"


async def test_library_without_model_says_how_to_train(pool: Pool) -> None:
    await pool.execute("INSERT INTO libraries (name) VALUES ('empty')")
    with pytest.raises(NoModel, match="kinsight train empty"):
        await Searcher(pool, ENGINES["sql"]).search(
            "empty",
            "model",
            embeddings(5, 1, whole=True),
            SearchOptions(3, SpaceName.AUTO, RoutingMode.ALL),
        )


async def test_counters_follow_additions_and_removals(pool: Pool) -> None:
    world = await fill(pool, embeddings(6, 40, whole=True), card())
    async with pool.acquire() as connection, connection.transaction():
        again = await indexes.add_missing(connection, world.index, world.ids.tolist(), world.stored)
        await indexes.remove(connection, world.index, world.ids[:7].tolist())
    assert again == 0
    counted = await pool.fetch("SELECT class_id, rows FROM class_tables WHERE rows > 0")
    kept = world.stored.probabilities[7:].argmax(axis=1)
    assert {row["class_id"]: row["rows"] for row in counted} == {
        int(c): int((kept == c).sum()) for c in np.unique(kept)
    }
    for class_id in np.unique(kept):
        rows = await pool.fetchval(f"SELECT count(*) FROM {world.index.table}_class_{class_id}")
        assert rows == (kept == class_id).sum()


async def test_nothing_is_filed_twice(pool: Pool) -> None:
    world = await fill(pool, embeddings(7, 3, whole=True), card())
    with pytest.raises(asyncpg.UniqueViolationError):
        async with pool.acquire() as connection, connection.transaction():
            await indexes.add(connection, world.index, world.ids.tolist(), world.stored)
