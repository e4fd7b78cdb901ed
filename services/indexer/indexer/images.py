"""The images of libraries: pages, single ones, labels, deletion, the training set."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

from indexer import indexes, libraries
from indexer.indexes import Index
from kinsight.contracts.libraries import Image, ImagePage
from kinsight.database import Connection, Pool, Record
from kinsight.errors import ClassNotFound, ImageNotFound
from kinsight.jobs.rows import page_number
from kinsight.store import blob_key

_STREAM_ROWS = 1000


async def page(
    pool: Pool,
    library: str,
    *,
    label: str | None,
    class_: str | None,
    unlabelled: bool,
    page_size: int,
    page_token: str | None,
) -> ImagePage:
    """In order of arrival; `class_` is the predicted class under the live model."""
    async with pool.acquire() as connection:
        library_id = await libraries.library_id(connection, library)
        index = await _live_index(connection, library_id)
        of_class = ""
        class_id = None
        if class_ is not None:
            if index is None or class_ not in index.classes:
                raise ClassNotFound(f"Library {library!r} has no class {class_!r}.")
            class_id = index.classes.index(class_)
            of_class = (
                f" AND EXISTS (SELECT 1 FROM {index.table} WHERE image_id = images.id"
                " AND class_id = $6)"
            )
        rows = await connection.fetch(
            "SELECT * FROM images WHERE library_id = $1 AND id > coalesce($2::bigint, 0)"
            " AND ($3::text IS NULL OR label = $3) AND (NOT $4 OR label IS NULL)"
            f" AND ($6::int IS NULL OR true){of_class} ORDER BY id LIMIT $5",
            library_id,
            page_number(page_token),
            label,
            unlabelled,
            page_size + 1,
            class_id,
        )
        shown = rows[:page_size]
        images = await _images(connection, shown, library, index)
    more = len(rows) > page_size
    return ImagePage(images=images, next_page_token=str(shown[-1]["id"]) if more else None)


async def get(pool: Pool, image_id: str) -> Image:
    async with pool.acquire() as connection:
        return await _get(connection, _number(image_id))


async def set_label(pool: Pool, image_id: str, label: str | None) -> Image:
    """Corrects what a person called an image; its class table is the model's to say."""
    async with pool.acquire() as connection:
        number = _number(image_id)
        await connection.execute("UPDATE images SET label = $2 WHERE id = $1", number, label)
        return await _get(connection, number)


async def delete(pool: Pool, image_id: str) -> None:
    """Gone from every index of its library when this returns; raises ImageNotFound."""
    number = _number(image_id)
    async with pool.acquire() as connection, connection.transaction():
        library_id = await connection.fetchval(
            "SELECT library_id FROM images WHERE id = $1", number
        )
        if library_id is None:
            raise _unknown(image_id)
        await libraries.lock(connection, library_id)
        sha256 = await connection.fetchval(
            "DELETE FROM images WHERE id = $1 RETURNING sha256", number
        )
        if sha256 is None:
            raise _unknown(image_id)
        for index in await indexes.of_library(connection, library_id):
            await indexes.remove(connection, index, [number])
        await connection.execute(
            "INSERT INTO blob_garbage (sha256) VALUES ($1) ON CONFLICT DO NOTHING", sha256
        )


async def training_set(pool: Pool, library: str) -> AsyncIterator[bytes]:
    """The labelled images as lines of contracts.libraries.TrainingImage, by image id."""
    library_id = await libraries.library_id(pool, library)
    last = 0
    while True:
        rows = await pool.fetch(
            "SELECT id, sha256, filename, label, perceptual_hash FROM images"
            " WHERE library_id = $1 AND label IS NOT NULL AND id > $2 ORDER BY id LIMIT $3",
            library_id,
            last,
            _STREAM_ROWS,
        )
        if not rows:
            return
        last = rows[-1]["id"]
        yield "".join(
            json.dumps(
                {
                    "image_id": row["id"],
                    "key": blob_key(row["sha256"].hex()),
                    "filename": row["filename"],
                    "label": row["label"],
                    "perceptual_hash": row["perceptual_hash"],
                }
            )
            + "\n"
            for row in rows
        ).encode()


def content_url(image_id: int) -> str:
    return f"/images/{image_id}/content"


def thumbnail_url(image_id: int) -> str:
    return f"/images/{image_id}/thumbnail"


async def _get(connection: Connection, number: int) -> Image:
    row = await connection.fetchrow(
        "SELECT images.*, libraries.name AS library FROM images"
        " JOIN libraries ON libraries.id = library_id WHERE images.id = $1",
        number,
    )
    if row is None:
        raise _unknown(str(number))
    index = await _live_index(connection, row["library_id"])
    return (await _images(connection, [row], row["library"], index))[0]


async def _live_index(connection: Connection, library_id: int) -> Index | None:
    live = await connection.fetchval("SELECT live_index FROM libraries WHERE id = $1", library_id)
    return await indexes.get(connection, live) if live else None


async def _images(
    connection: Connection, rows: Sequence[Record], library: str, index: Index | None
) -> list[Image]:
    classes: dict[int, str] = {}
    if index and rows:
        filed = await connection.fetch(
            f"SELECT image_id, class_id FROM {index.table} WHERE image_id = ANY($1)",
            [row["id"] for row in rows],
        )
        classes = {row["image_id"]: index.classes[row["class_id"]] for row in filed}
    return [
        Image(
            id=str(row["id"]),
            library=library,
            sha256=row["sha256"].hex(),
            filename=row["filename"],
            label=row["label"],
            class_=classes.get(row["id"]),
            width=row["width"],
            height=row["height"],
            bytes=row["bytes"],
            format=row["format"],
            created_at=row["created_at"],
            content_url=content_url(row["id"]),
            thumbnail_url=thumbnail_url(row["id"]),
        )
        for row in rows
    ]


def _number(image_id: str) -> int:
    if not image_id.isdecimal() or len(image_id) > 18:
        raise _unknown(image_id)
    return int(image_id)


def _unknown(image_id: str) -> ImageNotFound:
    return ImageNotFound(f"There is no image {image_id}; it may have been deleted.")
