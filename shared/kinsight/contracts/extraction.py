"""What the extractor is asked for stored images, and what it says of each."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from kinsight.contracts.base import Wire


class StoredImages(Wire):
    """Body of `POST /embed-stored` and `POST /inspect-stored`."""

    keys: list[str] = Field(max_length=1024)
    model: str | None = Field(default=None, description="Needed by embed-stored only.")
    crops: Literal[1, 10] = Field(
        default=1,
        description="10: the mean over four corners, the centre and their mirror images "
        "(AlexNet §4.1). For embed-stored only.",
    )


class Inspection(Wire):
    """One stored image: its facts, or the reason why it cannot be used."""

    key: str
    width: int = 0
    height: int = 0
    format: str = ""
    perceptual_hash: int = 0
    error: str | None = None


class Inspections(Wire):
    items: list[Inspection]


class DeviceReport(Wire):
    device: str = Field(description="`cuda:0`, `cpu`, …: what the networks really run on.")
    name: str = Field(description="The hardware's own name.")
    images_per_second: float | None = Field(
        description="Measured on the device with the model named, at the full batch size."
    )
    model: str | None
    loaded_models: list[str]
    versions: dict[str, Any]
