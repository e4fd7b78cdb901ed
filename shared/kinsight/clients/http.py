"""Calls between services: one session per process, problem objects become errors again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from kinsight.errors import KinsightError, Unavailable

Query = Mapping[str, str | int | float | Sequence[str] | None]


def open_session(timeout_seconds: float = 120.0) -> aiohttp.ClientSession:
    """The one client session of a process; close it when the service stops."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds, connect=5),
        auto_decompress=False,
    )


class ServiceClient:
    """Calls one service; raises the error its problem object names, Unavailable if it is away."""

    def __init__(self, name: str, base_url: str, session: aiohttp.ClientSession) -> None:
        self.name = name
        self._base = base_url.rstrip("/")
        self._session = session

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of the answer; None for an empty one."""
        async with self.request(method, path, **options) as response:
            return await response.json() if response.status != 204 else None

    async def bytes(self, method: str, path: str, **options: Any) -> bytes:
        async with self.request(method, path, **options) as response:
            return await response.read()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Query | None = None,
        json: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(
                method,
                self._base + path,
                params=_pairs(params or {}),
                json=json,
                data=data,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_seconds) if timeout_seconds else None,
            ) as response:
                if response.status >= 400:
                    raise await self._error(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise Unavailable(
                f"The {self.name} does not answer ({type(error).__name__}); try again in a moment."
            ) from error

    async def _error(self, response: aiohttp.ClientResponse) -> KinsightError:
        if response.content_type == "application/problem+json":
            problem = await response.json(content_type=None)
            if problem["code"] == "internal":
                return KinsightError(f"The {self.name} failed; its log has the details.")
            return KinsightError.from_problem(problem)
        return Unavailable(f"The {self.name} answered {response.status}; its log has the details.")


def _pairs(query: Query) -> list[tuple[str, str]]:
    """Lists become repeated parameters, None is left out."""
    return [
        (name, str(item))
        for name, value in query.items()
        if value is not None
        for item in ([value] if isinstance(value, (str, int, float)) else value)
    ]
