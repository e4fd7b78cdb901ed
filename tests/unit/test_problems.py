"""Errors become problem objects, whoever raised them."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from fastapi import APIRouter, FastAPI

from kinsight import errors
from kinsight.web.service import create_service
from kinsight.web.settings import Settings

RAISED = {
    "known": errors.NoModel("Train one.", library="shop"),
    "refused": ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    "restarting": asyncpg.CannotConnectNowError("starting up"),
    "full": OSError(errno.ENOSPC, "no space"),
    "bug": ZeroDivisionError(),
}
router = APIRouter()


@router.get("/raise/{name}")
async def raise_it(name: str, k: int = 1) -> None:
    raise RAISED[name]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


async def ready(_: FastAPI) -> None:
    raise errors.Unavailable("Postgres does not answer.")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_service("test", Settings(), lifespan=lifespan, routers=[router], ready=ready)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/raise/known", 409, "no-model"),
        ("/raise/refused", 503, "unavailable"),
        ("/raise/restarting", 503, "unavailable"),
        ("/raise/full", 507, "storage-full"),
        ("/raise/bug", 500, "internal"),
        ("/raise/known?k=x", 422, "invalid-request"),
        ("/nowhere", 404, "not-found"),
        ("/readyz", 503, "unavailable"),
    ],
)
async def test_problem(client: httpx.AsyncClient, path: str, status: int, code: str) -> None:
    answer = await client.get(path)
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["type"] == f"urn:kinsight:problem:{code}"
    assert body["detail"]


async def test_extensions_stand_beside_the_members(client: httpx.AsyncClient) -> None:
    assert (await client.get("/raise/known")).json()["library"] == "shop"


async def test_wrong_method(client: httpx.AsyncClient) -> None:
    answer = await client.post("/livez")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("cls", sorted(errors.BY_CODE.values(), key=lambda cls: cls.code))
def test_every_error_survives_the_wire(cls: type[errors.KinsightError]) -> None:
    """What one service raises, its caller raises again."""
    sent = cls("What to do.", some="extension")
    received = errors.KinsightError.from_problem(sent.problem())
    assert type(received) is cls
    assert (received.detail, received.extensions) == (sent.detail, sent.extensions)


async def test_metrics_are_labelled_by_route(client: httpx.AsyncClient) -> None:
    await client.get("/raise/known")
    text = (await client.get("/metrics")).text
    assert 'route="/raise/{name}"' in text
    assert "/raise/known" not in text
