"""What every call of the public client goes through: sending, trying again, errors."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from kinsight.clients.public_body import Body
from kinsight.errors import BY_CODE, KinsightError, Unavailable

DEFAULT_URL = "http://localhost:8000"
_PROBLEM = "application/problem+json"
_READ_RETRIES = (0.5, 1.0)  # seconds before each further attempt of a read
_SEND_RETRIES = (0.5, 1.0, 2.0, 4.0, 8.0)  # as long as a service takes to be started again
_ANSWER = TypeVar("_ANSWER", bound=BaseModel)
Params = Mapping[str, str | int | float | Sequence[str] | None]


class UnknownProblem(KinsightError):
    """A problem that this client has no class for: the server may be newer."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail"))
        self._problem = problem
        self.title = problem.get("title", type(self).title)  # type: ignore[misc]  # of its own
        self.status = problem.get("status", type(self).status)  # type: ignore[misc]
        self.code = problem.get("code", type(self).code)  # type: ignore[misc]

    def problem(self) -> dict[str, Any]:
        """As the server sent it."""
        return self._problem


class PublicConnection:
    """One gateway, its key and its pool of connections. Close it, or use it in `with`."""

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        *,
        timeout_seconds: float = 120.0,
        upload_timeout_seconds: float = 1800.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._upload_timeout = httpx.Timeout(upload_timeout_seconds, connect=5.0)
        try:
            self._http = httpx.Client(
                base_url=self.base_url,
                headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
                timeout=httpx.Timeout(timeout_seconds, connect=5.0),
            )
        except httpx.InvalidURL as error:
            raise Unavailable(f"{base_url} is not an address; write http://HOST:PORT.") from error

    def close(self) -> None:
        self._http.close()

    def _model(self, cls: type[_ANSWER], method: str, path: str, **options: Any) -> _ANSWER:
        """The answer as a contract's model; options are those of `_send`."""
        document = self._json(method, path, **options)
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise KinsightError(
                f"The answer of {self.base_url}{path} is not what this client knows "
                f"({place}: {first['msg']}); bring server and client to the same version."
            ) from error

    def _json(self, method: str, path: str, **options: Any) -> Any:
        response = self._send(method, path, **options)
        try:
            return response.json()
        except ValueError as error:
            raise KinsightError(
                f"{self.base_url}{path} does not answer with JSON; "
                "name the address of a Kinsight gateway with --url."
            ) from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = False,
    ) -> httpx.Response:
        """Raises the error that the answer's problem object names, Unavailable without answer.

        `again`: sending twice does no harm, so a connection that breaks or an overloaded server
        is tried again for some seconds. A gateway that was never there is not waited for.
        """
        query = {key: value for key, value in (params or {}).items() if value is not None}
        delays = _SEND_RETRIES if again else _READ_RETRIES if method == "GET" else ()
        for attempt, delay in enumerate((*delays, None)):
            try:
                response = self._http.request(
                    method,
                    path,
                    params=query,
                    json=json,
                    content=body.chunks() if body else None,
                    headers={**(body.headers if body else {}), **(headers or {})},
                    timeout=self._upload_timeout if body else httpx.USE_CLIENT_DEFAULT,
                )
            except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
                if delay is None or attempt == 0:
                    raise self._away(error) from error
            except httpx.TransportError as error:
                if delay is None:
                    raise self._away(error) from error
            else:
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or delay is None:
                    self._check(response)
                    return response
            time.sleep(delay)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _stream(
        self, path: str, *, headers: Mapping[str, str], read_seconds: float
    ) -> Iterator[httpx.Response]:
        """An answer that is read while it arrives; Unavailable where it breaks off."""
        timeout = httpx.Timeout(read_seconds, connect=5.0)
        try:
            with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
                if response.is_error:
                    response.read()
                    self._check(response)
                yield response
        except httpx.TransportError as error:
            raise self._away(error) from error

    def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        if response.headers.get("content-type", "").split(";")[0] == _PROBLEM:
            problem = response.json()
            if problem.get("code") in BY_CODE:
                raise KinsightError.from_problem(problem)
            raise UnknownProblem(problem)
        sentence = (
            f"{self.base_url} answered {response.status_code} without saying why; "
            "name the address of a Kinsight gateway with --url."
        )
        raise Unavailable(sentence) if response.is_server_error else KinsightError(sentence)

    def _away(self, error: httpx.TransportError) -> Unavailable:
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return Unavailable(
                f"Nothing answers at {self.base_url}; start it with `make run` or `kinsight up`, "
                "or name another with --url."
            )
        if isinstance(error, httpx.UnsupportedProtocol):
            return Unavailable(f"{self.base_url} is not an address; write http://HOST:PORT.")
        return Unavailable(
            f"{self.base_url} broke off ({type(error).__name__}); try again in a moment."
        )


def idempotency(key: str | None) -> dict[str, str]:
    """The header by which the gateway knows a request that is sent once more."""
    return {"Idempotency-Key": key or str(uuid.uuid4())}
