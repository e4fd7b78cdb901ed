"""The REST page at /docs: whole without internet, under a policy of its own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from gateway_alone import client

from kinsight.web.settings import Settings


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client(Settings(api_keys=[])) as client_:
        yield client_


async def test_all_comes_from_here_and_is_kept(http: httpx.AsyncClient) -> None:
    answer = await http.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"
    addresses = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert all(re.match(r"/[^/]", address) for address in addresses)
    names = {address.rpartition("/")[2] for address in addresses}
    assert {"swagger-ui.css", "swagger-ui-bundle.js", "reference.js"} <= names
    for address in addresses:
        found = await http.get(address)
        assert found.status_code == 200, address
        if address.startswith("/docs/"):
            assert "immutable" in found.headers["cache-control"]
            tag = {"If-None-Match": found.headers["etag"]}
            assert (await http.get(address, headers=tag)).status_code == 304
    assert (await http.get("/docs/0123/reference.js")).headers["cache-control"] == "no-store"
    assert (await http.get("/docs/0123/nothing.js")).status_code == 404


async def test_the_policy_lets_nothing_foreign_in(http: httpx.AsyncClient) -> None:
    headers = (await http.get("/docs")).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data:"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"


async def test_there_is_no_other_page_of_the_routes(http: httpx.AsyncClient) -> None:
    assert (await http.get("/redoc")).status_code == 404
