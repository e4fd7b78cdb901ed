"""Models: the card stored beside the weights, and what is said of them over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from kinsight.contracts.base import Wire


class Preprocessing(Wire):
    """From a decoded picture to the network's input; the same at training and at search.

    `crop`: short side to `resize`, then the centre `input_size` square (AlexNet §2).
    `squash`: the whole picture to `input_size` square, for small scans that are square already.
    """

    mode: Literal["crop", "squash"] = "crop"
    resize: int = 256
    input_size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


class RetrievalSettings(Wire):
    """Tuned on the validation images when training ends."""

    routing_threshold: float = Field(
        default=0.95, description="Adaptive routing adds classes until their sum reaches this."
    )
    routing_limit: int = Field(default=4, description="At most so many class tables.")
    shortlist: int = Field(
        default=200, description="Rows that `auto` takes by Hamming distance before re-ranking."
    )
    match_distance: dict[str, float] = Field(
        default_factory=dict,
        description="Per space: a nearest hit beyond this distance is no match.",
    )


class Accuracies(Wire):
    training: float | None = None
    validation: float | None = None


class ModelCard(Wire):
    """`card.json` of a model folder."""

    id: str
    library: str
    network: str
    network_options: dict[str, Any] = Field(default_factory=dict)
    preprocessing: Preprocessing
    classes: list[str] = Field(description="Class i of the network's output is classes[i].")
    feature_dimensions: int
    code_bits: int
    code_kind: Literal["hash-layer", "projection"]
    feature_metric: Literal["euclidean", "cosine"] = "euclidean"
    recipe: str
    recipe_options: dict[str, Any] = Field(default_factory=dict)
    weights: str = Field(description="What training started from.")
    seed: int
    split_seed: int = 0
    data_fingerprint: str = Field(description="SHA-256 over the sorted training image hashes.")
    class_counts: dict[str, int]
    training_images: int
    validation_images: int
    validation_image_ids: list[int] = Field(default_factory=list)
    unreadable_images: int = Field(default=0, description="Labelled images left out.")
    unreadable_files: list[str] = Field(
        default_factory=list, description="The names of the first hundred of them."
    )
    trained_by: str | None = None
    started_at: datetime
    seconds: float
    iterations: int
    epochs: float
    device: str
    machine: str
    accuracy: Accuracies
    retrieval: RetrievalSettings
    evaluation: dict[str, Any] | None = None
    parameters: int
    bytes: int = Field(description="Size of model.safetensors.")
    versions: dict[str, str] = Field(default_factory=dict)


class Model(Wire):
    """A model as REST shows it."""

    id: str
    library: str
    network: str
    live: bool = False
    created_at: datetime
    card: ModelCard


class ModelList(Wire):
    models: list[Model]


class WeightsInfo(Wire):
    weights: str = Field(description="Name these weights by this in `POST /train`.")
    tensors: int
    bytes: int


class TrainRequest(Wire):
    library: str
    network: str = Field(default="alexnet", examples=["torchvision/mobilenet_v2"])
    network_options: dict[str, Any] = Field(default_factory=dict)
    recipe: str = "fine-tune"
    recipe_options: dict[str, Any] = Field(default_factory=dict)
    weights: str = Field(
        default="none",
        description="`default` (torchvision's download), `none`, or `sha256:…` of POST /weights.",
    )
    trained_by: str | None = Field(default=None, max_length=200)
    min_images_per_class: int = Field(default=100, ge=2)
    seed: int = 0
    split_seed: int = Field(
        default=0,
        description="Which images are held out for validation. Models of one split are compared "
        "on images that neither was trained on.",
    )
    crops: Literal[1, 10] = Field(
        default=1,
        description="Crops per picture in the index that `then` makes: 10 is the mean of four "
        "corners, the centre and their mirror images (AlexNet §4.1).",
    )
    then: Literal["promote", "evaluate", "nothing"] = "promote"


class CurvePoint(Wire):
    iteration: int
    seconds: float
    loss: float | None = None
    images_per_second: float | None = None
    training_accuracy: float | None = Field(
        default=None, description="Over the iterations just before, as trained: with dropout."
    )
    validation_accuracy: float | None = None


class TrainingRun(Wire):
    job: str
    library: str
    model: str | None
    network: str
    recipe: str
    device: str
    machine: str
    started_at: datetime
    iterations_per_second: float | None
    points: list[CurvePoint]


class TrainingCurves(Wire):
    runs: list[TrainingRun]
