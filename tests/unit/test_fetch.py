"""Pictures by address: from public hosts only, unless the operator says otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from kinsight.clients.fetch import Fetcher
from kinsight.errors import AddressNotAllowed, BadRequest, ImageTooLarge

LIMIT = 1000


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """A real server on loopback: a picture, a large one, and redirects."""

    async def picture(_: web.Request) -> web.Response:
        return web.Response(body=b"picture")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LIMIT + 1))

    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound(request.query["to"])

    app = web.Application()
    app.router.add_get("/picture", picture)
    app.router.add_get("/large", large)
    app.router.add_get("/moved", moved)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def open_fetcher() -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(LIMIT, private_addresses=True)
    yield fetcher
    await fetcher.close()


@pytest.fixture
async def strict_fetcher() -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(LIMIT, private_addresses=False)
    yield fetcher
    await fetcher.close()


async def test_picture_is_fetched(open_fetcher: Fetcher, server: str) -> None:
    assert await open_fetcher.fetch(f"{server}/picture") == b"picture"
    assert await open_fetcher.fetch(f"{server}/moved?to=/picture") == b"picture"


async def test_too_large_a_picture_is_refused(open_fetcher: Fetcher, server: str) -> None:
    with pytest.raises(ImageTooLarge):
        await open_fetcher.fetch(f"{server}/large")


@pytest.mark.parametrize("path", ["/nothing", "/moved?to=/moved?to=/moved", "/moved?to=file:///x"])
async def test_what_is_not_there_is_refused(open_fetcher: Fetcher, server: str, path: str) -> None:
    with pytest.raises(BadRequest):
        await open_fetcher.fetch(server + path)


async def test_own_network_is_refused(strict_fetcher: Fetcher, server: str) -> None:
    for url in (
        f"{server}/picture",
        f"{server.replace('127.0.0.1', 'localhost')}/picture",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://10.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
    ):
        with pytest.raises(AddressNotAllowed):
            await strict_fetcher.fetch(url)


@pytest.mark.parametrize(
    "url", ["ftp://example.com/x", "file:///etc/passwd", "nonsense", "http://["]
)
async def test_other_schemes_are_refused(strict_fetcher: Fetcher, url: str) -> None:
    with pytest.raises(BadRequest):
        await strict_fetcher.fetch(url)
