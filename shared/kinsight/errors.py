"""Every error Kinsight raises on purpose, as one tree.

Each class carries the HTTP status and the problem code that `kinsight.web.problems` renders
(RFC 9457), and that `kinsight.clients` turns back into the same class, so that an error raised in
the indexer reaches the caller of the gateway unchanged.

    KinsightError
     ├── BadRequest 400 ── EmptyBody, BadImage (422), ImageTooLarge (413), BadArchive (422) …
     ├── Unauthorized 401, Forbidden 403
     ├── NotFound 404 ── LibraryNotFound, ModelNotFound, JobNotFound, ImageNotFound, ClassNotFound
     ├── Conflict 409 ── LibraryExists, NoModel, ModelNotLive, ModelInUse, JobFinished
     ├── Unprocessable 422 ── TooFewClasses, TooFewImages, UnknownNetwork, UnfitWeights
     ├── Unavailable 503 ── Overloaded
     ├── TrainingLost 500
     └── StartFailed 500 ── AlreadyRunning (of the embedded run; no request meets them)
"""

from __future__ import annotations

from typing import Any, ClassVar


class KinsightError(Exception):
    """Something went wrong inside Kinsight; the log of the service has the details."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str | None = None, **extensions: Any) -> None:
        self.detail = detail or type(self).__doc__ or self.title
        self.extensions = extensions
        super().__init__(self.detail)

    def problem(self) -> dict[str, Any]:
        """The error as an RFC 9457 problem object; extensions stand beside the standard members."""
        return {
            **self.extensions,
            "type": f"urn:kinsight:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }

    @staticmethod
    def from_problem(problem: dict[str, Any]) -> KinsightError:
        """The error that a problem object of another service stands for."""
        extensions = {
            key: value
            for key, value in problem.items()
            if key not in ("type", "title", "status", "code", "detail")
        }
        cls = BY_CODE.get(problem.get("code", ""), KinsightError)
        return cls(problem.get("detail"), **extensions)


class BadRequest(KinsightError):
    """The request cannot be understood as it was sent."""

    status = 400
    code = "bad-request"
    title = "Bad request"


class EmptyBody(BadRequest):
    """The request has no body; send the bytes of one image."""

    code = "empty-body"
    title = "Empty body"


class Unauthorized(KinsightError):
    """This server needs an API key: send it as `Authorization: Bearer KEY`."""

    status = 401
    code = "unauthorized"
    title = "API key needed"


class Forbidden(KinsightError):
    """This is not allowed here."""

    status = 403
    code = "forbidden"
    title = "Forbidden"


class CrossSite(Forbidden):
    """Another web site's page sent this request; only Kinsight's own page may change things."""

    code = "cross-site"
    title = "Request from another site"


class FolderNotAllowed(Forbidden):
    """The folder is outside the folders that KINSIGHT_INGEST_ROOTS allows."""

    code = "folder-not-allowed"
    title = "Folder not allowed"


class AddressNotAllowed(Forbidden):
    """The address leads into this server's network; KINSIGHT_FETCH_PRIVATE_ADDRESSES allows it."""

    code = "address-not-allowed"
    title = "Address not allowed"


class NotFound(KinsightError):
    """There is nothing here."""

    status = 404
    code = "not-found"
    title = "Not found"


class LibraryNotFound(NotFound):
    """There is no library of this name; `GET /libraries` lists them."""

    code = "library-not-found"
    title = "Unknown library"


class ModelNotFound(NotFound):
    """There is no model of this id; `GET /models` lists them."""

    code = "model-not-found"
    title = "Unknown model"


class ReportNotFound(NotFound):
    """This model has no report; train it again to get one."""

    code = "report-not-found"
    title = "No report"


class JobNotFound(NotFound):
    """There is no job of this id; `GET /jobs` lists them."""

    code = "job-not-found"
    title = "Unknown job"


class ImageNotFound(NotFound):
    """There is no image of this id in any library."""

    code = "image-not-found"
    title = "Unknown image"


class ClassNotFound(NotFound):
    """The library's model does not know this class."""

    code = "class-not-found"
    title = "Unknown class"


class WeightsNotFound(NotFound):
    """These weights are not in the store; send the file to `POST /weights` first."""

    code = "weights-not-found"
    title = "Unknown weights"


class BlobNotFound(NotFound):
    """The store has nothing under this key."""

    code = "blob-not-found"
    title = "Not in the store"


class Conflict(KinsightError):
    """The request does not fit the present state."""

    status = 409
    code = "conflict"
    title = "Conflict"


class LibraryExists(Conflict):
    """A library of this name exists already."""

    code = "library-exists"
    title = "Library exists"


class NoModel(Conflict):
    """The library has no model yet; train one with `POST /train`."""

    code = "no-model"
    title = "Library has no model"


class ModelNotLive(Conflict):
    """The library is searched with another model by now."""

    code = "model-not-live"
    title = "Model is not live"


class ModelInUse(Conflict):
    """A library is searched with this model; promote another one first."""

    code = "model-in-use"
    title = "Model is live"


class JobFinished(Conflict):
    """The job has ended, or its cancellation was asked for already."""

    code = "job-finished"
    title = "Job cannot be cancelled"


class PromotionUnderWay(Conflict):
    """Another model is about to go live in this library; wait for that job, or cancel it."""

    code = "promotion-under-way"
    title = "Promotion under way"


class NothingToRollBack(Conflict):
    """The library has no earlier model to go back to."""

    code = "nothing-to-roll-back"
    title = "Nothing to roll back to"


class IdempotencyMismatch(Conflict):
    """This Idempotency-Key was used before for a different request."""

    code = "idempotency-mismatch"
    title = "Idempotency key used before"


class LeaseLost(Conflict):
    """Another worker holds this job now; this worker's result is dropped."""

    code = "lease-lost"
    title = "Lease lost"


class TooLarge(KinsightError):
    """The request is larger than this server accepts."""

    status = 413
    code = "too-large"
    title = "Too large"


class ImageTooLarge(TooLarge):
    """The image has more bytes or pixels than this server accepts."""

    code = "image-too-large"
    title = "Image too large"


class UnsupportedMediaType(KinsightError):
    """The content type is not one this route reads."""

    status = 415
    code = "unsupported-media-type"
    title = "Unsupported media type"


class Unprocessable(KinsightError):
    """The request is well-formed but cannot be carried out."""

    status = 422
    code = "unprocessable"
    title = "Cannot be carried out"


class BadImage(Unprocessable):
    """The bytes are not an image Kinsight can decode."""

    code = "bad-image"
    title = "Not a readable image"


class BadArchive(Unprocessable):
    """The upload is neither a zip nor a tar archive that can be read."""

    code = "bad-archive"
    title = "Not a readable archive"


class TooFewClasses(Unprocessable):
    """Training needs at least two labelled classes."""

    code = "too-few-classes"
    title = "Too few classes"


class TooFewImages(Unprocessable):
    """A class has fewer labelled images than training asks for."""

    code = "too-few-images"
    title = "Too few images"


class UnknownNetwork(Unprocessable):
    """There is no network of this name."""

    code = "unknown-network"
    title = "Unknown network"


class InvalidRequest(Unprocessable):
    """A parameter or field of the request is missing, unknown or out of range."""

    code = "invalid-request"
    title = "Invalid request"


class UnknownRecipe(Unprocessable):
    """There is no training recipe of this name."""

    code = "unknown-recipe"
    title = "Unknown recipe"


class BadOption(Unprocessable):
    """An option of the network or the recipe is unknown or out of range."""

    code = "bad-option"
    title = "Bad option"


class WrongLibrary(Unprocessable):
    """The model was trained for another library; a model goes live in its own."""

    code = "wrong-library"
    title = "Model of another library"


class UnfitWeights(Unprocessable):
    """The weights do not fit the network."""

    code = "unfit-weights"
    title = "Weights do not fit"


class TrainingDiverged(Unprocessable):
    """The loss is no longer a finite number; try a lower learning rate."""

    code = "training-diverged"
    title = "Training diverged"


class StorageFull(KinsightError):
    """The server's disk is full; nothing of this request was kept. Make room and send it again."""

    status = 507
    code = "storage-full"
    title = "Storage full"


class Unavailable(KinsightError):
    """A service this request needs does not answer; try again in a moment."""

    status = 503
    code = "unavailable"
    title = "Not available"


class Overloaded(Unavailable):
    """The queue is full; try again in a moment."""

    code = "overloaded"
    title = "Too busy"


class TrainingLost(KinsightError):
    """The training process ended without a word; the log of the trainer says why."""

    code = "training-lost"
    title = "Training process lost"


class StartFailed(KinsightError):
    """Kinsight could not be started."""

    code = "start-failed"
    title = "Could not start"


class AlreadyRunning(StartFailed):
    """Another Kinsight is running on this data folder."""

    code = "already-running"
    title = "Already running"


def _subclasses(cls: type[KinsightError]) -> list[type[KinsightError]]:
    return [cls, *(leaf for child in cls.__subclasses__() for leaf in _subclasses(child))]


BY_CODE: dict[str, type[KinsightError]] = {cls.code: cls for cls in _subclasses(KinsightError)}
