"""Training, models and evaluation, as the public client does it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kinsight.clients.public_body import BYTES, Sent, file_body, pictures_body
from kinsight.clients.public_connection import PublicConnection, idempotency
from kinsight.contracts.jobs import Job
from kinsight.contracts.libraries import Library
from kinsight.contracts.models import Model, ModelList, WeightsInfo
from kinsight.contracts.reports import DATA, PAGE, ModelReport
from kinsight.errors import BadRequest


class ModelCalls(PublicConnection):
    def upload_weights(
        self, path: Path, *, on_sent: Sent | None = None, idempotency_key: str | None = None
    ) -> WeightsInfo:
        """Sends a safetensors file or a state dict; `train` names it by what is returned.

        Raises UnfitWeights where the file is neither, TooLarge.
        """
        return self._model(
            WeightsInfo,
            "POST",
            "/weights",
            body=file_body(path, BYTES).watched(on_sent),
            headers=idempotency(idempotency_key),
            again=True,
        )

    def train(
        self,
        library: str,
        network: str = "alexnet",
        network_options: Mapping[str, Any] | None = None,
        recipe: str = "fine-tune",
        recipe_options: Mapping[str, Any] | None = None,
        weights: str | Path = "none",
        trained_by: str | None = None,
        min_images_per_class: int = 100,
        seed: int = 0,
        then: str = "promote",
        *,
        split_seed: int = 0,
        crops: int = 1,
        on_sent: Sent | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Starts a training job on the library's labelled images; the fields of TrainRequest.

        weights: `default`, `none`, `sha256:…` of `upload_weights`, or a local file, which is
        uploaded first. then: `promote`, `evaluate` or `nothing`. split_seed: which images are
        held out. crops: 1 or 10 per picture in the index that `then` makes.
        Raises LibraryNotFound, TooFewClasses, TooFewImages, UnknownNetwork, UnknownRecipe,
        BadOption, UnfitWeights, WeightsNotFound, InvalidRequest.
        """
        # The server checks the fields: what it accepts may be newer than this client.
        request = {
            "library": library,
            "network": network,
            "network_options": dict(network_options or {}),
            "recipe": recipe,
            "recipe_options": dict(recipe_options or {}),
            "weights": self._weights(weights, on_sent),
            "trained_by": trained_by,
            "min_images_per_class": min_images_per_class,
            "seed": seed,
            "split_seed": split_seed,
            "crops": crops,
            "then": then,
        }
        headers = idempotency(idempotency_key)
        return self._model(Job, "POST", "/train", json=request, headers=headers, again=True)

    def models(self, library: str | None = None) -> list[Model]:
        return self._model(ModelList, "GET", "/models", params={"library": library}).models

    def model(self, model_id: str) -> Model:
        """Raises ModelNotFound."""
        return self._model(Model, "GET", _model(model_id))

    def report(self, model_id: str) -> ModelReport:
        """The figures behind the model's page. Raises ModelNotFound, ReportNotFound."""
        return self._model(ModelReport, "GET", f"{_model(model_id)}/report/{DATA}")

    def report_file(self, model_id: str, file: str = PAGE) -> bytes:
        """A file of the model's report (`kinsight.contracts.reports.REPORT_FILES`), its page first.

        Raises ModelNotFound, ReportNotFound, and NotFound for a picture that there is none of.
        """
        path = f"{_model(model_id)}/report/{quote(file, safe='')}"
        return self._send("GET", path).content

    def delete_model(self, model_id: str) -> None:
        """Raises ModelNotFound, and ModelInUse while a library is searched with it."""
        self._send("DELETE", _model(model_id))

    def promote(
        self,
        model_id: str,
        *,
        crops: int | None = None,
        override: bool = False,
        by: str | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Builds the library's index under this model, then switches to it in one step.

        It must measure no worse than the live model and not below the library's floor, unless
        `override` is set: the job succeeds either way, its result says `promoted` and, in `gate`,
        why. crops: 1 or 10 per picture; None: those of the index the model has, else 1.
        by, reason: kept in the library's history.
        Raises ModelNotFound, PromotionUnderWay.
        """
        options = {"crops": crops, "override": override, "by": by, "reason": reason}
        return self._model(
            Job,
            "POST",
            f"{_model(model_id)}/promote",
            json=options,
            headers=idempotency(idempotency_key),
            again=True,
        )

    def rollback(
        self, library: str, *, by: str | None = None, reason: str | None = None
    ) -> Library:
        """Goes back to the library's previous model. Raises NothingToRollBack."""
        path = f"/libraries/{quote(library, safe='')}/rollback"
        return self._model(Library, "POST", path, params={"by": by, "reason": reason})

    def evaluate(
        self,
        model_id: str,
        queries: Path | None = None,
        *,
        crops: int = 1,
        on_sent: Sent | None = None,
    ) -> Job:
        """Measures retrieval in every space and routing mode; the job's result is an Evaluation.

        queries: a folder or an archive of class folders of pictures that the library does not
        hold; None: the images that training kept for validation. crops: 1, or 10 to average each
        query over corners, centre and their mirror images.
        Raises ModelNotFound, BadArchive.
        """
        body = pictures_body([queries]).watched(on_sent) if queries is not None else None
        path = f"{_model(model_id)}/evaluate"
        headers = idempotency(None)
        params = {"crops": crops}
        return self._model(Job, "POST", path, params=params, body=body, headers=headers, again=True)

    def _weights(self, weights: str | Path, on_sent: Sent | None) -> str:
        if isinstance(weights, str) and (
            weights in ("default", "none") or weights.startswith("sha256:")
        ):
            return weights
        path = Path(weights)
        if not path.is_file():
            raise BadRequest(
                f"There is no file {weights}; weights are `default`, `none`, `sha256:…`, or a file."
            )
        return self.upload_weights(path, on_sent=on_sent).weights


def _model(model_id: str) -> str:
    return f"/models/{quote(model_id, safe='')}"
