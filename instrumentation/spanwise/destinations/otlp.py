"""An OTLP receiver, such as OpenTelemetry's collector: its settings, and the way there over HTTP or gRPC."""

# No `from __future__ import annotations`: a setting is what its annotation says, so the annotations are evaluated.

from typing import TYPE_CHECKING, Annotated, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from spanwise.config import declaration as d
from spanwise.config.declaration import OtelVariable, Setting
from spanwise.config.settings import masked
from spanwise.content.policy import SAME
from spanwise.destinations.destination import Content, Destination, Drop, Waits

if TYPE_CHECKING:
    from spanwise.destinations.transport import Transport

NAME: Final = "otlp"


class Settings(NamedTuple):
    """What the OTLP receiver is sent, and how."""

    endpoint: Annotated[
        str | None,
        Setting(
            d.address,
            "an address such as http://127.0.0.1:4318",
            "OTLP receiver to send to; over HTTP, `/v1/traces` is added unless the address ends so or comes from "
            "`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`",
            (
                OtelVariable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", parse=d.exact_address),
                OtelVariable("OTEL_EXPORTER_OTLP_ENDPOINT"),
            ),
            short="endpoint",
        ),
    ] = None
    protocol: Annotated[
        str,
        Setting(
            d.one_of("http/protobuf", "grpc"),
            "http/protobuf or grpc",
            "or `grpc`, which needs the extra of that name",
            (OtelVariable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), OtelVariable("OTEL_EXPORTER_OTLP_PROTOCOL")),
            short="protocol",
        ),
    ] = "http/protobuf"
    content: Content = SAME
    drop: Drop = ()
    waits: Waits = True


def traces_address(endpoint: str) -> str:
    """Return where spans are posted to: `/v1/traces` is added unless the endpoint ends so or is an `ExactAddress`."""
    if isinstance(endpoint, d.ExactAddress):
        return endpoint
    parts = urlsplit(endpoint)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith("/v1/traces") else f"{path}/v1/traces"))


def _is_set(settings: Settings) -> bool:
    return bool(settings.endpoint)


def _connect(settings: Settings) -> "Transport":
    endpoint = settings.endpoint or ""
    if settings.protocol == "grpc":
        from spanwise.destinations.over_grpc import GrpcTransport  # noqa: PLC0415 - an extra

        return GrpcTransport(endpoint)
    from spanwise.destinations.over_http import HttpTransport  # noqa: PLC0415 - the HTTP client takes 60 ms to load

    return HttpTransport(traces_address(endpoint))


def _shown(settings: Settings) -> str:
    return masked(settings.endpoint or "")


DESTINATION: Final = Destination[Settings](
    is_set=_is_set,
    connect=_connect,
    shown=_shown,
    unset="no endpoint is set; set SPANWISE_ENDPOINT, such as http://127.0.0.1:4318",
    remedy="start the receiver, or mend SPANWISE_ENDPOINT",
)
