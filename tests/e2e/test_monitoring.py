"""The real system under a real Prometheus: every panel and rule has data, and alerts fire."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from e2e.conftest import NETWORK, Digits
from e2e.prometheus import Prometheus, prometheus, until
from e2e.system import System
from kinsight.clients import Kinsight

pytestmark = pytest.mark.slow

DASHBOARDS = sorted((Path(__file__).parents[2] / "deploy/grafana/dashboards").glob("*.json"))
# A metric with its selectors, in an alert's expression.
_NAME = re.compile(r"\bkinsight_\w+")
_INPUT = re.compile(r"\b(?:kinsight[\w:]+|process_\w+|up)(?:\{[^}]*\})?")
_FASTER = 100.0


def run_record(system: System) -> dict[str, Any]:
    return dict(json.loads((system.data_dir / "run.json").read_text()))


@pytest.fixture
def pictures(digits: Digits, tmp_path: Path) -> Path:
    """A few held-out digits by class, and a file that is no picture."""
    folder = tmp_path / "pictures"
    for image in digits.held_out[:20]:
        (folder / image.label).mkdir(parents=True, exist_ok=True)
        (folder / image.label / image.filename).write_bytes(image.data)
    (folder / "0" / "broken.png").write_bytes(b"no picture")
    return folder


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The service and all it has started stand still inside."""
    service = psutil.Process(pid)
    processes = [service, *service.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            if process.is_running():
                process.resume()


def panel_queries() -> list[str]:
    queries = []
    for file in DASHBOARDS:
        document = json.loads(file.read_text())
        queries += [note["expr"] for note in document["annotations"]["list"]]
        queries += [
            target["expr"] for panel in document["panels"] for target in panel.get("targets", [])
        ]
    return [query.replace("$__rate_interval", "1m").replace("$__range", "5m") for query in queries]


def wanted(watcher: Prometheus) -> set[str]:
    """All panels' queries, what rules record, and what alerts are computed from."""
    found = {query for query in panel_queries() if "ALERTS{" not in query}
    # `… or vector(0)` has data whatever the metric before it is called.
    for expr in [*panel_queries(), *(rule["query"] for rule in watcher.rules())]:
        found.update(_NAME.findall(expr))
    for rule in watcher.rules():
        if rule["type"] == "recording":
            found.add(rule["name"])
        else:
            inputs = _INPUT.findall(rule["query"])
            assert inputs, rule["query"]
            found.update(inputs)
    return found


def test_every_panel_and_rule_has_data(
    system: System, client: Kinsight, digits: Digits, pictures: Path, tmp_path: Path
) -> None:
    with prometheus(tmp_path / "prometheus", run_record(system)["ports"]) as watcher:
        until(lambda: watcher.has_data("min(up) == 1"), 20, lambda: watcher.query("up"))
        ingested = system.run("ingest", "watched", str(pictures), "--labels", "folders", "--json")
        assert ingested.document()["totals"]["rejected"] == 1, ingested.stderr
        evaluated = system.run("evaluate", "digits", "--queries", str(pictures), "--json")
        assert evaluated.code == 0, evaluated.stderr
        # What a counter begins with is no increase: one search is seen before the others come.
        client.search("digits", digits.held_out[0].data)
        searched = 'kinsight_http_requests_total{service="gateway", route="/search"}'
        until(lambda: watcher.has_data(searched), 20, lambda: watcher.query("up"))
        for image in digits.held_out[:30]:
            client.search("digits", image.data)
        client.delete_library("watched")

        missing = wanted(watcher)
        assert len(missing) > 80

        def all_seen() -> bool:
            missing.difference_update([expr for expr in missing if watcher.has_data(expr)])
            return not missing

        until(all_seen, 60, lambda: f"no data: {sorted(missing)}")
        for query in panel_queries():
            watcher.query(query)  # those about alerts may be empty, but not wrong
        for rule in watcher.rules():
            assert rule["health"] == "ok", rule
        # What is shown is what happened.
        stages = watcher.query("count by (stage) (kinsight_search_stage_seconds_count)")
        answer = client.search("digits", digits.held_out[0].data)
        assert {one["metric"]["stage"] for one in stages} == answer.timings_ms.keys() - {"total"}
        (found,) = (
            row["p_at_10"]
            for row in evaluated.document()["results"]
            if (row["space"], row["routing"]) == ("auto", "adaptive")
        )
        precision = 'kinsight_evaluation_precision_at_10{library="digits", routing="adaptive"}'
        until(
            lambda: float(watcher.query(precision)[0]["value"][1]) == pytest.approx(found),
            20,
            lambda: (found, watcher.query(precision)),
        )


def test_a_slow_extractor_and_a_stopped_trainer_raise_their_alerts(
    system: System, client: Kinsight, digits: Digits, tmp_path: Path
) -> None:
    """With all times of the rules a hundredth."""
    record = run_record(system)
    with prometheus(tmp_path / "prometheus", record["ports"], faster=_FASTER) as watcher:
        until(lambda: watcher.has_data("min(up) == 1"), 20, lambda: watcher.query("up"))

        with ThreadPoolExecutor(4) as pool:

            def slow_searches() -> bool:
                with stopped(record["pids"]["feature-extractor"]):
                    searches = [
                        pool.submit(client.search, "digits", image.data)
                        for image in digits.held_out[:4]
                    ]
                    time.sleep(1.2)  # this is the injected slowness: more than is promised
                for search in searches:
                    search.result()
                return ("SearchesSlow", "") in watcher.firing()

            until(slow_searches, 30, watcher.rules)

        job = client.train(
            "digits",
            network_options=dict(option.split("=") for option in NETWORK),
            recipe_options={"epochs": "1000"},
            then="nothing",
        ).id
        expected = {("TrainingStalled", "train"), ("ServiceDown", "kinsight-trainer")}
        try:
            until(
                lambda: (client.job(job).progress.model_extra or {}).get("iteration"),
                60,
                lambda: client.job(job),
            )
            until(lambda: not expected & watcher.firing(), 30, watcher.firing)
            with stopped(record["pids"]["trainer"]):
                # 15 minutes and one for `for`, hurried; the gateway looks every 5 seconds.
                allowed = 16 * 60 / _FASTER + 5 + 10
                until(lambda: expected <= watcher.firing(), allowed, watcher.firing)
        finally:
            client.cancel(job)
            client.wait(job, timeout=60)
        until(lambda: not expected & watcher.firing(), 30, watcher.firing)
