"""OTLP over gRPC on bytes that are encoded already, with the settings of OpenTelemetry's own exporter."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from spanwise.destinations.transport import (
    LONGEST_RETRY_AFTER,
    Reply,
    environment_headers,
    environment_timeout,
    read_partial,
    variable,
)
from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_DETAILS: Final = "grpc-status-details-bin"
# Pauses are `Delivery`'s: of its own, a channel would not even look for two minutes whether the receiver is back.
_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 64 * 1024),
)
_REFUSED: Final = frozenset({"INVALID_ARGUMENT"})
_LATER: Final = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"})
"""What is not the spans' fault; whatever else fails may be, a deadline included."""


class GrpcTransport:
    """Calls the trace service at one address; everything that it needs is imported when it is made.

    Raises:
        UnavailableError: the extra `grpc` is not installed, or a certificate cannot be read.
    """

    def __init__(self, endpoint: str) -> None:
        try:
            grpc: Any = import_module("grpc")
            self._details: Any = import_module("google.rpc.error_details_pb2")
            self._status: Any = import_module("google.rpc.status_pb2")
            self._undecodable: type[Exception] = import_module("google.protobuf.message").DecodeError
        except ImportError:
            raise UnavailableError("protocol grpc needs an extra: pip install 'spanwise[grpc]'") from None
        self._error: type[Exception] = grpc.RpcError
        self._timeout = environment_timeout()
        self._metadata = tuple(environment_headers().items())
        gzip = variable("COMPRESSION").lower() == "gzip"
        compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
        parts = urlsplit(endpoint)
        about = {"target": parts.netloc or endpoint, "compression": compression, "options": _OPTIONS}
        insecure = variable("INSECURE").lower() == "true" or (parts.scheme == "http" and not variable("INSECURE"))
        if insecure and parts.scheme != "https":
            self._open: Callable[[], Any] = partial(grpc.insecure_channel, **about)
        else:
            self._open = partial(grpc.secure_channel, credentials=_credentials(grpc), **about)
        self._channel: Any = None
        self._closed = False

    def send(self, body: bytes) -> Reply:
        """Call `Export` once. The channel is opened with the first call: a forked child makes a transport at once."""
        if self._closed:
            return Reply("later", "the connection was closed")
        if self._channel is None:
            self._channel = self._open()
        try:
            export = self._channel.unary_unary(_METHOD)
            return read_partial(export(body, timeout=self._timeout, metadata=self._metadata))
        except self._error as error:
            return self._reply(error)
        except ValueError:  # what grpc raises on a channel that was closed
            return Reply("later", "the connection was closed")

    def close(self) -> None:
        """End a call under way and close the channel."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()

    def _reply(self, error: Any) -> Reply:
        code, said = error.code().name, error.details() or ""
        reason = f"gRPC {code}{f': {said}' if said else ''}"
        pause = self._retry_delay(error.trailing_metadata() or ())
        # Too large a request has the code of an overloaded receiver, and only its text tells them apart.
        if code in _REFUSED or (code == "RESOURCE_EXHAUSTED" and pause is None and "larger than max" in said):
            return Reply("refused", reason)
        return Reply("later" if code in _LATER else "doubtful", reason, pause)

    def _retry_delay(self, metadata: Iterable[tuple[str, Any]]) -> float | None:
        """Return the seconds that a RetryInfo among the details of a status asks for."""
        encoded = next((value for key, value in metadata if key == _DETAILS), b"")
        try:
            for detail in self._status.Status.FromString(encoded).details:
                info = self._details.RetryInfo()
                if detail.Unpack(info):
                    seconds = float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
                    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)
        except (self._undecodable, ValueError):
            return None
        return None


def _credentials(grpc: Any) -> Any:
    files = [variable(name) for name in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")]
    try:
        return grpc.ssl_channel_credentials(*[Path(name).read_bytes() if name else None for name in files])
    except OSError as error:
        raise UnavailableError(f"{error.filename}: cannot be read ({error.strerror}); name another file") from None
