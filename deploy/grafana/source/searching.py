"""The dashboard "Throughput and SLA"."""

from __future__ import annotations

from panels import Json, Query, Row, check, dashboard, graph, value
from quality import precision

_SEARCHES = 'service="gateway", route=~"/search|/v1/search"'
_REQUESTS = f"kinsight_http_requests_total{{{_SEARCHES}}}"
_SECONDS = f"kinsight_http_request_seconds_bucket{{{_SEARCHES}}}"
_FAILED = f'kinsight_http_requests_total{{{_SEARCHES}, status=~"5.."}}'


def throughput_and_sla() -> Json:
    return dashboard(
        "kinsight-sla",
        "Throughput and SLA",
        "What Kinsight promises, what it keeps, and where the time of searches and ingests goes.",
        [_requirements(), _searching(), _scanning(), _embedding()],
    )


def _requirements() -> Row:
    return Row(
        "Requirements",
        [
            check(
                "p99 response",
                "99 % of the searches in the time shown were answered within this.",
                "s",
                f"histogram_quantile(0.99, sum by (le) (rate({_SECONDS}[$__range])))",
                below=1,
            ),
            check(
                "Searches answered",
                "Share of searches in the time shown that were not answered with a 5xx.",
                "percentunit",
                f"1 - ((sum(rate({_FAILED}[$__range])) or 0 * sum(rate({_REQUESTS}[$__range])))"
                f" / sum(rate({_REQUESTS}[$__range])))",
                above=0.999,
                decimals=3,
            ),
            check(
                "Images matched per second",
                "Rows compared per second spent on searching, over the time shown. Small libraries "
                "show a low figure, because their searches are mostly overhead.",
                "suffix: images/s",
                "sum(rate(kinsight_rows_compared_total[$__range]))"
                " / sum(rate(kinsight_search_seconds_sum[$__range]))",
                above=10_000,
                decimals=0,
            ),
            check(
                "P@10",
                "Share of the ten nearest with the query's label, by the last evaluation of each "
                "library's live model.",
                "none",
                'max by (library) (kinsight_evaluation_precision_at_10{routing="adaptive"})',
                above=0.80,
                legend="{{library}}",
            ),
            check(
                "Uptime",
                "Share of the time shown in which every service was ready.",
                "percentunit",
                "avg_over_time(kinsight:ready:min[$__range])",
                above=0.999,
                decimals=2,
            ),
            check(
                "Alerts firing",
                "Alerts that fire now; docs/operations.md says what to do about each.",
                "none",
                'count(ALERTS{alertstate="firing"}) or vector(0)',
                below=1,
                decimals=0,
            ),
        ],
    )


def _searching() -> Row:
    stages = "kinsight_search_stage_seconds"
    return Row(
        "Searching",
        [
            graph(
                "Searches",
                "Searches per second, by the status of their answer.",
                "reqps",
                Query(f"sum by (status) (rate({_REQUESTS}[$__rate_interval]))", "{{status}}"),
            ),
            graph(
                "Response time",
                "Percentiles of the time from the first byte of a search to the last of its "
                "answer, over five minutes.",
                "s",
                Query("kinsight:search_seconds:p50_5m", "p50"),
                Query("kinsight:search_seconds:p90_5m", "p90"),
                Query("kinsight:search_seconds:p99_5m", "p99"),
                steps=(("green", None), ("red", 1)),
            ),
            graph(
                "Burn rate",
                "How many times faster than promised the error budgets of 30 days are used up, "
                "over an hour. From 14.4 on somebody is paged.",
                "none",
                Query("kinsight:search_failures:ratio_rate1h / 0.001", "failing, budget 0.1 %"),
                Query("kinsight:search_slow:ratio_rate1h / 0.01", "slow, budget 1 %"),
                steps=(("green", None), ("red", 14.4)),
            ),
            graph(
                "p99 of each stage",
                "Where the slowest searches spend their time: receive, queue, decode, embed, "
                "search in the class tables, transfer between the services.",
                "s",
                Query(
                    "histogram_quantile(0.99, sum by (le, stage)"
                    f" (rate({stages}_bucket[$__rate_interval])))",
                    "{{stage}}",
                ),
                width=12,
            ),
            graph(
                "Mean of each stage",
                "Where searches spend their time on average.",
                "s",
                Query(
                    f"sum by (stage) (rate({stages}_sum[$__rate_interval]))"
                    f" / sum by (stage) (rate({stages}_count[$__rate_interval]))",
                    "{{stage}}",
                ),
                width=12,
            ),
        ],
    )


def _scanning() -> Row:
    tables = "kinsight_tables_scanned"
    return Row(
        "Class tables",
        [
            graph(
                "Images matched per second",
                "Rows compared per second spent on searching.",
                "suffix: images/s",
                Query("kinsight:images_matched:per_search_second_rate5m", "images/s"),
                steps=(("red", None), ("green", 10_000)),
            ),
            graph(
                "Rows compared",
                "Rows compared per second, by space; searches of evaluations included.",
                "suffix: rows/s",
                Query(
                    "sum by (space) (rate(kinsight_rows_compared_total[$__rate_interval]))",
                    "{{space}}",
                ),
            ),
            graph(
                "Tables scanned",
                "Class tables scanned by a search on average, by routing.",
                "suffix: tables",
                Query(
                    f"sum by (routing) (rate({tables}_sum[$__rate_interval]))"
                    f" / sum by (routing) (rate({tables}_count[$__rate_interval]))",
                    "{{routing}}",
                ),
            ),
            graph(
                "Search in the indexer",
                "p99 of a search inside the indexer, by space.",
                "s",
                Query(
                    "histogram_quantile(0.99, sum by (le, space)"
                    " (rate(kinsight_search_seconds_bucket[$__rate_interval])))",
                    "{{space}}",
                ),
            ),
            graph(
                "Lost to routing",
                "Recall: share of the ten nearest of all class tables that lie in tables which "
                "routing does not scan, by the last evaluation. P@10: what scanning all would add.",
                "percentunit",
                Query("kinsight:routing_loss:ratio", "recall {{library}}"),
                Query("kinsight:routing_precision_loss:difference", "P@10 {{library}}"),
                steps=(("green", None), ("orange", 0.05)),
            ),
            precision(),
        ],
    )


def _embedding() -> Row:
    batch = "kinsight_batch_size"
    return Row(
        "Ingest and device",
        [
            graph(
                "Ingest",
                "Files of bulk ingests per second, by what became of them.",
                "suffix: files/s",
                Query(
                    "sum by (outcome) (rate(kinsight_ingested_files_total[$__rate_interval]))",
                    "{{outcome}}",
                ),
            ),
            graph(
                "Images embedded",
                "Images that went through a network per second: searches, and bulk work.",
                "suffix: images/s",
                Query(
                    "sum by (lane) (rate(kinsight_images_embedded_total[$__rate_interval]))",
                    "{{lane}}",
                ),
            ),
            graph(
                "Device use",
                "Share of the time in which the network runs, of all batches that could run at "
                "once. Near 100 % the device is what limits.",
                "percentunit",
                Query("kinsight:device_use:ratio_rate5m", "busy"),
            ),
            graph(
                "Batch size",
                "Network inputs per batch on average. Large batches use a GPU well; searches go "
                "alone unless several wait.",
                "suffix: inputs",
                Query(
                    f"sum by (lane) (rate({batch}_sum[$__rate_interval]))"
                    f" / sum by (lane) (rate({batch}_count[$__rate_interval]))",
                    "{{lane}}",
                ),
            ),
            graph(
                "Waiting images",
                "Images waiting for a decoding process or the device.",
                "suffix: images",
                Query("sum by (lane) (kinsight_extractor_queue_depth)", "{{lane}}"),
            ),
            graph(
                "Decoding and network",
                "p99 of decoding one image, and of one batch through the network.",
                "s",
                Query(
                    "histogram_quantile(0.99, sum by (le)"
                    " (rate(kinsight_decode_seconds_bucket[$__rate_interval])))",
                    "decode",
                ),
                Query(
                    "histogram_quantile(0.99, sum by (le, lane)"
                    " (rate(kinsight_embed_seconds_bucket[$__rate_interval])))",
                    "network {{lane}}",
                ),
            ),
            graph(
                "Unusable images",
                "Images per second that could not be used, by reason, and decoding processes that "
                "a picture took down.",
                "suffix: /s",
                Query(
                    "sum by (reason) (rate(kinsight_images_rejected_total[$__rate_interval]))"
                    " or vector(0)",
                    "{{reason}}",
                ),
                Query(
                    "sum(rate(kinsight_decode_workers_lost_total[$__rate_interval]))",
                    "processes lost",
                ),
                width=12,
            ),
            value(
                "Device",
                "What the networks run on: device and the hardware's own name.",
                "none",
                "max by (device, name) (kinsight_device_info)",
                "{{device}}: {{name}}",
                width=12,
                height=8,
                options={"textMode": "name"},
            ),
        ],
    )
