"""Promotions: a model that is to go live, what the gate says of it, and the history of it all."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from kinsight.contracts.base import Wire

Crops = Literal[1, 10]


class PromoteOptions(Wire):
    """Body of `POST /models/{id}/promote`; every field may be left out."""

    library: str | None = Field(
        default=None, description="Checked, where given: a model goes live in its own library."
    )
    crops: Crops | None = Field(
        default=None,
        description="Crops per picture in the index: 10 is the mean of four corners, the centre "
        "and their mirror images. Left out: those of the index the model has, else 1.",
    )
    override: bool = Field(
        default=False, description="Go live whatever the gate says; the history keeps it."
    )
    by: str | None = Field(default=None, max_length=200, description="Who asks for it.")
    reason: str | None = Field(default=None, max_length=1000)


class PromoteRequest(PromoteOptions):
    """What the indexer is asked for."""

    model: str
    switch: bool = Field(
        default=True,
        description="False: build the index, to be evaluated, and leave it beside the live one.",
    )
    queue: bool = Field(
        default=False,
        description="After another promotion under way, where else this one would be refused.",
    )


class Gate(Wire):
    """What was measured before a model could go live, and what follows from it.

    P@10 is the mean over held-out images of the relevant among the first ten hits, divided by
    ten (CBIR paper, table 2), in the space `auto` under the routing `adaptive`.
    """

    passed: bool
    promoted: bool = Field(
        description="Whether the model went live: also unpassed, when it was overridden or "
        "nothing else was live and nobody had set a floor."
    )
    reason: str
    p_at_10: float | None = Field(description="Null where there was no held-out image.")
    live_p_at_10: float | None = Field(
        description="The live model's; null where none was live, or its tables were empty."
    )
    floor: float
    queries: int = Field(description="Held-out images that the candidate was measured on.")
    live_queries: int = Field(description="Those that the live model was measured on.")
    same_images: bool = Field(
        description="Whether both were measured on the same images, which neither was trained on; "
        "false: each on those held out from its own training, as too few were common to both."
    )
    live_model: str | None


class Outcome(StrEnum):
    PROMOTED = "promoted"
    REFUSED = "refused"
    OVERRIDDEN = "overridden"
    ROLLED_BACK = "rolled-back"


class Promotion(Wire):
    """One line of a library's history."""

    library: str
    model: str
    previous_model: str | None = Field(
        description="Live until then; of a refusal: the one that stays."
    )
    crops: int
    at: datetime
    outcome: Outcome
    by: str | None
    reason: str | None
    job: str | None
    gate: Gate | None = Field(description="Null for a rollback.")


class PromotionPage(Wire):
    """Newest first."""

    promotions: list[Promotion]
    next_page_token: str | None = None
