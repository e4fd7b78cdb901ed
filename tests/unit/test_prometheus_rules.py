"""Prometheus' own checks of the rules, and that each alert is tested and explained."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import missing
from kinsight.web.serve import SERVICES

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "deploy" / "prometheus" / "prometheus.yml"
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
TESTS = sorted((ROOT / "tests" / "prometheus").glob("*.yml"))


def rules() -> list[dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def promtool(*arguments: str) -> str:
    program = shutil.which("promtool")
    if program is None:
        missing("promtool is not installed; on Debian and Ubuntu: apt install prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_configuration_and_rules() -> None:
    said = promtool("check", "config", str(CONFIGURATION))
    for file in RULES:
        assert str(file.name) in said  # rule_files has found it


def test_alerts_fire_when_they_should_and_are_silent_when_not() -> None:
    promtool("test", "rules", *map(str, TESTS))


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tested_both_ways(alert: str) -> None:
    cases = [
        bool(case["exp_alerts"])
        for file in TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == alert
    ]
    assert set(cases) == {True, False}


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    sections = re.split(r"^### ", (ROOT / page).read_text(), flags=re.MULTILINE)[1:]
    (text,) = [body for body in sections if body.partition("\n")[0].lower() == anchor]
    for part in ("**Means**", "**Look at**", "**Do**"):
        assert part in text


def test_every_service_is_scraped_at_its_port() -> None:
    jobs = yaml.safe_load(CONFIGURATION.read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert targets == {
        f"kinsight-{service}": [f"{service}:{8000 + number}"]
        for number, service in enumerate(SERVICES)
    }


def test_what_rules_record_is_recorded_once_and_under_its_name() -> None:
    recorded = [rule["record"] for rule in rules() if "record" in rule]
    assert len(recorded) == len(set(recorded))
    used = {name for rule in rules() for name in re.findall(r"kinsight:[\w:]+", rule["expr"])}
    assert used <= set(recorded)
    for rule in rules():
        for window in set(re.findall(r"\[(\w+)\]", rule["expr"])):
            if "record" in rule:
                assert rule["record"].endswith(window), rule["record"]
