"""Whether a receiver takes spans: it is sent an empty request, which every receiver accepts and none stores."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from spanwise.config.settings import masked
from spanwise.destinations import otlp
from spanwise.destinations.transport import environment_headers, variable
from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from spanwise.config.settings import Settings
    from spanwise.destinations.transport import Reply

_TIMEOUT: Final = 3.0
_LONGEST_ANSWER: Final = 64 * 1024
_PORTS: Final = {"http": 80, "https": 443}
_HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said."""

    seconds: float
    """How long the request took."""
    clock_ahead: float | None
    """How far this machine's clock is ahead of the receiver's, to the second; none where it does not say."""


def probe(settings: otlp.Settings) -> Answer:
    """Send an empty request to an OTLP receiver that is set.

    Raises:
        UnavailableError: it cannot be reached, or refuses.
    """
    assert settings.endpoint is not None
    parts = urlsplit(settings.endpoint)
    assert parts.hostname is not None
    shown = masked(settings.endpoint)
    try:
        address = (parts.hostname, parts.port or _PORTS[parts.scheme])
        socket.create_connection(address, _TIMEOUT).close()
        return _over_grpc(settings) if settings.protocol == "grpc" else _over_http(settings.endpoint, address)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnavailableError(
            f"{shown}: not reachable ({reason}); start the receiver or change SPANWISE_ENDPOINT"
        ) from None


def probe_other(settings: Settings, name: str) -> Reply:
    """Send an empty request to a destination that is set and return what came of it.

    Raises:
        InputError: a key is not set.
        UnavailableError: the destination needs an extra.
    """
    from spanwise.destinations import factory  # noqa: PLC0415 - the HTTP client takes 60 ms to load

    with closing(factory.transport_of(settings, name)) as transport:
        return transport.send(b"")


def _over_http(endpoint: str, address: tuple[str, int]) -> Answer:
    began = time.perf_counter()
    with closing(_connection(endpoint, address)) as connection:
        path = urlsplit(otlp.traces_address(endpoint))
        target = path.path + (f"?{path.query}" if path.query else "")
        connection.request("POST", target, b"", {"content-type": "application/x-protobuf", **environment_headers()})
        response = connection.getresponse()
        response.read(_LONGEST_ANSWER)
    seconds = time.perf_counter() - began
    if response.status != HTTPStatus.OK:
        raise UnavailableError(_refusal(masked(endpoint), response.status))
    return Answer(seconds, _clock_ahead(response.getheader("date")))


def _connection(endpoint: str, address: tuple[str, int]) -> http.client.HTTPConnection:
    if not endpoint.startswith("https:"):
        return http.client.HTTPConnection(*address, timeout=_TIMEOUT)
    context = ssl.create_default_context(cafile=variable("CERTIFICATE") or None)
    return http.client.HTTPSConnection(*address, timeout=_TIMEOUT, context=context)


def _refusal(shown: str, status: int) -> str:
    remedies = {
        HTTPStatus.UNAUTHORIZED: f"the key is missing or wrong; set {_HEADERS}",
        HTTPStatus.FORBIDDEN: f"the key may not write; set {_HEADERS}",
        HTTPStatus.NOT_FOUND: "no OTLP receiver is at this path; give its base address",
        HTTPStatus.METHOD_NOT_ALLOWED: "no OTLP receiver is at this path; give its base address",
    }
    remedy = next((text for known, text in remedies.items() if known == status), "look at the receiver's log")
    return f"{shown}: refuses spans ({status}); {remedy}"


def _clock_ahead(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        return time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _over_grpc(settings: otlp.Settings) -> Answer:
    from spanwise.destinations.over_grpc import GrpcTransport  # noqa: PLC0415 - an extra

    assert settings.endpoint is not None
    with closing(GrpcTransport(settings.endpoint)) as transport:
        began = time.perf_counter()
        reply = transport.send(b"")
    if reply.verdict != "accepted":
        shown = masked(settings.endpoint)
        raise UnavailableError(f"{shown}: refuses spans over gRPC; look at the receiver's log")
    return Answer(time.perf_counter() - began, None)
