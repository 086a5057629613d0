"""Whether an OTLP receiver takes spans: it is sent an empty request, which every receiver accepts and none stores."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import ssl
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.util.re import parse_env_headers

from spanwise.config.settings import masked
from spanwise.destinations import otlp
from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Generator

    from spanwise.config.settings import Settings

_TIMEOUT: Final = 3.0
_PORTS: Final = {"http": 80, "https": 443}
_HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
_TRACES_HEADERS: Final = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
_CERTIFICATE: Final = "OTEL_EXPORTER_OTLP_CERTIFICATE"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said."""

    seconds: float
    """How long the request took."""
    clock_ahead: float | None
    """How far this machine's clock is ahead of the receiver's, to the second; none where it does not say."""


def probe(settings: Settings) -> Answer:
    """Send an empty request to the configured endpoint.

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


def _over_http(endpoint: str, address: tuple[str, int]) -> Answer:
    began = time.perf_counter()
    with closing(_connection(endpoint, address)) as connection:
        path = urlsplit(otlp.traces_address(endpoint))
        target = path.path + (f"?{path.query}" if path.query else "")
        connection.request("POST", target, b"", {"content-type": "application/x-protobuf", **_headers()})
        response = connection.getresponse()
        response.read()
    seconds = time.perf_counter() - began
    if response.status != HTTPStatus.OK:
        raise UnavailableError(_refusal(masked(endpoint), response.status))
    return Answer(seconds, _clock_ahead(response.getheader("date")))


def _connection(endpoint: str, address: tuple[str, int]) -> http.client.HTTPConnection:
    if not endpoint.startswith("https:"):
        return http.client.HTTPConnection(*address, timeout=_TIMEOUT)
    context = ssl.create_default_context(cafile=os.environ.get(_CERTIFICATE) or None)
    return http.client.HTTPSConnection(*address, timeout=_TIMEOUT, context=context)


def _headers() -> dict[str, str]:
    text = os.environ.get(_TRACES_HEADERS) or os.environ.get(_HEADERS, "")
    return dict(parse_env_headers(text, liberal=True))


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
    except ValueError:
        return None


def _over_grpc(settings: Settings) -> Answer:
    exporter = otlp.exporter_for(settings)
    began = time.perf_counter()
    with _quiet("opentelemetry.exporter.otlp.proto.grpc.exporter"):
        accepted = exporter.export(()) is SpanExportResult.SUCCESS
        exporter.shutdown()
    if not accepted:
        shown = masked(settings.endpoint or "")
        raise UnavailableError(f"{shown}: refuses spans over gRPC; look at the receiver's log")
    return Answer(time.perf_counter() - began, None)


@contextmanager
def _quiet(name: str) -> Generator[None]:
    """Keep an exporter's log off standard error: what it says is in our answer."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
