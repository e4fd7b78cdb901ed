"""A real Prometheus with the repository's rules, on a system under test."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from conftest import missing
from kinsight.local.ports import free_ports

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_START_SECONDS = 30.0


@dataclass(frozen=True)
class Prometheus:
    http: httpx.Client

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The instant vector; fails where Prometheus refuses the expression."""
        answer = self.http.post("/api/v1/query", data={"query": expr})
        assert answer.status_code == 200, f"{expr}\n{answer.text}"
        data = answer.json()["data"]
        assert data["resultType"] == "vector", expr
        return list(data["result"])

    def has_data(self, expr: str) -> bool:
        """Whether there is a number; 0 / 0 is none."""
        return any(not math.isnan(float(series["value"][1])) for series in self.query(expr))

    def rules(self) -> list[dict[str, Any]]:
        groups = self.http.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def firing(self) -> set[tuple[str, str]]:
        """Alert and what it is about: job, kind or nothing."""
        alerts = self.http.get("/api/v1/alerts").json()["data"]["alerts"]
        return {
            (labels["alertname"], labels.get("job") or labels.get("kind") or "")
            for alert in alerts
            if alert["state"] == "firing" and (labels := alert["labels"])
        }


def until(good: Callable[[], bool], seconds: float, what: Callable[[], object]) -> None:
    """Asks again until it is so; fails with `what` when time is up."""
    deadline = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


@contextmanager
def prometheus(
    folder: Path, ports: Mapping[str, int], *, faster: float = 1.0
) -> Iterator[Prometheus]:
    """ports: of the services by name. faster: by what all times in the rules are divided."""
    program = shutil.which("prometheus")
    if program is None:
        missing("prometheus is not installed; on Debian and Ubuntu: apt install prometheus")
    folder.mkdir()
    for file in RULES.glob("*.yml"):
        (folder / file.name).write_text(_hurried(file.read_text(), faster))
    configuration = folder / "prometheus.json"  # every JSON document is a YAML document
    configuration.write_text(json.dumps(_configuration(ports)))
    (port,) = free_ports(1)
    output = folder / "output.txt"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
            until(lambda: _ready(http, process, output), _START_SECONDS, output.read_text)
            yield Prometheus(http)
    finally:
        process.terminate()
        process.wait(20)


def _ready(http: httpx.Client, process: subprocess.Popen[bytes], output: Path) -> bool:
    assert process.poll() is None, output.read_text()
    try:
        return http.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _configuration(ports: Mapping[str, int]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["*.yml"],
        "scrape_configs": [
            {
                "job_name": f"kinsight-{service}",
                "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
            }
            for service, port in ports.items()
        ],
    }


def _hurried(rules: str, faster: float) -> str:
    """Ranges, `for`, and what is written in minutes (`15 * 60`), divided."""
    if faster == 1.0:
        return rules

    def shorter(found: re.Match[str]) -> str:
        seconds = float(found["number"]) * _UNITS[found["unit"]] / faster
        return f"{found['before']}{seconds * 1000:.0f}ms"

    rules = re.sub(r"(?P<before>\[)(?P<number>\d+)(?P<unit>[smhd])(?=\])", shorter, rules)
    rules = re.sub(r"(?P<before>for: )(?P<number>[1-9]\d*)(?P<unit>[smhd])\b", shorter, rules)
    return re.sub(r"(?<!\* 60 )\* 60\b", f"* {60 / faster}", rules)
