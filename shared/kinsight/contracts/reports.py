"""The report of a model: what its page shows, as data, and the files that it consists of."""

from __future__ import annotations

from pydantic import Field

from kinsight.contracts.base import Wire
from kinsight.contracts.models import CurvePoint

PAGE, DATA = "index.html", "report.json"
PICTURES = ("curves.png", "kernels.png", "confusion.png", "top5.png", "retrieval.png")

# Every file of a report with its media type.
REPORT_FILES: dict[str, str] = {
    PAGE: "text/html; charset=utf-8",
    DATA: "application/json",
    **dict.fromkeys(PICTURES, "image/png"),
}


def report_key(model: str, file: str) -> str:
    """Key of a report's file in the store."""
    return f"models/{model}/report/{file}"


class ClassResult(Wire):
    """One class on the validation images."""

    name: str
    training_images: int
    validation_images: int
    right: int
    accuracy: float


class ConfusedPair(Wire):
    true: str
    predicted: str
    count: int
    part: float = Field(description="Of the validation images of the true class.")


class ClassProbability(Wire):
    name: str
    probability: float


class TopFive(Wire):
    """A validation image with the classes that the network thinks most probable."""

    image_id: int
    label: str
    classes: list[ClassProbability]


class Neighbour(Wire):
    image_id: int
    label: str
    distance: float = Field(description="Between the features, in the model's metric.")


class Neighbours(Wire):
    """A validation image with the training images that a search for it finds, nearest first."""

    image_id: int
    label: str
    hits: list[Neighbour]


class ModelReport(Wire):
    """`report.json`: the figures behind a model's page, measured when training ended."""

    model: str
    classes: list[ClassResult] = Field(description="In the order of the network's output.")
    confusion: list[tuple[int, int, int]] = Field(
        description="(true class, predicted class, images) of every cell that is not 0, the "
        "classes by number."
    )
    confused: list[ConfusedPair] = Field(description="The pairs confused most, falling by count.")
    curve: list[CurvePoint]
    top5: list[TopFive]
    retrieval: list[Neighbours]
    searched: int = Field(description="Training images that `retrieval` was searched in.")
    numbered: list[int] = Field(
        default_factory=list,
        description="Classes that the pictures write as `class 3`, as the server has no font for "
        "their names.",
    )
    missing: dict[str, str] = Field(
        default_factory=dict, description="Pictures that there are none of, and why."
    )
