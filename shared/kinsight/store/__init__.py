"""Blob stores (★): one file per kind of store, chosen by the scheme of KINSIGHT_STORE_URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kinsight.errors import BadRequest
from kinsight.store.base import Store, blob_key
from kinsight.store.local import LocalStore

__all__ = ["STORES", "LocalStore", "Store", "blob_key", "open_store"]

STORES: dict[str, Callable[[str], Store]] = {
    "file": lambda url: LocalStore(Path(unquote(urlsplit(url).path))),
}


def open_store(url: str) -> Store:
    """The store a URL names, for example `file:///var/lib/kinsight/store`."""
    scheme = urlsplit(url).scheme
    if scheme not in STORES:
        raise BadRequest(f"KINSIGHT_STORE_URL starts with {scheme!r}; known: {', '.join(STORES)}.")
    return STORES[scheme](url)
