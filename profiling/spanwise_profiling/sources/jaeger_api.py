"""One trace out of a Jaeger server, by `/api/v3` with `raw_traces=true`.

Without it Jaeger "adjusts" what it answers *and what it stores*, a little more with each reading. Unknown paths answer
200 with a web page, so that a page is taken for a wrong address.
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from spanwise.errors import InputError, UnavailableError
from spanwise_profiling.sources import recognise, streams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise.journal.reader import ReadReport, SpanRecord

_TIMEOUT: Final = 10.0
_WITH_ID: Final = re.compile(r"(?P<base>.*?)(?:/(?:api/v3/traces|api/traces|trace))?/(?P<id>[0-9a-fA-F]{16,32})/?")
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class Address:
    """A Jaeger server, and a trace on it where one is named."""

    base: str
    trace_id: str | None


def is_address(text: str) -> bool:
    """Whether `text` is meant as an address."""
    return text.startswith(("http://", "https://"))


def is_trace_id(text: str) -> bool:
    """Whether `text` is a whole trace id."""
    return _TRACE_ID.fullmatch(text) is not None


def parse(text: str) -> Address:
    """Return what `text` names: `http://host:16686`, or that with a trace (as the UI or the API writes it).

    Raises:
        InputError: it is no address of a server.
    """
    parts = urllib.parse.urlsplit(text)
    if not parts.hostname:
        raise InputError(f"{text}: is no address; give http://HOST:16686/trace/ID")
    match = _WITH_ID.fullmatch(parts.path)
    path = match["base"] if match else parts.path.rstrip("/").removesuffix("/api/v3")
    base = urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    return Address(base, match["id"].lower() if match else None)


def read(base: str, trace_id: str, report: ReadReport) -> Iterator[SpanRecord]:
    """Yield the spans of a stored trace.

    Raises:
        InputError: the trace is not there, or this is no Jaeger.
        UnavailableError: the server cannot be reached.
    """
    url = f"{base}/api/v3/traces/{trace_id}?raw_traces=true"
    body = _fetch(url, trace_id)
    if body.lstrip()[:1] != b"{":
        raise InputError(
            f"{base}: answers with a page and not with a trace; give the address of Jaeger's query service"
        )
    yield from recognise.read_bytes(body, url, report)


def _fetch(url: str, trace_id: str) -> bytes:
    import http.client  # noqa: PLC0415 - with the next two 40 ms, and only where a server is read
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 - `is_address` lets only HTTP pass
            return streams.whole(answer, url)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == HTTPStatus.NOT_FOUND:
                raise InputError(f"{url}: Jaeger has no trace {trace_id}; check the id and how long it keeps") from None
            raise UnavailableError(f"{url}: answers {error.code} {error.reason}; see Jaeger's log") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise UnavailableError(f"{url}: cannot be reached ({reason}); is Jaeger running there?") from None
