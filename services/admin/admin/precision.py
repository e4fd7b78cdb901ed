"""The last evaluation of each library's live model."""

from __future__ import annotations

from dataclasses import dataclass

from admin import sla
from kinsight.clients.indexer import IndexerClient
from kinsight.clients.trainer import TrainerClient
from kinsight.contracts.admin import SlaRequirement
from kinsight.contracts.evaluation import Evaluation
from kinsight.errors import Unavailable


@dataclass(frozen=True)
class LiveEvaluation:
    """evaluation: None where the library's live model has not been measured yet."""

    library: str
    model: str
    evaluation: Evaluation | None


async def live_evaluations(indexer: IndexerClient, trainer: TrainerClient) -> list[LiveEvaluation]:
    """One per library that is searched with a model; raises Unavailable."""
    libraries = (await indexer.libraries()).libraries
    cards = {model.id: model.card.evaluation for model in (await trainer.models()).models}
    return [
        LiveEvaluation(
            library.name,
            library.model,
            Evaluation.model_validate(card) if (card := cards.get(library.model)) else None,
        )
        for library in libraries
        if library.model is not None
    ]


async def precisions(indexer: IndexerClient, trainer: TrainerClient) -> list[SlaRequirement]:
    """One requirement per library that is searched with a model, or one that says why not."""
    try:
        live = await live_evaluations(indexer, trainer)
    except Unavailable as error:  # the rest of the report does not need them
        return [sla.unmeasured_precision(error.detail)]
    return [
        sla.precision(
            one.library,
            one.model,
            one.evaluation,
            one.evaluation.measured_at if one.evaluation else None,
        )
        for one in live
    ] or [
        sla.unmeasured_precision(
            "No library is searched with a model yet; train one with `kinsight train LIBRARY`."
        )
    ]
