"""What a receiver's answer to a request means for the spans in it, whichever way it came.

A request was taken (perhaps not all of it), will never be taken as it is, or may be taken later. Where the answer does
not say which of the last two holds (500, or none in time), it is in doubt: a receiver that fails is mended by somebody,
and nothing may be lost meanwhile; one that fails for certain spans only must not hold up the others.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Literal, Protocol

from opentelemetry.util.re import parse_env_headers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_RETRY_AFTER: Final = 3_600.0
"""Seconds; a receiver that asks for more is tried again after an hour."""
_LONGEST_REASON: Final = 300
_LONGEST_HEADER: Final = 64
_DEFAULT_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request."""

    verdict: Literal["accepted", "refused", "later", "doubtful"]
    """`refused`: these spans are not taken, however often they are sent; `later`: that is not their fault; `doubtful`:
    it may be."""
    reason: str = ""
    """Why not, for people; without secrets."""
    retry_after: float | None = None
    """Seconds that the receiver asks to wait; none where it does not say."""
    rejected: int = 0
    """Spans of an accepted request that were not taken."""

    def __post_init__(self) -> None:
        """Cut the reason and take control characters out: it is the receiver's text, and goes to disk and terminals."""
        text = self.reason if len(self.reason) <= _LONGEST_REASON else f"{self.reason[:_LONGEST_REASON]}…"
        shown = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
        object.__setattr__(self, "reason", shown)


class Transport(Protocol):
    """A connection to one receiver; used by one thread, except for `close`."""

    def send(self, body: bytes) -> Reply:
        """Send an ExportTraceServiceRequest, once; never raises."""
        ...

    def close(self) -> None:
        """Give the connection up, also while another thread sends."""
        ...


def retry_after(text: str | None, now: float | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for: a number, or a date (RFC 9110, 10.2.3)."""
    if not text or len(text) > _LONGEST_HEADER:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - (time.time() if now is None else now)
        except (ValueError, TypeError, OverflowError, OSError):
            return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER) if math.isfinite(seconds) else None


def read_partial(body: bytes) -> Reply:
    """Return what the ExportTraceServiceResponse to an accepted request says: perhaps that spans were rejected.

    What is no such message is a proxy's page: the status said that the request was taken.
    """
    try:
        said = dict(_fields(body)).get(1, b"")  # partial_success
        about = dict(_fields(said)) if isinstance(said, bytes) else {}
    except (IndexError, ValueError):
        return Reply("accepted")
    rejected, message = about.get(1, 0), about.get(2, b"")  # rejected_spans, error_message
    if not isinstance(rejected, int) or not isinstance(message, bytes) or rejected >= _NEGATIVE:
        return Reply("accepted")
    return Reply("accepted", message[: 4 * _LONGEST_REASON].decode("utf-8", "replace"), rejected=rejected)


_NEGATIVE: Final = 2**63
_LONGEST_VARINT: Final = 70
"""Bits, seven a byte."""
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (number, value) of each field of a protobuf message; `ValueError` or `IndexError` where it is none."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            number, at = _varint(message, at)
            yield tag >> 3, number
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if length is None and kind == _LENGTH:
            length, at = _varint(message, at)
        if length is None or at + length > len(message):
            raise ValueError("no protobuf message")
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while shift < _LONGEST_VARINT:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return number, at
    raise ValueError("a varint of more than ten bytes")


def variable(name: str) -> str:
    """Return `OTEL_EXPORTER_OTLP_TRACES_{name}`, else `OTEL_EXPORTER_OTLP_{name}`, else nothing."""
    specific, general = f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"
    return os.environ.get(specific, "").strip() or os.environ.get(general, "").strip()


def environment_headers() -> Mapping[str, str]:
    """Return the headers that OpenTelemetry's variables add to each request; names in lower case."""
    return parse_env_headers(variable("HEADERS"), liberal=True)


def environment_timeout() -> float:
    """Return how many seconds a request may take: OpenTelemetry's variable, or 10."""
    try:
        seconds = float(variable("TIMEOUT") or _DEFAULT_TIMEOUT)
    except ValueError:
        return _DEFAULT_TIMEOUT
    return seconds if seconds > 0 and math.isfinite(seconds) else _DEFAULT_TIMEOUT
