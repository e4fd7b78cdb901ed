"""The dashboard "Jobs and infrastructure"."""

from __future__ import annotations

from panels import Json, Query, Row, dashboard, graph, value

_DOWN_UP = (("red", None), ("green", 1))
_OURS = 'job=~"kinsight-.+"'


def jobs_and_infrastructure() -> Json:
    return dashboard(
        "kinsight-infrastructure",
        "Jobs and infrastructure",
        "The queue, the services, and what they run on.",
        [_services(), _jobs(), _requests(), _resources()],
    )


def _services() -> Row:
    names = {
        "type": "value",
        "options": {"0": {"text": "down"}, "1": {"text": "up"}},
    }
    return Row(
        "Services",
        [
            value(
                "Answering",
                "Whether each service could be scraped.",
                "none",
                f"min by (job) (up{{{_OURS}}})",
                "{{job}}",
                width=12,
                steps=_DOWN_UP,
                defaults={"mappings": [names]},
                options={"colorMode": "background"},
            ),
            value(
                "Ready",
                "Whether each service could do its work when admin last asked it.",
                "none",
                "min by (service) (kinsight_service_ready)",
                "{{service}}",
                width=12,
                steps=_DOWN_UP,
                defaults={
                    "mappings": [
                        {
                            "type": "value",
                            "options": {"0": {"text": "not ready"}, "1": {"text": "ready"}},
                        }
                    ]
                },
                options={"colorMode": "background"},
            ),
        ],
    )


def _jobs() -> Row:
    return Row(
        "Jobs",
        [
            graph(
                "Queue",
                "Jobs that wait for a worker.",
                "none",
                Query('sum by (kind) (kinsight_jobs{state="queued"})', "{{kind}}"),
            ),
            graph(
                "Age of the queue",
                "How long the longest-waiting job could have been begun.",
                "s",
                Query("max by (kind) (kinsight_job_waiting_seconds)", "{{kind}}"),
            ),
            graph(
                "No progress for",
                "How long the running job that has stood still longest has done so.",
                "s",
                Query("max by (kind) (kinsight_job_stalled_seconds)", "{{kind}}"),
                steps=(("green", None), ("red", 900)),
            ),
            graph(
                "Running",
                "Jobs in the hands of a worker.",
                "none",
                Query('sum by (kind) (kinsight_jobs{state="running"})', "{{kind}}"),
            ),
            graph(
                "Ended",
                "All jobs that have ended, by how.",
                "none",
                Query(
                    'sum by (state) (kinsight_jobs{state=~"succeeded|failed|cancelled"})',
                    "{{state}}",
                ),
            ),
            graph(
                "Blobs swept",
                "Files in the store deleted per second that no image named any more.",
                "suffix: blobs/s",
                Query("sum(rate(kinsight_blobs_swept_total[$__rate_interval]))", "blobs"),
            ),
        ],
    )


def _requests() -> Row:
    seconds = "kinsight_http_request_seconds_bucket"
    return Row(
        "Requests",
        [
            graph(
                "Requests",
                "Answered per second, by service.",
                "reqps",
                Query(
                    "sum by (service) (rate(kinsight_http_requests_total[$__rate_interval]))",
                    "{{service}}",
                ),
            ),
            graph(
                "Failures",
                "Answered with a 5xx per second, by service.",
                "reqps",
                Query(
                    "sum by (service)"
                    ' (rate(kinsight_http_requests_total{status=~"5.."}[$__rate_interval]))'
                    " or 0 * sum by (service)"
                    " (rate(kinsight_http_requests_total[$__rate_interval]))",
                    "{{service}}",
                ),
            ),
            graph(
                "p99 by service",
                "Of all routes but the event streams, which last as long as somebody listens.",
                "s",
                Query(
                    "histogram_quantile(0.99, sum by (le, service)"
                    f' (rate({seconds}{{route!~".*/events"}}[$__rate_interval])))',
                    "{{service}}",
                ),
            ),
        ],
    )


def _resources() -> Row:
    return Row(
        "Resources",
        [
            graph(
                "Free disk",
                "Room left for the store and the data folder, and the room that should be left.",
                "bytes",
                Query("min by (place) (kinsight_disk_free_bytes)", "{{place}}"),
                Query("max(kinsight_disk_wanted_bytes)", "wanted"),
            ),
            graph(
                "Memory in use",
                "Of what each service's container may have, or of the machine.",
                "percentunit",
                Query("max by (job) (kinsight:memory_use:ratio)", "{{job}}"),
                steps=(("green", None), ("red", 0.92)),
            ),
            graph(
                "Resident memory",
                "Of each service's own process, without the processes that train and decode.",
                "bytes",
                Query(f"sum by (job) (process_resident_memory_bytes{{{_OURS}}})", "{{job}}"),
            ),
            graph(
                "Processor",
                "Cores used by each service's own process.",
                "suffix: cores",
                Query(
                    f"sum by (job) (rate(process_cpu_seconds_total{{{_OURS}}}[$__rate_interval]))",
                    "{{job}}",
                ),
            ),
            graph(
                "Open files",
                "Share of the file descriptors that each process may open.",
                "percentunit",
                Query(
                    f"max by (job) (process_open_fds{{{_OURS}}} / process_max_fds{{{_OURS}}})",
                    "{{job}}",
                ),
            ),
            graph(
                "Running for",
                "Since each service was started; a fall is a restart.",
                "s",
                Query(f"time() - max by (job) (process_start_time_seconds{{{_OURS}}})", "{{job}}"),
            ),
        ],
    )
