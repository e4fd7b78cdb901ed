"""Fetching pictures by address, from public hosts only unless the operator says otherwise.

Without this check a caller could make the server read its own network (SSRF). The address is
checked where the connection is made, so that neither a redirect nor a changed DNS answer gets by.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from kinsight.errors import AddressNotAllowed, BadRequest, ImageTooLarge

_SECONDS = 20.0
_REDIRECTS = 5


class _PrivateHost(OSError):
    """What the resolver raises: aiohttp takes an OSError for a failed connection."""


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(_is_public(entry["host"]) for entry in found):
            raise _PrivateHost(f"{host} is an address of this network")
        return found

    async def close(self) -> None:
        await self._inner.close()


class Fetcher:
    """Close it when the service stops."""

    def __init__(self, max_bytes: int, *, private_addresses: bool) -> None:
        self._max_bytes = max_bytes
        self._private = private_addresses
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str) -> bytes:
        """Raises BadRequest, AddressNotAllowed, ImageTooLarge."""
        for _ in range(_REDIRECTS):
            self._check_url(url)
            try:
                async with self._open().get(url, allow_redirects=False) as response:
                    if response.status in (301, 302, 303, 307, 308):
                        url = str(response.url.join(_location(response)))
                        continue
                    if response.status != 200:
                        raise BadRequest(f"{url} answered {response.status}.")
                    return await self._body(response)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if isinstance(error.__cause__, _PrivateHost):
                    raise AddressNotAllowed from error
                raise BadRequest(f"{url} cannot be fetched ({type(error).__name__}).") from error
        raise BadRequest(f"{url} redirects more than {_REDIRECTS} times.")

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            options: dict[str, Any] = {} if self._private else {"resolver": PublicResolver()}
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=16, **options),
                timeout=aiohttp.ClientTimeout(total=_SECONDS),
                headers={"User-Agent": "Kinsight", "Accept": "image/*"},
            )
        return self._session

    def _check_url(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            host = None
        if host is None or parts.scheme not in ("http", "https"):
            raise BadRequest(f"{url!r} is not an http or https address.")
        # A literal address is never resolved; what a name stands for, the resolver checks.
        if not self._private and _is_literal(host) and not _is_public(host):
            raise AddressNotAllowed

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            body += chunk
            if len(body) > self._max_bytes:
                raise ImageTooLarge(
                    f"{response.url} has more than {self._max_bytes >> 20} MB, the most this"
                    " server takes per image."
                )
        return bytes(body)


def _location(response: aiohttp.ClientResponse) -> Any:
    location = response.headers.get("Location")
    if location is None:
        raise BadRequest(f"{response.url} redirects to nowhere.")
    return type(response.url)(location)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_global and not parsed.is_multicast
