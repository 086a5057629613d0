"""What went wrong with a call: whether trying again can help, and how long the provider asks to wait.

Providers say the same thing in several places: a status, a header, a code in the body, or an error in the middle of a
stream that began with status 200. This module is the only one that knows all of them.
"""

from __future__ import annotations

import json
import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import httpx2
import openai

from spanwise_pipeline.calls.json_values import list_of, object_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_RETRYABLE_STATUS: Final = frozenset({408, 409, 429})
_SERVER_ERROR: Final = 500
_NOT_BEFORE_PAID: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "access_terminated"}
)
"""Codes of a 429 that time does not cure."""
_TRANSIENT: Final = re.compile(
    r"rate.?limit|overload|server_error|internal|unavailable|timeout|capacity", re.IGNORECASE
)
"""Codes and types of errors inside a stream that time may cure."""
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class IncompleteReplyError(RuntimeError):
    """A stream ended before the model said that it was done, or what it holds cannot be a whole answer."""


def is_retryable(error: BaseException) -> bool:
    """Return whether trying again can help: limits, time-outs, broken connections and streams, server faults."""
    if isinstance(error, openai.APIStatusError):
        return _status_is_retryable(error)
    if isinstance(error, openai.APIConnectionError):
        return True
    if isinstance(error, openai.APIError):
        return _in_stream_is_retryable(error)
    return isinstance(error, httpx2.TransportError | IncompleteReplyError | json.JSONDecodeError)


def _status_is_retryable(error: openai.APIStatusError) -> bool:
    asked = error.response.headers.get("x-should-retry", "").lower()
    if asked in {"true", "false"}:
        return asked == "true"
    if _codes(error.body) & _NOT_BEFORE_PAID or _is_too_large(error):
        return False
    return error.status_code in _RETRYABLE_STATUS or error.status_code >= _SERVER_ERROR


def _is_too_large(error: openai.APIStatusError) -> bool:
    """Whether the limit of a whole minute is smaller than this one request."""
    return str(_field(error.body, "message")).startswith("Request too large")


def _in_stream_is_retryable(error: openai.APIError) -> bool:
    codes = _codes(error.body)
    if codes & _NOT_BEFORE_PAID:
        return False
    for code in codes:
        if code.isdigit():
            return int(code) in _RETRYABLE_STATUS or int(code) >= _SERVER_ERROR
    return any(_TRANSIENT.search(code) for code in codes) or not codes


def _codes(body: object) -> frozenset[str]:
    """Return what an error's body says of its kind, as text."""
    found = (_field(body, name) for name in ("code", "type", "status"))
    return frozenset(str(value) for value in found if isinstance(value, str | int) and str(value))


def _field(body: object, name: str) -> Any:
    fields = object_of(body)
    return (object_of(fields.get("error")) or fields).get(name)


def retry_after(error: BaseException) -> float | None:
    """Return the real seconds that the provider asked to wait, `None` where it did not.

    Understood are `retry-after-ms`, `retry-after` in seconds or as a date (counted from the answer's own `date`), the
    time until the limit that is used up is full again (`x-ratelimit-reset-requests`, `-tokens`), and Google's
    `retryDelay` in the body.
    """
    if not isinstance(error, openai.APIStatusError):
        return None
    headers = error.response.headers
    asked = _from_headers(headers)
    if asked is None and error.status_code == 429:  # noqa: PLR2004 - too many requests
        asked = _from_body(error.body) or _from_limits(headers)
    return max(0.0, asked) if asked is not None else None


def _from_headers(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if (seconds := _number(headers.get(name))) is not None:
            return seconds * unit
    return _until(headers.get("retry-after", ""), headers.get("date", ""))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _until(then: str, now: str) -> float | None:
    due = _timestamp(then)
    if due is None:
        return None
    present = _timestamp(now)
    return due - (time.time() if present is None else present)


def _timestamp(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _from_limits(headers: Mapping[str, str]) -> float | None:
    waits = [
        duration_seconds(headers.get(f"x-ratelimit-reset-{kind}", ""))
        for kind in ("requests", "tokens")
        if _number(headers.get(f"x-ratelimit-remaining-{kind}")) == 0
    ]
    known = [wait for wait in waits if wait is not None]
    return max(known) if known else None


def _from_body(body: object) -> float | None:
    for entry in list_of(_field(body, "details")):
        delay = _field(entry, "retryDelay")
        if isinstance(delay, str) and (seconds := duration_seconds(delay)) is not None:
            return seconds
    return None


def duration_seconds(text: str) -> float | None:
    """Return the seconds of a duration as providers write it (`17ms`, `1.2s`, `6m0s`), `None` for anything else."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return _number(text)
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
