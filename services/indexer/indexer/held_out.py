"""Which images two models are compared on: those that neither was trained on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from indexer.indexes import Index
from kinsight.contracts.models import ModelCard
from kinsight.database import Connection, Record

MOST = 2000  # queries per model: the mean's error is below 0.01 by then, and the time bounded
# Of common images there are enough when there are so many, or half of all that were held out
# from the candidate: the two precisions of one picture go together, so that a comparison on the
# same pictures needs no more than half as many as one on different pictures.
_ENOUGH = 30
_OF_EACH_LABEL = 2


@dataclass(frozen=True)
class HeldOut:
    """Labels by image id; the images are in both indexes, or each in its model's own."""

    candidate: Mapping[int, str]
    live: Mapping[int, str]
    same: bool  # one and the same set, that neither model was trained on
    weights: Mapping[str, int]  # of each label: its part of what was held out from the candidate


async def held_out(
    connection: Connection,
    candidate: Index,
    card: ModelCard,
    live: Index | None,
    live_card: ModelCard | None,
) -> HeldOut:
    """Stored, labelled images whose vectors are in the indexes; at most MOST, by a fixed seed.

    In common are the candidate's validation images that were held out from the live model too,
    or that came into the library after the live model's training had begun. Where too few are,
    each model is measured on its own; the live one on the candidate's where its own are gone.
    """
    own = await _stored(connection, candidate, card.validation_image_ids)
    weights = Counter(row["label"] for row in own)
    if live is None:
        return HeldOut(_sample(own), {}, True, weights)
    live_ids = live_card.validation_image_ids if live_card else []
    in_live = await _stored(connection, live, [row["id"] for row in own])
    known = frozenset(live_ids)
    common = [
        row
        for row in in_live
        if row["id"] in known or (live_card and row["created_at"] > live_card.started_at)
    ]
    if _enough(common, weights):
        sample = _sample(common)
        return HeldOut(sample, sample, True, weights)
    live_own = await _stored(connection, live, live_ids) or in_live
    return HeldOut(_sample(own), _sample(live_own), False, weights)


def _enough(common: list[Record], own: Mapping[str, int]) -> bool:
    labels = Counter(row["label"] for row in common)
    return (
        len(common) >= _ENOUGH or (len(common) > 0 and 2 * len(common) >= sum(own.values()))
    ) and all(labels[label] >= min(_OF_EACH_LABEL, count) for label, count in own.items())


async def _stored(connection: Connection, index: Index, image_ids: list[int]) -> list[Record]:
    return await connection.fetch(
        "SELECT id, label, created_at FROM images"
        " WHERE library_id = $1 AND id = ANY($2) AND label IS NOT NULL"
        f" AND EXISTS (SELECT 1 FROM {index.table} WHERE image_id = images.id) ORDER BY id",
        index.library_id,
        image_ids,
    )


def _sample(rows: list[Record]) -> dict[int, str]:
    labels = {row["id"]: row["label"] for row in rows}
    if len(labels) <= MOST:
        return labels
    chosen = random.Random(0).sample(list(labels), MOST)  # noqa: S311  the same at every try
    return {image_id: labels[image_id] for image_id in sorted(chosen)}
