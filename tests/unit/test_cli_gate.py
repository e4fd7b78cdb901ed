"""`kinsight promote`, `promotions`, `floor`: what is sent, what is printed, how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted_gateway import Answer, Seen, document, job, problem, serve
from typer.testing import CliRunner, Result

from kinsight.cli.app import app
from kinsight.errors import PromotionUnderWay

GATE = {
    "passed": False,
    "promoted": False,
    "reason": "P@10 0.8123 is worse than the live model's 0.9000 on the same 150 held-out images.",
    "p_at_10": 0.8123,
    "live_p_at_10": 0.9,
    "floor": 0.8,
    "queries": 150,
    "live_queries": 150,
    "same_images": True,
    "live_model": "m1",
}
LIBRARY = {
    "name": "shop",
    "images": 3,
    "indexed": 3,
    "labels": {},
    "model": "m1",
    "created_at": "2026-11-21T00:00:00Z",
}


def kinsight(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--url", url])


def promoting(gate: dict[str, Any] | None, outcome: str) -> Any:
    """A gateway whose promotion ends like this."""
    promoted = gate is None or gate["promoted"]
    result = {"model": "m2", "promoted": promoted, "outcome": outcome, "gate": gate}

    def script(seen: Seen) -> Answer:
        if seen.path == "/models/m2/promote":
            return document(job(kind="reindex"), 202)
        return document(job(kind="reindex", state="succeeded", result=result))

    return script


def test_refused() -> None:
    with serve(promoting(GATE, "refused")) as gateway:
        for_people = kinsight(gateway.url, "promote", "m2")
        for_programs = kinsight(gateway.url, "promote", "m2", "--json")
    assert for_people.exit_code == for_programs.exit_code == 1
    assert for_people.stdout == ""
    assert f"m2 does not go live. {GATE['reason']}" in for_people.stderr
    assert "`kinsight promote m2 --override`" in for_people.stderr
    assert json.loads(for_programs.stdout)["result"]["gate"] == GATE


def test_promoted() -> None:
    passed = {**GATE, "passed": True, "promoted": True, "reason": "P@10 is 0.95."}
    with serve(promoting(passed, "promoted")) as gateway:
        result = kinsight(gateway.url, "promote", "m2")
    assert (result.exit_code, result.stdout) == (0, "m2 is live. P@10 is 0.95.\n")
    assert json.loads(gateway.seen[0].body) == {
        "crops": None,
        "override": False,
        "by": None,
        "reason": None,
    }
    with serve(promoting(None, "already live")) as gateway:
        assert kinsight(gateway.url, "promote", "m2").stdout == "m2 is live.\n"


def test_overridden() -> None:
    options = ["--override", "--by", "ada", "--reason", "new season", "--crops", "10"]
    with serve(promoting({**GATE, "promoted": True}, "overridden")) as gateway:
        result = kinsight(gateway.url, "promote", "m2", *options)
    assert result.exit_code == 0
    assert result.stdout.startswith("m2 is live. P@10 0.8123 is worse")
    assert json.loads(gateway.seen[0].body) == {
        "crops": 10,
        "override": True,
        "by": "ada",
        "reason": "new season",
    }


def test_not_waiting_ends_with_the_job() -> None:
    with serve(promoting(GATE, "refused")) as gateway:
        result = kinsight(gateway.url, "promote", "m2", "--no-wait")
    assert (result.exit_code, result.stdout.strip()) == (0, job()["id"])


def test_one_is_under_way() -> None:
    error = PromotionUnderWay("Model m3 is about to go live in library 'shop': job j.", job="j")
    with serve(lambda _: problem(error)) as gateway:
        result = kinsight(gateway.url, "promote", "m2")
    assert result.exit_code == 1
    assert result.stderr == f"Promotion under way: {error.detail}\n"


@pytest.mark.parametrize("value", ["high", "", "0,8"])
def test_a_floor_is_a_number(value: str) -> None:
    assert kinsight("http://127.0.0.1:1", "floor", "shop", value).exit_code == 2
    assert kinsight("http://127.0.0.1:1", "promote", "m2", "--crops", "5").exit_code == 2


def test_floor_is_shown_and_set() -> None:
    def script(seen: Seen) -> Answer:
        floor = json.loads(seen.body)["floor"] if seen.method == "PATCH" else None
        return document({**LIBRARY, "floor": floor or 0.8, "floor_is_default": floor is None})

    with serve(script) as gateway:
        shown = kinsight(gateway.url, "floor", "shop").stdout
        told = kinsight(gateway.url, "floor", "shop", "0.85").stdout
        back = kinsight(gateway.url, "floor", "shop", "default").stdout
    assert shown == back == "0.8 (the default: a first model goes live below it, too)\n"
    assert told == "0.85\n"
    assert [seen.method for seen in gateway.seen] == ["GET", "PATCH", "PATCH"]
    assert json.loads(gateway.seen[2].body) == {"floor": None}


def test_history_page_by_page() -> None:
    def one(number: int, **changes: Any) -> dict[str, Any]:
        return {
            "library": "shop",
            "model": f"m{number}",
            "previous_model": "m1",
            "crops": 1,
            "at": "2026-11-21T00:00:00Z",
            "outcome": "refused",
            "by": None,
            "reason": None,
            "job": "j",
            "gate": GATE,
            **changes,
        }

    def script(seen: Seen) -> Answer:
        if "page_token" in seen.query:
            back = one(1, outcome="rolled-back", gate=None, by="ada", reason="complaints")
            return document({"promotions": [back]})
        return document({"promotions": [one(3), one(2)], "next_page_token": "2"})

    with serve(script) as gateway:
        table = kinsight(gateway.url, "promotions", "shop").stdout.splitlines()
        documents = json.loads(kinsight(gateway.url, "promotions", "shop", "--json").stdout)
        some = kinsight(gateway.url, "promotions", "shop", "--limit", "1").stdout.splitlines()
    assert [line.split()[2:4] for line in table[1:]] == [
        ["m3", "refused"],
        ["m2", "refused"],
        ["m1", "rolled-back"],
    ]
    assert "0.8123" in table[1] and "0.9000" in table[1]
    assert table[3].endswith("ada   complaints")
    assert [entry["model"] for entry in documents["promotions"]] == ["m3", "m2", "m1"]
    assert len(some) == 2
    with serve(lambda _: document({"promotions": []})) as gateway:
        nothing = kinsight(gateway.url, "promotions", "shop")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "kinsight train shop" in nothing.stderr
