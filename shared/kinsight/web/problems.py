"""Errors as RFC 9457 problem objects, rendered in this one place."""

from __future__ import annotations

import errno
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import InvalidRequest, KinsightError, StorageFull, Unavailable

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)


class Problem(BaseModel):
    """The body of every error."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def response(error: KinsightError) -> JSONResponse:
    headers = {"Retry-After": "1"} if error.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.problem(), error.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes the application answer every error with a problem object."""

    @app.exception_handler(KinsightError)
    async def _known(request: Request, error: KinsightError) -> JSONResponse:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.warning("%s %s: %s", request.method, request.url.path, error.detail)
        return response(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        places = [
            {"in": ".".join(str(part) for part in item["loc"]), "message": item["msg"]}
            for item in error.errors()
        ]
        sentence = "; ".join(f"{place['in']}: {place['message']}" for place in places)
        return response(InvalidRequest(sentence, errors=places))

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        code = status.phrase.lower().replace(" ", "-")
        answer = _plain(status, code, _explain(status, error))
        answer.headers.update(error.headers or {})
        return answer

    async def _away(request: Request, error: Exception) -> JSONResponse:
        _log.warning("%s %s: %r", request.method, request.url.path, error)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return response(StorageFull())
        return response(Unavailable("Postgres or the store does not answer; try again shortly."))

    for kind in CONNECTION_ERRORS:
        app.add_exception_handler(kind, _away)

    @app.exception_handler(Exception)
    async def _unknown(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return response(KinsightError())


def _explain(status: HTTPStatus, error: HTTPException) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return "There is no such route; /docs lists them all."
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return "This route does not take that method; /docs lists them all."
    return str(error.detail)


def _plain(status: HTTPStatus, code: str, detail: str, **extensions: Any) -> JSONResponse:
    body = {
        "type": f"urn:kinsight:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "code": code,
        "detail": detail,
        **extensions,
    }
    return JSONResponse(body, status, media_type=MEDIA_TYPE)
