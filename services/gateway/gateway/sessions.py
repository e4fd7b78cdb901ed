"""Signing in with an API key: a browser's images and event streams can send no header.

The cookie holds no key but an expiry, signed with one: any replica that knows the key can check
it, and taking the key away ends every session made with it. Scripts cannot read it, and browsers
do not send it with requests that come from other sites.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

COOKIE = "kinsight_session"
LIFETIME_SECONDS = 30 * 24 * 3600

router = APIRouter(include_in_schema=False)


def issue(key: bytes, expires: int) -> str:
    return f"{expires}.{_signature(key, expires)}"


def holds(token: str, keys: Sequence[bytes], now: float) -> bool:
    """Whether one of the keys made this token, and it has not expired."""
    expires, _, signature = token.partition(".")
    if not (expires.isascii() and expires.isdecimal()) or len(expires) > 12:
        return False
    if int(expires) <= now:
        return False
    # all keys are compared, so that the time taken says nothing about them
    given = signature.encode()
    matches = [hmac.compare_digest(given, _signature(k, int(expires)).encode()) for k in keys]
    return any(matches)


def _signature(key: bytes, expires: int) -> str:
    return hmac.new(key, f"kinsight session {expires}".encode(), hashlib.sha256).hexdigest()


@router.post("/session", status_code=204)
async def sign_in(request: Request, response: Response) -> None:
    """Only a request with a valid key comes this far. Without configured keys there is no session
    to make."""
    key: str | None = request.scope.get("kinsight_api_key")
    if key is None:
        return
    response.set_cookie(
        COOKIE,
        issue(key.encode(), int(time.time()) + LIFETIME_SECONDS),
        max_age=LIFETIME_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


@router.delete("/session", status_code=204)
async def sign_out(response: Response) -> None:
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
