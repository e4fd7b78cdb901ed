"""The last evaluation of each library's live model."""

from __future__ import annotations

from admin import sla
from kinsight.clients.indexer import IndexerClient
from kinsight.clients.trainer import TrainerClient
from kinsight.contracts.admin import SlaRequirement
from kinsight.contracts.evaluation import Evaluation
from kinsight.errors import Unavailable


async def precisions(indexer: IndexerClient, trainer: TrainerClient) -> list[SlaRequirement]:
    """One requirement per library that is searched with a model, or one that says why not."""
    try:
        libraries = (await indexer.libraries()).libraries
        models = {model.id: model for model in (await trainer.models()).models}
    except Unavailable as error:  # the rest of the report does not need them
        return [sla.unmeasured_precision(error.detail)]
    found = []
    for library in libraries:
        if library.model is None:
            continue
        model = models.get(library.model)
        evaluation = (
            Evaluation.model_validate(model.card.evaluation)
            if model and model.card.evaluation
            else None
        )
        since = evaluation.measured_at if evaluation else None
        found.append(sla.precision(library.name, library.model, evaluation, since))
    return found or [
        sla.unmeasured_precision(
            "No library is searched with a model yet; train one with `kinsight train LIBRARY`."
        )
    ]
