"""The dashboard "Training"."""

from __future__ import annotations

from panels import Json, Query, Row, dashboard, graph, value
from quality import precision


def training() -> Json:
    return dashboard(
        "kinsight-training",
        "Training",
        "Training runs as they go, and what became of the models.",
        [_now(), _runs(), _models()],
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            value(
                "Running",
                "Training and evaluation jobs that run now.",
                "none",
                "sum by (kind) (kinsight_trainer_jobs_running)",
                "{{kind}}",
                width=6,
            ),
            value(
                "Waiting",
                "Training jobs that wait for a trainer.",
                "none",
                'sum(kinsight_jobs{kind="train", state="queued"})',
            ),
            value(
                "No progress for",
                "How long the running training that has stood still longest has done so.",
                "s",
                'max(kinsight_job_stalled_seconds{kind="train"})',
                steps=(("green", None), ("orange", 300), ("red", 900)),
            ),
            value(
                "Images per second",
                "Of the present runs; 0 where none is in its iterations.",
                "suffix: images/s",
                "sum(kinsight_training_images_per_second)",
                decimals=1,
            ),
            value(
                "Device",
                "What the present or last training run runs on.",
                "none",
                "max by (device) (kinsight_training_device_info)",
                "{{device}}",
                width=6,
                options={"textMode": "name"},
            ),
        ],
    )


def _runs() -> Row:
    return Row(
        "Runs",
        [
            graph(
                "Speed curves",
                "Iterations against time, by the model that the run makes: the steeper, the "
                "faster.",
                "suffix: iterations",
                Query("max by (model) (kinsight_training_run_iteration)", "{{model}}"),
                width=12,
            ),
            graph(
                "Iterations per second",
                "Of each trainer's present run; evaluations between are 0.",
                "suffix: iterations/s",
                Query("kinsight_training_iterations_per_second", "{{instance}}"),
                Query(
                    "sum(rate(kinsight_training_iterations_total[$__rate_interval]))",
                    "counted, all together",
                ),
                width=12,
            ),
            graph(
                "Loss",
                "Training loss at the last iteration reported.",
                "none",
                Query("kinsight_training_loss", "{{instance}}"),
            ),
            graph(
                "Accuracy",
                "Share of images classified rightly: of training as trained, with dropout; of "
                "validation at the end of each epoch.",
                "percentunit",
                Query(
                    "max by (model, images) (kinsight_training_run_accuracy)",
                    "{{images}} {{model}}",
                ),
            ),
            graph(
                "Images per second",
                "Of each trainer's present run.",
                "suffix: images/s",
                Query("kinsight_training_images_per_second", "{{instance}}"),
            ),
        ],
    )


def _models() -> Row:
    return Row(
        "Models",
        [
            precision(),
            graph(
                "Models trained and gone live",
                "Since the services were started; of models that were to go live, by outcome.",
                "none",
                Query("sum(kinsight_models_trained_total)", "trained"),
                Query("sum by (outcome) (kinsight_promotions_total)", "{{outcome}}"),
            ),
            graph(
                "Evaluation and re-indexing",
                "Queries of evaluations, and images filed under a new model, per second.",
                "suffix: /s",
                Query("sum(rate(kinsight_evaluation_queries_total[$__rate_interval]))", "queries"),
                Query(
                    "sum(rate(kinsight_reindexed_images_total[$__rate_interval]))",
                    "images filed",
                ),
            ),
            value(
                "Age of the evaluation",
                "Since each library's live model was last evaluated.",
                "s",
                "time() - max by (library) (kinsight_evaluation_timestamp_seconds)",
                "{{library}}",
                width=24,
                decimals=0,
            ),
        ],
    )
