"""`kinsight evaluate` and `kinsight models` on written-down answers: what people get to see."""

from __future__ import annotations

import json
from typing import Any

from scripted_gateway import Answer, Seen, document, job, serve
from typer.testing import CliRunner, Result

from kinsight.cli.app import app

_CREATED = "2026-11-21T00:00:00Z"
_LIBRARY = {
    "name": "shop",
    "images": 1204,
    "indexed": 1200,
    "labels": {"hat": 700, "shirt": 500},
    "model": "m1",
    "created_at": _CREATED,
}
_ROW = {
    "space": "auto",
    "routing": "adaptive",
    "p_at_1": 0.9,
    "p_at_5": 0.88,
    "p_at_10": 0.87,
    "map": 0.8,
    "top1_error": 0.1,
    "compared_mean": 120.5,
    "milliseconds_mean": 1.25,
}
_EVALUATION = {"library": "shop", "model": "m1", "queries": 372, "results": [_ROW]}
_OF_CLASS = {"p_at_1": 0.5, "p_at_5": 0.4, "p_at_10": 0.3, "p_at_100": 0.2, "map": 0.25}
_MEASURED = {
    **_EVALUATION,
    "crops": 10,
    "near_duplicates": 4,
    "results": [
        {
            **_ROW,
            "routing_recall": 0.975,
            "hash_recall": 0.5,
            "bytes_per_image": 5126,
            "per_class": {
                "hat": {"queries": 200, **_OF_CLASS},
                "shirt": {"queries": 172, **_OF_CLASS, "p_at_10": 0.1},
            },
        }
    ],
    "per_class": {
        "hat": {"queries": 200, "top1_error": 0.1, "top5_error": 0},
        "shirt": {"queries": 172, "top1_error": 0.25, "top5_error": 0.01},
    },
    "confusion": {"hat": {"hat": 180, "shirt": 20}, "shirt": {"shirt": 129, "hat": 43}},
}

_CARD = {
    "id": "m1",
    "library": "shop",
    "network": "alexnet",
    "preprocessing": {},
    "classes": ["hat", "shirt"],
    "feature_dimensions": 1280,
    "code_bits": 48,
    "code_kind": "hash-layer",
    "recipe": "head",
    "weights": "none",
    "seed": 0,
    "data_fingerprint": "0",
    "class_counts": {"hat": 700, "shirt": 500},
    "training_images": 1080,
    "validation_images": 120,
    "started_at": _CREATED,
    "seconds": 60,
    "iterations": 10,
    "epochs": 1,
    "device": "cpu",
    "machine": "test",
    "accuracy": {},
    "retrieval": {},
    "parameters": 1,
    "bytes": 1,
}


def _kinsight(*arguments: str) -> Result:
    return CliRunner(env={"KINSIGHT_URL": None, "KINSIGHT_API_KEY": None}).invoke(
        app, list(arguments)
    )


def _model(library: str = "shop", **card: Any) -> dict[str, Any]:
    own = {**_CARD, "library": library, **card}
    return {
        "id": "m1",
        "library": library,
        "network": "alexnet",
        "live": True,
        "created_at": _CREATED,
        "card": own,
    }


def _evaluating(seen: Seen) -> Answer:
    if seen.path == "/libraries/shop":
        return document(_LIBRARY)
    if seen.method == "POST":
        return document(job(kind="evaluate"), 202)
    return document(job(kind="evaluate", state="succeeded", result=_MEASURED))


def test_evaluate_shows_classes_and_what_is_confused() -> None:
    with serve(_evaluating) as gateway:
        result = _kinsight(
            *["evaluate", "shop", "--crops", "10", "--per-class", "--url", gateway.url]
        )
    assert result.exit_code == 0, result.stderr
    (sent,) = [seen for seen in gateway.seen if seen.method == "POST"]
    assert sent.query == {"crops": ["10"]}
    lines = [line.split() for line in result.stdout.splitlines()]
    assert "10 crops each" in result.stdout
    assert "4 more are left out" in result.stdout
    (row,) = [line for line in lines if line[:2] == ["auto", "adaptive"]]
    assert row[-5:] == ["97.5%", "50.0%", "5,126", "120.5", "1.25"]
    classes = [line for line in lines if line and line[0] in ("hat", "shirt")]
    # The worse class first, then the pair that is confused more often.
    assert classes[0] == [
        *["shirt", "172", "0.5000", "0.4000", "0.1000", "0.2000", "0.2500", "25.00%", "1.00%"]
    ]
    assert classes[1][0] == "hat"
    assert classes[2:] == [["shirt", "hat", "43", "172"], ["hat", "shirt", "20", "200"]]


def test_evaluate_refuses_the_model_of_another_library() -> None:
    def script(seen: Seen) -> Answer:
        assert seen.method == "GET"  # nothing is begun
        return document(_model("zoo"))

    with serve(script) as gateway:
        result = _kinsight("evaluate", "shop", "--model", "m2", "--json", "--url", gateway.url)
    assert result.exit_code == 1
    problem_object = json.loads(result.stdout)
    assert problem_object["code"] == "wrong-library"
    assert "zoo" in problem_object["detail"]


def test_models_shows_the_evaluation_that_is_kept_with_a_model() -> None:
    with serve(lambda _: document(_model(evaluation=_MEASURED))) as gateway:
        brief = _kinsight("models", "m1", "--url", gateway.url).stdout
        whole = _kinsight("models", "m1", "--per-class", "--url", gateway.url).stdout
    with serve(_evaluating) as gateway:
        told = _kinsight("evaluate", "shop", "--per-class", "--url", gateway.url).stdout
    assert told.strip() in whole
    assert "Per class, in auto under adaptive" in whole
    assert "Per class" not in brief
    assert "Most often confused" in brief


def test_an_evaluation_from_before_there_were_figures_of_classes_is_shown() -> None:
    with serve(lambda _: document(_model(evaluation=_EVALUATION))) as gateway:
        result = _kinsight("models", "m1", "--per-class", "--url", gateway.url)
    assert result.exit_code == 0, result.stderr
    (row,) = [line for line in result.stdout.splitlines() if "adaptive  " in line]
    assert row.split()[:4] == ["auto", "adaptive", "0.9000", "0.8800"]
