"""OTLP over HTTP, with the settings of OpenTelemetry's own exporter (headers, certificates, compression, time limit).

That exporter takes spans, keeps `Retry-After` and partial success to itself and drops what it gave up; here the journal
keeps it, so one request is one try.
"""

from __future__ import annotations

import gzip
import zlib
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Final

import requests
from urllib3.exceptions import ProtocolError

from spanwise.destinations.transport import (
    Reply,
    environment_headers,
    environment_timeout,
    read_partial,
    retry_after,
    variable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

for _late in ("encodings.idna", "netrc"):
    import_module(_late)  # the first request would, in the sender's thread: a fork amid an import would hang the child

REFUSED: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)
"""Statuses that say that the spans are at fault."""
LATER: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Statuses that OTLP says may be retried: the spans are not at fault."""
_REMEDIES: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "the key is missing or wrong",
    HTTPStatus.FORBIDDEN: "the key may not write there",
    HTTPStatus.NOT_FOUND: "no OTLP receiver is at this path",
    HTTPStatus.METHOD_NOT_ALLOWED: "no OTLP receiver is at this path",
}
_PROTOBUF: Final = "application/x-protobuf"
_COMPRESSIONS: Final[Mapping[str, Callable[[bytes], bytes]]] = {"gzip": gzip.compress, "deflate": zlib.compress}


class HttpTransport:
    """Posts to one address.

    Args:
        address: where to, path included.
        headers: sent besides those of OpenTelemetry's variables; none of these where it is given.
        timeout: seconds for each request; without it OpenTelemetry's variable, or 10.
    """

    def __init__(self, address: str, headers: Mapping[str, str] | None = None, timeout: float | None = None) -> None:
        self._address = address
        self._timeout = timeout or environment_timeout()
        self._session = requests.Session()
        self._session.headers.update(environment_headers() if headers is None else headers)
        self._session.headers["content-type"] = _PROTOBUF
        self._compress = _COMPRESSIONS.get(variable("COMPRESSION").lower())
        if self._compress is not None:
            self._session.headers["content-encoding"] = variable("COMPRESSION").lower()
        self._trust(variable("CERTIFICATE"), variable("CLIENT_CERTIFICATE"), variable("CLIENT_KEY"))

    def _trust(self, authority: str, certificate: str, key: str) -> None:
        if authority:
            self._session.verify = authority
        if certificate:
            self._session.cert = (certificate, key) if key else certificate

    def send(self, body: bytes) -> Reply:
        """Post a request, once more where a kept connection turns out to be closed."""
        body = body if self._compress is None else self._compress(body)
        try:
            try:
                answer = self._post(body)
            except requests.ConnectionError:
                answer = self._post(body)
        except (requests.RequestException, OSError) as error:
            return Reply("doubtful" if _is_broken_off(error) else "later", _cause(error))
        return _reply(answer)

    def _post(self, body: bytes) -> requests.Response:
        # A redirected POST becomes a GET, which looks as if it had been accepted.
        return self._session.post(self._address, body, timeout=self._timeout, allow_redirects=False)

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()


def _reply(answer: requests.Response) -> Reply:
    status = answer.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        is_protobuf = answer.headers.get("content-type", "").startswith(_PROTOBUF)
        return read_partial(answer.content) if is_protobuf else Reply("accepted")
    said = _REMEDIES.get(status) or answer.reason or ""
    reason = f"HTTP {status}{f': {said}' if said else ''}"
    if status in REFUSED:
        return Reply("refused", reason)
    return Reply("later" if status in LATER else "doubtful", reason, retry_after(answer.headers.get("retry-after")))


def _is_broken_off(error: Exception) -> bool:
    """Return whether the receiver had the request, and gave no answer: a span may be too much for it."""
    if isinstance(error, requests.ReadTimeout | requests.exceptions.ChunkedEncodingError):
        return True
    return isinstance(error, requests.ConnectionError) and any(isinstance(one, ProtocolError) for one in error.args)


def _cause(error: Exception) -> str:
    """Return the innermost reason of a failed request: what is around it repeats the address, secrets and all."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return f"not reachable ({type(error).__name__})"
