"""Libraries and their images."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from kinsight.contracts.base import Wire

LIBRARY_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
DEFAULT_FLOOR = 0.80


class LibraryCreate(Wire):
    name: str = Field(pattern=LIBRARY_NAME, examples=["clothing"])
    floor: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="P@10 below which no model goes live unasked; left out: 0.80, but for a first "
        "model, without which the library could not be searched at all.",
    )


class LibraryPatch(Wire):
    floor: float | None = Field(
        ge=0, le=1, description="P@10 below which no model goes live; null: the default again."
    )


class Library(Wire):
    name: str
    floor: float = DEFAULT_FLOOR
    floor_is_default: bool = Field(
        default=True, description="Nobody has set it: it does not hold for a first model."
    )
    images: int = Field(description="Images stored.")
    indexed: int = Field(description="Images searchable under the live model.")
    labels: dict[str, int] = Field(description="Images per label; unlabelled ones are not here.")
    model: str | None = Field(default=None, description="Id of the live model.")
    crops: int | None = Field(
        default=None, description="Crops per picture in the live index; null without a model."
    )
    previous_model: str | None = Field(default=None, description="What `rollback` goes back to.")
    created_at: datetime


class LibraryList(Wire):
    libraries: list[Library]


class Image(Wire):
    id: str
    library: str
    sha256: str
    filename: str
    label: str | None = None
    class_: str | None = Field(
        default=None, alias="class", description="The class table it is in; null if not indexed."
    )
    width: int
    height: int
    bytes: int
    format: str
    created_at: datetime
    content_url: str
    thumbnail_url: str


class ImagePage(Wire):
    images: list[Image]
    next_page_token: str | None = None


class ImagePatch(Wire):
    label: str | None = Field(description="The right label, or null to take it away.")


class TrainingImage(Wire):
    """One line of the training set that the indexer hands to the trainer."""

    image_id: int
    key: str = Field(description="Key of the bytes in the store.")
    filename: str = ""
    label: str
    perceptual_hash: int = Field(description="64-bit difference hash, signed.")
