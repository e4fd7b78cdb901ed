"""One training job from its specification to the model in the store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kinsight import networks
from kinsight.contracts.models import Accuracies, ModelCard, RetrievalSettings, TrainRequest
from kinsight.errors import TrainingDiverged
from kinsight.networks import EmbeddingArrays, RetrievalNetwork, packed
from kinsight.networks.hash_layer import Projection
from kinsight.networks.model_folder import card_key, weights_bytes, weights_key
from trainer import recipes
from trainer.recipes import Trained
from trainer.report import writing as report
from trainer.report.measured import Embedded, Results
from trainer.training import data, devices
from trainer.training.calibration import MOST_ROWS, Labelled, calibrate
from trainer.training.card import Measured, model_card
from trainer.training.checkpoint import Checkpoints
from trainer.training.divergence import with_kept_weights
from trainer.training.events import Reporter
from trainer.training.members import find_members
from trainer.training.run import Run
from trainer.training.seeds import derive, generator
from trainer.training.spec import Spec
from trainer.training.store_access import StoreAccess


def carry_out(spec: Spec, reporter: Reporter) -> ModelCard | None:
    """Reads, trains, calibrates and stores; takes up what an earlier attempt left.

    Of several processes that train together the leader returns the card, the others None.
    Raises a KinsightError where the request cannot be carried out.
    """
    begun = time.monotonic()
    request = spec.request
    recipe = recipes.find(request.recipe)
    options = recipes.options_for(request.recipe, request.recipe_options)
    chosen = recipe.network_options(
        request.network, request.network_options, from_scratch=request.weights == "none"
    )
    network_options = networks.options_for(request.network, chosen).model_dump()
    device = devices.choose()
    group = device.group
    reporter.note(device=device.name, machine=device.machine)
    with group.leader_first():
        started_at = _started_at(spec.scratch)
    if group.leader:
        reporter.keep_curve(spec.scratch / "curve.ndjson")
    images = data.listed_images(spec)
    with StoreAccess(spec.store_url) as store:
        # Before anything is read: weights that do not fit are told at once.
        labels = {image.label for image in images}
        members = find_members(request, network_options, labels, store)
        if members:
            network_options = members.options(network_options)
        with group.leader_first():  # it may have to be downloaded
            state = members.state(store) if members else _initial_state(request, store)
        classes = len(labels)
        if state:
            networks.check_fit(request.network, network_options, state, classes=classes)
        preprocessing = networks.preprocessing_for(request.network, network_options)
        with group.leader_first():
            training_data = data.load(spec, images, preprocessing, store, reporter)
        if members:
            training_data = members.validated_alike(training_data)
        network, pretrained = _network(
            request, network_options, state, classes=len(training_data.counts)
        )
        run = Run(
            request=request,
            network=device.prepared(network),
            network_options=network_options,
            pretrained=pretrained,
            preprocessing=recipe.preprocessing(
                preprocessing, training_data, options, from_scratch=state is None
            ),
            data=training_data,
            device=device,
            checkpoints=Checkpoints(
                store, spec.job_id, reporter, every_seconds=options.checkpoint_seconds
            ),
            reporter=reporter,
            scratch=spec.scratch,
        )
        try:
            trained = recipe.train(run, options)
        except TrainingDiverged as error:
            if not group.leader:
                raise
            raise with_kept_weights(error, network, store) from error
        if not group.leader:
            return None
        accuracy, retrieval, embedded = _measure(run, trained)
        reporter.phase("saving", 1)
        weights = weights_bytes(network)
        measured = Measured(
            accuracy=accuracy,
            retrieval=retrieval,
            started_at=started_at,
            seconds=time.monotonic() - begun + trained.earlier_seconds,
            weights_bytes=len(weights),
        )
        card = model_card(spec.model_id, run, options, trained, measured)
        store.put_when_there_is_room(weights_key(card.id), weights, reporter)
        report.write(run, card, Results(*embedded, reporter.points), store)
        # Written last: a model exists when its card does.
        described = card.model_dump_json(indent=2).encode()
        store.put_when_there_is_room(card_key(card.id), described, reporter)
    reporter.advance(1)
    return card


def _started_at(scratch: Path) -> datetime:
    """When the first attempt at this job began."""
    scratch.mkdir(parents=True, exist_ok=True)
    note = scratch / "started-at"
    if not note.exists():
        note.write_text(datetime.now(UTC).isoformat())
    return datetime.fromisoformat(note.read_text())


def _initial_state(request: TrainRequest, store: StoreAccess) -> dict[str, Tensor] | None:
    """The tensors that training starts from; None from scratch."""
    if request.weights == "none":
        return None
    if request.weights == "default":
        return networks.published_state(request.network)
    return store.weights(request.weights)


def _network(
    request: TrainRequest,
    options: Mapping[str, object],
    state: Mapping[str, Tensor] | None,
    *,
    classes: int,
) -> tuple[RetrievalNetwork, frozenset[str]]:
    """The network with its initial values, and the names of the tensors that were given."""
    torch.manual_seed(derive(request.seed, "initial values"))
    network = networks.build(request.network, options, classes=classes)
    if state is None:
        return network, frozenset()
    return network, frozenset(networks.load_into(network, state).tensors)


def _measure(
    run: Run, trained: Trained
) -> tuple[Accuracies, RetrievalSettings, tuple[Embedded, Embedded]]:
    """Fits the projection where there is no hash layer; accuracies; search settings; the
    training and validation images with their outputs.
    """
    labels, (training, validation) = run.data.labels, run.data.split
    if len(training) > MOST_ROWS:
        rows = generator(run.seed, "database").permutation(len(training))[:MOST_ROWS]
        training = training[np.sort(rows)]
    progress = _Counted(run.reporter, 2 * len(validation) + len(training))
    rows_of = [trained.embed(indices, progress.add) for indices in (training, validation)]
    projection = run.network.projection
    if projection is not None:
        projection.fit(torch.from_numpy(rows_of[0].feature), seed=derive(run.seed, "projection"))
        rows_of = [_recoded(projection, arrays) for arrays in rows_of]
    database, queries = (
        Labelled(arrays, labels[indices])
        for arrays, indices in zip(rows_of, (training, validation), strict=True)
    )
    accuracy = Accuracies(training=database.accuracy(), validation=queries.accuracy())
    retrieval = calibrate(
        database,
        queries,
        feature_metric=run.network.feature_metric,
        seed=run.seed,
        advance=progress.add,
    )
    return accuracy, retrieval, (Embedded(training, database), Embedded(validation, queries))


def _recoded(projection: Projection, arrays: EmbeddingArrays) -> EmbeddingArrays:
    """The same images with the codes of the projection fitted since."""
    with torch.inference_mode():
        feature = torch.from_numpy(arrays.feature).to(projection.mean.device)
        return arrays._replace(code=packed(projection(feature)))


class _Counted:
    """Adds up what is done of a phase."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._reporter, self._done = reporter, 0
        reporter.phase("calibrating", total)

    def add(self, more: int) -> None:
        self._done += more
        self._reporter.advance(self._done)
