"""A list of addresses as a source."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from urllib.parse import unquote, urlsplit

from kinsight.archives.members import Member, clean
from kinsight.clients.fetch import Fetcher
from kinsight.errors import KinsightError


class AddressSource:
    """Unlabelled: an address says nothing of what the picture shows."""

    def __init__(
        self, urls: Sequence[str], fetcher: Fetcher, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._urls = urls
        self._fetcher = fetcher
        self._loop = loop
        self.total: int | None = len(urls)

    def members(self, start: int) -> Iterator[Member]:
        """Called in a thread, like every source; the fetching happens on the event loop."""
        for number, url in enumerate(self._urls[start:], start):
            name = clean(unquote(urlsplit(url).path.rpartition("/")[2]) or url)
            try:
                data = asyncio.run_coroutine_threadsafe(
                    self._fetcher.fetch(url), self._loop
                ).result()
            except KinsightError as error:
                yield Member(number, name, None, reason=error.detail)
            else:
                yield Member(number, name, None, data, None if data else "The file is empty.")
