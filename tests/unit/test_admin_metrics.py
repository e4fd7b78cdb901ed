"""What the admin service shows of evaluations and room."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import REGISTRY

from admin import metrics
from admin.precision import LiveEvaluation
from kinsight.contracts.evaluation import Evaluation, EvaluationRow


def live(library: str, p_at_10: float, routing_recall: float | None) -> LiveEvaluation:
    rows = [
        EvaluationRow(
            space="auto",
            routing=routing,
            p_at_1=1,
            p_at_5=1,
            p_at_10=figure,
            map=0.5,
            top1_error=0,
            routing_recall=routing_recall,
            compared_mean=1,
        )
        for routing, figure in (("all", 0.1), ("adaptive", p_at_10))
    ]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    found = Evaluation(library=library, model="m", queries=9, results=rows, measured_at=at)
    return LiveEvaluation(library, "m", found)


def shown(name: str, library: str) -> float | None:
    return REGISTRY.get_sample_value(f"kinsight_evaluation_{name}", {"library": library})


def p_at_10(library: str, routing: str = "adaptive") -> float | None:
    labels = {"library": library, "routing": routing}
    return REGISTRY.get_sample_value("kinsight_evaluation_precision_at_10", labels)


def test_each_library_shows_its_live_models_figures_under_default_routing() -> None:
    metrics.show_evaluations([live("shop", 0.9, 0.97), live("art", 0.7, None)])
    assert p_at_10("shop") == 0.9
    assert p_at_10("shop", "all") == 0.1
    assert shown("mean_average_precision", "shop") == 0.5
    assert shown("routing_recall", "shop") == 0.97
    assert shown("timestamp_seconds", "shop") == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert p_at_10("art") == 0.7
    assert shown("routing_recall", "art") is None


def test_what_is_gone_or_not_measured_is_shown_no_more() -> None:
    metrics.show_evaluations([live("shop", 0.9, 0.97), live("art", 0.7, 0.9)])
    metrics.show_evaluations([LiveEvaluation("shop", "newer", None)])
    assert p_at_10("shop") is None
    assert shown("routing_recall", "shop") is None
    assert p_at_10("art") is None


def test_room_is_shown_by_place() -> None:
    metrics.show_rooms({"store": 7, "data folder": 8}, wanted=5)
    assert REGISTRY.get_sample_value("kinsight_disk_free_bytes", {"place": "store"}) == 7
    assert REGISTRY.get_sample_value("kinsight_disk_free_bytes", {"place": "data folder"}) == 8
    assert REGISTRY.get_sample_value("kinsight_disk_wanted_bytes") == 5
