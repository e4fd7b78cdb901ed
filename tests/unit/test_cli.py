"""The command line: exit codes, what goes to stdout and to stderr, options in either place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scripted_gateway import Answer, Gateway, Seen, document, job, problem, serve
from typer.testing import CliRunner, Result

from kinsight.cli.app import app
from kinsight.errors import JobNotFound, ModelInUse, TooFewImages

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


def _kinsight(*arguments: str, **environment: str) -> Result:
    return CliRunner(env={"KINSIGHT_URL": None, "KINSIGHT_API_KEY": None, **environment}).invoke(
        app, list(arguments)
    )


def _one_document(result: Result) -> Any:
    return json.loads(result.stdout)


def _libraries(_: Seen) -> Answer:
    return document({"libraries": [_LIBRARY]})


def test_options_stand_before_the_command_or_after_it() -> None:
    with serve(_libraries) as gateway:
        before = _kinsight("--url", gateway.url, "--api-key", "a", "--json", "libraries")
        after = _kinsight("libraries", "--url", gateway.url, "--api-key", "a", "--json")
        environment = _kinsight(
            "libraries", "--json", KINSIGHT_URL=gateway.url, KINSIGHT_API_KEY="a"
        )
        nearest = _kinsight(
            "--url", "http://127.0.0.1:1", "libraries", "--json", "--url", gateway.url
        )
    for result in (before, after, environment, nearest):
        assert (result.exit_code, result.stderr) == (0, "")
        assert _one_document(result)["libraries"][0]["images"] == 1204
    assert [seen.headers.get("authorization") for seen in gateway.seen] == [
        *(["Bearer a"] * 3),
        None,
    ]


def test_people_get_a_table() -> None:
    with serve(_libraries) as gateway:
        result = _kinsight("libraries", "--url", gateway.url)
    assert [line.split() for line in result.stdout.splitlines() if "shop" in line] == [
        ["shop", "1,204", "1,200", "2", "m1"]
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["libraries", "--nonsense"],
        ["ingest", "shop"],
        ["ingest", "shop", "/nowhere/at/all"],
        ["ingest", "shop", ".", "--labels", "colours"],
        ["train", "shop", "--then", "celebrate"],
        ["train", "shop", "--option", "epochs"],
        ["search", "shop"],
        ["search", "shop", "nowhere.jpg"],
        ["search", "shop", "--image-id", "1", "-k", "0"],
        ["search", "shop", "--image-id", "1", "--crop", "1,2,3"],
        ["search", "shop", "--image-id", "1", "--space", "outer"],
        ["jobs", "--cancel"],
        ["delete"],
        ["delete", "shop", "--model", "m1"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    result = _kinsight(*arguments, "--url", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error" in result.stderr


def test_no_from_the_system_ends_with_1_and_its_problem_object() -> None:
    error = ModelInUse("m1 is live in shop; promote another model first.", libraries=["shop"])
    with serve(lambda _: problem(error)) as gateway:
        for_people = _kinsight("delete", "--model", "m1", "--yes", "--url", gateway.url)
        for_programs = _kinsight("delete", "--model", "m1", "--yes", "--json", "--url", gateway.url)
    assert for_people.exit_code == for_programs.exit_code == 1
    assert for_people.stdout == ""
    assert for_people.stderr == "Model is live: m1 is live in shop; promote another model first.\n"
    assert _one_document(for_programs) == error.problem()
    assert for_programs.stderr == ""


def test_nobody_there_ends_with_1() -> None:
    result = _kinsight("libraries", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "start it with `make run` or `kinsight up`" in result.stderr


def _ingest(seen: Seen) -> Answer:
    if seen.path == "/index/batch":
        return document(job(), 202)
    if seen.path.endswith("/items"):
        item = {"number": 2, "name": "a.txt", "outcome": "rejected", "reason": "It is text."}
        return document({"items": [item]})
    counts = {"indexed": 2, "stored": 0, "duplicate": 1, "rejected": 1, "total": 4}
    return document(job(state="succeeded", result=counts))


def test_ingest_prints_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"1")
    (tmp_path / "a.zip").write_bytes(b"PK")
    paths = [str(tmp_path / "photos"), str(tmp_path / "a.zip")]
    with serve(_ingest) as gateway:
        for_people = _kinsight("ingest", "shop", *paths, "--wait", "--url", gateway.url)
        for_programs = _kinsight("ingest", "shop", *paths, "--json", "--url", gateway.url)
    sent = [seen.headers["content-type"] for seen in gateway.seen if seen.method == "POST"]
    assert sent == ["application/zip", "application/x-tar"] * 2
    assert (for_people.exit_code, for_programs.exit_code) == (0, 0)
    row = next(line for line in for_people.stdout.splitlines() if "shop" in line)
    assert row.split() == ["shop", "4", "0", "2", "2", "8"]
    assert "rejected a.txt: It is text." in for_people.stderr
    answer = _one_document(for_programs)
    assert answer["totals"] == {"indexed": 4, "stored": 0, "duplicate": 2, "rejected": 2}
    assert answer["rejected"][0] == {"name": "a.txt", "reason": "It is text."}
    assert len(answer["jobs"]) == 2


def test_ingest_without_waiting_names_the_job(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"1")
    with serve(_ingest) as gateway:
        result = _kinsight(
            "ingest", "shop", str(tmp_path / "1.jpg"), "--no-wait", "--url", gateway.url
        )
    assert result.exit_code == 0
    assert result.stdout == f"{job()['id']}\n"
    assert [seen.path for seen in gateway.seen] == ["/index/batch"]


def test_train_that_fails_ends_with_1() -> None:
    error = TooFewImages("hat has 3 images.", counts={"hat": 3})

    def script(seen: Seen) -> Answer:
        if seen.method == "POST":
            return document(job(kind="train"), 202)
        return document(job(kind="train", state="failed", error=error.problem()))

    with serve(script) as gateway:
        result = _kinsight("train", "shop", "--wait", "--json", "--url", gateway.url)
    assert result.exit_code == 1
    assert _one_document(result) == {**error.problem(), "job": job()["id"]}


def test_train_that_is_cancelled_ends_with_1() -> None:
    def script(seen: Seen) -> Answer:
        return document(job(kind="train", state="queued" if seen.method == "POST" else "cancelled"))

    with serve(script) as gateway:
        result = _kinsight("train", "shop", "--url", gateway.url)
    assert result.exit_code == 1
    assert "was cancelled before its end" in result.stderr


def test_train_sends_its_options_where_they_belong() -> None:
    with serve(lambda _: document(job(kind="train"), 202)) as gateway:
        result = _kinsight(
            *["train", "shop", "--network", "alexnet", "--recipe", "head", "--no-wait"],
            *["--option", "epochs=3", "--option", "width=0.25", "--option", "pooling=plain"],
            *["--network-option", "epochs=x", "--recipe-option", "mirror=false"],
            *["--min-images-per-class", "2", "--seed", "7", "--url", gateway.url],
        )
    assert result.exit_code == 0, result.stderr
    sent = json.loads(gateway.seen[0].body)
    assert sent["network_options"] == {"width": 0.25, "pooling": "plain", "epochs": "x"}
    assert sent["recipe_options"] == {"epochs": 3, "mirror": False}
    assert (sent["min_images_per_class"], sent["seed"], sent["then"]) == (2, 7, "promote")


def _evaluating(seen: Seen, result: dict[str, Any] = _EVALUATION) -> Answer:
    if seen.path == "/libraries/shop":
        return document(_LIBRARY)
    if seen.method == "POST":
        return document(job(kind="evaluate"), 202)
    return document(job(kind="evaluate", state="succeeded", result=result))


def test_evaluate_measures_the_live_model(tmp_path: Path) -> None:
    (tmp_path / "hat").mkdir()
    (tmp_path / "hat" / "1.jpg").write_bytes(b"1")
    with serve(_evaluating) as gateway:
        for_programs = _kinsight(
            "evaluate", "shop", "--queries", str(tmp_path), "--json", "--url", gateway.url
        )
        for_people = _kinsight("evaluate", "shop", "--url", gateway.url)
    printed = _one_document(for_programs)
    assert (printed["model"], printed["queries"]) == ("m1", 372)
    assert _ROW.items() <= printed["results"][0].items()
    sent = [seen for seen in gateway.seen if seen.method == "POST"]
    assert {seen.path for seen in sent} == {"/models/m1/evaluate"}
    assert [seen.headers.get("content-type") for seen in sent] == ["application/x-tar", None]
    row = next(line for line in for_people.stdout.splitlines() if "adaptive" in line)
    assert row.split()[2:5] == ["0.9000", "0.8800", "0.8700"]


def test_evaluate_without_a_model_says_how_to_train() -> None:
    with serve(lambda _: document({**_LIBRARY, "model": None})) as gateway:
        result = _kinsight("evaluate", "shop", "--json", "--url", gateway.url)
    assert result.exit_code == 1
    assert _one_document(result)["code"] == "no-model"
    assert "kinsight train shop" in _one_document(result)["detail"]


def test_jobs_lists_shows_and_cancels() -> None:
    def script(seen: Seen) -> Answer:
        if seen.path == "/jobs":
            return document({"jobs": [job(state="running"), job()], "next_page_token": "5"})
        if seen.path == "/jobs/none":
            return problem(JobNotFound())
        return document(job(state="running", cancel_requested=seen.method == "POST"))

    with serve(script) as gateway:
        listed = _kinsight("jobs", "--limit", "2", "--json", "--url", gateway.url)
        cancelled = _kinsight("jobs", "j", "--cancel", "--url", gateway.url)
        unknown = _kinsight("jobs", "none", "--url", gateway.url)
    assert len(_one_document(listed)["jobs"]) == 2
    assert "cancelling" in cancelled.stdout
    assert gateway.seen[1].path == "/jobs/j/cancel"
    assert (unknown.exit_code, unknown.stdout) == (1, "")


def test_doctor_ends_with_1_where_something_is_not_ok() -> None:
    checks = [
        {"check": "store", "ok": True, "detail": "writable"},
        {"check": "disk", "ok": False, "detail": "1 GB free", "advice": "Free some space."},
    ]
    with serve(lambda _: document({"ok": False, "checks": checks})) as gateway:
        result = _kinsight("doctor", "--url", gateway.url)
    assert result.exit_code == 1
    disk = next(line for line in result.stdout.splitlines() if line.startswith("disk"))
    assert "NOT OK" in disk
    assert "Free some space." in disk


def _start(gateway: Gateway, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "kinsight.cli.app", *arguments, "--url", gateway.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def test_interrupt_leaves_the_job_running_and_says_how_to_follow_it() -> None:
    progress = {"done": 30, "total": 100, "unit": "images", "per_second": 5, "eta_seconds": 70}

    with serve(lambda _: document(job(state="running", progress=progress))) as gateway:
        process = _start(gateway, "jobs", job()["id"], "--wait")
        assert process.stderr is not None
        line = process.stderr.readline()  # the first progress: it waits now
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
    assert line == "ingest: 30 of 100 images, 5.0 per s, 1:10 min left\n"
    assert process.returncode == 130
    assert output == ""
    assert f"kinsight jobs {job()['id']} --wait" in errors
    assert not any(seen.path.endswith("/cancel") for seen in gateway.seen)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom kinsight.cli.app import app\n"
        "heavy = {'httpx', 'pydantic', 'rich', 'numpy', 'torch', 'asyncpg', 'aiohttp', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "[]\n"
