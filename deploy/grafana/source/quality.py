"""The panel of live models' precision, which two dashboards show."""

from __future__ import annotations

from panels import Panel, Query, graph


def precision() -> Panel:
    return graph(
        "Precision of live models",
        "P@10 and mAP of each library's live model, by its last evaluation.",
        "none",
        Query(
            'max by (library) (kinsight_evaluation_precision_at_10{routing="adaptive"})',
            "P@10 {{library}}",
        ),
        Query("max by (library) (kinsight_evaluation_mean_average_precision)", "mAP {{library}}"),
        steps=(("red", None), ("green", 0.80)),
    )
