"""What the trainer measures."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Info

from kinsight.contracts.jobs import Progress

ITERATIONS = Counter("kinsight_training_iterations_total", "Training iterations done.")
ITERATIONS_PER_SECOND = Gauge(
    "kinsight_training_iterations_per_second", "Iterations per second of the present training run."
)
IMAGES_PER_SECOND = Gauge(
    "kinsight_training_images_per_second", "Images per second of the present training run."
)
LOSS = Gauge("kinsight_training_loss", "Training loss at the last iteration reported.")
RUN_ITERATION = Gauge(
    "kinsight_training_run_iteration",
    "Iteration that the present or last training run has reached, by the model it makes.",
    ["model"],
)
RUN_ACCURACY = Gauge(
    "kinsight_training_run_accuracy",
    "Share of images classified rightly in the present or last training run.",
    ["model", "images"],
)
JOBS_RUNNING = Gauge("kinsight_trainer_jobs_running", "Jobs running in this process.", ["kind"])
DEVICE = Info("kinsight_training_device", "What the present or last training run runs on.")
for _kind in ("train", "evaluate"):
    JOBS_RUNNING.labels(_kind)  # shown as 0 from the start
MODELS_TRAINED = Counter("kinsight_models_trained_total", "Models trained.")
QUERIES_EVALUATED = Counter("kinsight_evaluation_queries_total", "Queries of evaluations.")


def observe(progress: Progress, model: str, iteration_before: int) -> int:
    """Takes over what a training process reports; returns the iteration it has reached."""
    extra = progress.model_extra or {}
    iteration = int(extra.get("iteration") or 0)
    ITERATIONS.inc(max(0, iteration - iteration_before))
    if progress.unit == "iterations":
        ITERATIONS_PER_SECOND.set(progress.per_second or 0.0)
    IMAGES_PER_SECOND.set(extra.get("images_per_second") or 0.0)
    if extra.get("loss") is not None:
        LOSS.set(extra["loss"])
    if iteration:
        RUN_ITERATION.labels(model).set(iteration)
    for images in ("training", "validation"):
        if (accuracy := extra.get(f"{images}_accuracy")) is not None:
            RUN_ACCURACY.labels(model, images).set(accuracy)
    if extra.get("device"):
        DEVICE.info({"device": str(extra["device"])})
    return max(iteration, iteration_before)


def run_begins() -> None:
    """What is told by model is told of one run at a time, so that labels do not pile up."""
    RUN_ITERATION.clear()
    RUN_ACCURACY.clear()


def run_ended() -> None:
    """No run: no speed, so that a dashboard does not show the last one for ever."""
    ITERATIONS_PER_SECOND.set(0.0)
    IMAGES_PER_SECOND.set(0.0)
