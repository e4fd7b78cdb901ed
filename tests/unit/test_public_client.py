"""The public client's patience and its errors, against a server that answers as written."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
from scripted_gateway import Answer, BreakOff, Seen, document, job, problem, serve

from kinsight.clients import Kinsight
from kinsight.contracts.jobs import JobState
from kinsight.errors import (
    BadRequest,
    KinsightError,
    NoModel,
    Overloaded,
    TooFewImages,
    Unavailable,
)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _refuse(error: KinsightError) -> KinsightError:
    with (
        serve(lambda _: problem(error)) as gateway,
        Kinsight(gateway.url) as client,
        pytest.raises(KinsightError) as raised,
    ):
        client.train("shop")
    return raised.value


def test_problem_becomes_its_error_again() -> None:
    error = _refuse(TooFewImages("hat has 3 images.", counts={"hat": 3}))
    assert type(error) is TooFewImages
    assert error.detail == "hat has 3 images."
    assert error.extensions == {"counts": {"hat": 3}}


def test_problem_of_a_newer_server_is_kept_as_it_is() -> None:
    sent = {
        "code": "tea-time",
        "status": 418,
        "title": "Tea time",
        "detail": "Come back later.",
        "until": "17:00",
    }
    answer = Answer(json.dumps(sent).encode(), 418, "application/problem+json")
    with (
        serve(lambda _: answer) as gateway,
        Kinsight(gateway.url) as client,
        pytest.raises(KinsightError, match=r"Come back later\.") as raised,
    ):
        client.libraries()
    error = raised.value
    assert (error.status, error.code, error.title) == (418, "tea-time", "Tea time")
    assert error.problem() == sent


def test_nobody_there_says_how_to_start() -> None:
    with (
        Kinsight(f"http://127.0.0.1:{_free_port()}") as client,
        pytest.raises(Unavailable, match="start it with `make run` or `kinsight up`"),
    ):
        client.libraries()


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:notaport", "ftp://127.0.0.1"])
def test_address_that_is_none(url: str) -> None:
    with pytest.raises(Unavailable, match="is not an address"), Kinsight(url) as client:
        client.libraries()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(b"<html>", 404, "text/html"), "answered 404"),
        (Answer(b"<html>", 200, "text/html"), "does not answer with JSON"),
        (Answer(b'{"pages": []}'), "bring server and client to the same version"),
    ],
)
def test_another_server_is_told_apart(answer: Answer, sentence: str) -> None:
    with (
        serve(lambda _: answer) as gateway,
        Kinsight(gateway.url) as client,
        pytest.raises(KinsightError, match=sentence),
    ):
        client.libraries()


def test_key_travels_as_bearer() -> None:
    with serve(lambda _: document({"libraries": []})) as gateway:
        with Kinsight(gateway.url, "secret") as client:
            assert client.libraries() == []
        with Kinsight(gateway.url) as client:
            client.libraries()
    assert gateway.seen[0].headers["authorization"] == "Bearer secret"
    assert "authorization" not in gateway.seen[1].headers


def test_upload_that_breaks_off_is_sent_again_under_the_same_key(tmp_path: Path) -> None:
    (tmp_path / "hat").mkdir()
    (tmp_path / "hat" / "1.jpg").write_bytes(b"hat" * 1000)
    answers = iter([None, problem(Overloaded()), document(job(), 202)])

    def script(_: Seen) -> Answer:
        answer = next(answers)
        if answer is None:
            raise BreakOff
        return answer

    with serve(script) as gateway, Kinsight(gateway.url) as client:
        assert client.index_batch("shop", [tmp_path], labels="none").id == job()["id"]
    keys = {seen.headers["idempotency-key"] for seen in gateway.seen}
    bodies = {seen.body for seen in gateway.seen}
    assert (len(gateway.seen), len(keys), len(bodies)) == (3, 1, 1)
    assert gateway.seen[0].query == {"library": ["shop"], "labels": ["none"]}
    assert gateway.seen[0].headers["content-type"] == "application/x-tar"


def test_request_without_a_key_is_sent_once_only() -> None:
    def script(_: Seen) -> Answer:
        raise BreakOff

    with (
        serve(script) as gateway,
        Kinsight(gateway.url) as client,
        pytest.raises(Unavailable, match="broke off"),
    ):
        client.delete_library("shop")
    assert len(gateway.seen) == 1


def test_local_weights_are_sent_before_training(tmp_path: Path) -> None:
    file = tmp_path / "resnet.safetensors"
    file.write_bytes(b"weights")

    def script(seen: Seen) -> Answer:
        if seen.path == "/weights":
            return document({"weights": "sha256:ab", "tensors": 1, "bytes": len(seen.body)}, 201)
        return document(job(kind="train"), 202)

    with serve(script) as gateway, Kinsight(gateway.url) as client:
        client.train("shop", weights=file)
        client.train("shop", weights="sha256:cd")
        with pytest.raises(BadRequest, match=r"There is no file nothing\.pt"):
            client.train("shop", weights="nothing.pt")
    assert gateway.seen[0].body == b"weights"
    sent = [json.loads(seen.body)["weights"] for seen in gateway.seen[1:]]
    assert sent == ["sha256:ab", "sha256:cd"]


def test_search_asks_as_told() -> None:
    with serve(lambda _: problem(NoModel())) as gateway, Kinsight(gateway.url) as client:
        with pytest.raises(NoModel):
            client.search(
                "shop",
                b"picture",
                k=3,
                space="hash",
                routing="all",
                classes=["t-shirt", "a, b"],
                min_similarity=0.5,
                crop=(1, 2, 30, 40),
                crops=10,
            )
        with pytest.raises(NoModel):
            client.search_image("shop", "17")
        with pytest.raises(NoModel):
            client.search_url("shop", "https://example.org/a b.jpg")
    first, second, third = gateway.seen
    assert first.body == b"picture"
    assert first.query == {
        "library": ["shop"],
        "k": ["3"],
        "space": ["hash"],
        "routing": ["all"],
        "classes": ["t-shirt", "a, b"],
        "min_similarity": ["0.5"],
        "crop": ["1,2,30,40"],
        "crops": ["10"],
    }
    assert (second.query["image_id"], second.query["routing"]) == (["17"], ["adaptive"])
    assert third.query["image_url"] == ["https://example.org/a b.jpg"]


def test_pages_are_read_to_the_last() -> None:
    def script(seen: Seen) -> Answer:
        begin = int(seen.query.get("page_token", ["0"])[0])
        items = [
            {"number": n, "name": f"{n}.jpg", "outcome": "rejected"} for n in (begin, begin + 1)
        ]
        token = str(begin + 2) if begin < 4 else None
        return document({"items": items, "next_page_token": token})

    with serve(script) as gateway, Kinsight(gateway.url) as client:
        numbers = [item.number for item in client.items("j", "rejected")]
    assert numbers == [0, 1, 2, 3, 4, 5]
    assert {seen.query["outcome"][0] for seen in gateway.seen} == {"rejected"}


def test_names_are_quoted_in_paths() -> None:
    with serve(lambda _: Answer(status=204)) as gateway, Kinsight(gateway.url) as client:
        client.delete_model("../libraries/shop")
    assert gateway.seen[0].path == "/models/..%2Flibraries%2Fshop"


def test_wait_outlasts_a_gateway_that_is_started_again() -> None:
    port = _free_port()
    polled = threading.Event()
    states: list[JobState] = []

    def running(_: Seen) -> Answer:
        polled.set()
        return document(job(state="running"))

    def wait() -> None:
        with Kinsight(f"http://127.0.0.1:{port}") as client:
            ended = client.wait("j", lambda job: states.append(job.state), poll_seconds=0.02)
            states.append(ended.state)

    waiting = threading.Thread(target=wait)
    with serve(running, port):
        waiting.start()
        assert polled.wait(5)
    waiting.join(0.2)
    assert waiting.is_alive()
    with serve(lambda _: document(job(state="succeeded")), port):
        waiting.join(5)
    assert not waiting.is_alive()
    assert states[0] == JobState.RUNNING
    assert states[-2:] == [JobState.SUCCEEDED, JobState.SUCCEEDED]


def test_wait_ends_at_its_deadline() -> None:
    with (
        serve(lambda _: document(job(state="running"))) as gateway,
        Kinsight(gateway.url) as client,
        pytest.raises(TimeoutError, match=r"has not ended after 0\.2 seconds"),
    ):
        client.wait("j", timeout=0.2, poll_seconds=0.05)


def test_events_go_on_where_the_stream_broke_off() -> None:
    def event(**changes: object) -> bytes:
        return b"event: job\ndata: " + json.dumps(job(**changes)).encode() + b"\n\n"

    first = b": hello\n\n" + event() + event(state="running") + b'data: {"cut'
    second = event(state="running") + event(state="succeeded")
    answers = iter(
        [
            Answer(first, media_type="text/event-stream", breaks=True),
            Answer(second, media_type="text/event-stream"),
        ]
    )
    with serve(lambda _: next(answers)) as gateway, Kinsight(gateway.url) as client:
        states = [job.state for job in client.events("j")]
    assert states == ["queued", "running", "succeeded"]
    assert len(gateway.seen) == 2
