"""Attempts of one model call: the OpenAI SDK repeats a request that failed, and instrumentations see one long call.

The SDK's `request` is one call with all its attempts, and the HTTP client's `send` below it is one attempt. Where there
were several, each becomes a span `attempt` below the call's span, with the back-off between them as waits. They are
recorded when the request is over, since only then is it known which of them was the last.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from spanwise import conventions as c
from spanwise.helpers.base import error_type
from spanwise.integrations.patching import replace
from spanwise.process.contained import contained
from spanwise.recording import model_calls
from spanwise.recording.telemetry import start_span
from spanwise.recording.waits import record_wait

if TYPE_CHECKING:
    from collections.abc import Callable

_TELLING: Final = contained("recording attempts of a call")
_FIRST_ERROR: Final = 400


@dataclass(slots=True)
class Attempt:
    """One request of a call."""

    start_ns: int
    end_ns: int = 0
    status: int = 0
    error: str | None = None
    """`error.type`, where it failed."""


_attempts: Final[ContextVar[list[Attempt] | None]] = ContextVar("spanwise-attempts", default=None)


def add_to_openai() -> Callable[[], object]:
    """Record the attempts of every call of the SDK."""
    clients: Any = import_module("openai._base_client")
    undo = [
        replace(clients.SyncAPIClient, "request", _request),
        replace(clients.AsyncAPIClient, "request", _async_request),
    ]
    return lambda: [one() for one in undo]


def add_to_httpx() -> Callable[[], object]:
    """Learn of each attempt from httpx."""
    return _add_to_client("httpx")


def add_to_httpx2() -> Callable[[], object]:
    """Learn of each attempt from httpx2."""
    return _add_to_client("httpx2")


def _add_to_client(module: str) -> Callable[[], object]:
    client: Any = import_module(module)
    undo = [replace(client.Client, "send", _send), replace(client.AsyncClient, "send", _async_send)]
    return lambda: [one() for one in undo]


def _request(before: Callable[..., Any]) -> Callable[..., Any]:
    def request(*args: Any, **options: Any) -> Any:
        attempts: list[Attempt] = []
        token = _attempts.set(attempts)
        try:
            return before(*args, **options)
        finally:
            _attempts.reset(token)
            _record(attempts)

    return request


def _async_request(before: Callable[..., Any]) -> Callable[..., Any]:
    async def request(*args: Any, **options: Any) -> Any:
        attempts: list[Attempt] = []
        token = _attempts.set(attempts)
        try:
            return await before(*args, **options)
        finally:
            _attempts.reset(token)
            _record(attempts)

    return request


def _send(before: Callable[..., Any]) -> Callable[..., Any]:
    def send(*args: Any, **options: Any) -> Any:
        attempts = _attempts.get()
        if attempts is None:
            return before(*args, **options)
        attempts.append(attempt := Attempt(time.time_ns()))
        try:
            response = before(*args, **options)
        except BaseException as error:
            _failed(attempt, error)
            raise
        _answered(attempt, response)
        return response

    return send


def _async_send(before: Callable[..., Any]) -> Callable[..., Any]:
    async def send(*args: Any, **options: Any) -> Any:
        attempts = _attempts.get()
        if attempts is None:
            return await before(*args, **options)
        attempts.append(attempt := Attempt(time.time_ns()))
        try:
            response = await before(*args, **options)
        except BaseException as error:
            _failed(attempt, error)
            raise
        _answered(attempt, response)
        return response

    return send


def _failed(attempt: Attempt, error: BaseException) -> None:
    attempt.end_ns, attempt.error = time.time_ns(), error_type(error)


def _answered(attempt: Attempt, response: Any) -> None:
    attempt.end_ns = time.time_ns()
    with _TELLING:
        attempt.status = int(response.status_code)
        attempt.error = str(attempt.status) if attempt.status >= _FIRST_ERROR else None


def _record(attempts: list[Attempt]) -> None:
    """Record several attempts below the current span, where that is a model call's."""
    call = trace.get_current_span()
    if len(attempts) < 2 or not model_calls.is_one(call):  # noqa: PLR2004 - one is the call itself
        return
    with _TELLING:
        call.set_attribute(c.ATTEMPTS, len(attempts))
        for number, attempt in enumerate(attempts, 1):
            _record_one(attempt, number, is_last=attempt is attempts[-1])
        for failed, following in pairwise(attempts):
            record_wait("retry_backoff", "retry", failed.end_ns, following.start_ns)


def _record_one(attempt: Attempt, number: int, *, is_last: bool) -> None:
    about: dict[str, Any] = {c.RETRY_ATTEMPT: number}
    if attempt.status:
        about[c.HTTP_RESPONSE_STATUS_CODE] = attempt.status
    if attempt.error is not None:
        about[c.ERROR_TYPE] = attempt.error
        if not is_last:
            about[c.RETRY_SCHEDULED] = True
    span = start_span(c.ATTEMPT_SPAN, SpanKind.CLIENT, about, start_ns=attempt.start_ns)
    if attempt.error is not None:
        span.set_status(Status(StatusCode.ERROR))
    span.end(attempt.end_ns)
