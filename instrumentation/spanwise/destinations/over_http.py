"""OTLP over HTTP, with the settings of OpenTelemetry's own exporter (headers, certificates, compression, time limit).

That exporter takes spans, keeps `Retry-After` and partial success to itself and drops what it gave up; here the journal
keeps it, so one request is one try.
"""

from __future__ import annotations

import gzip
import io
import os
import time
import zlib
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPResponse
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from spanwise.destinations.transport import (
    Reply,
    environment_headers,
    environment_timeout,
    read_partial,
    retry_after,
    variable,
)

if TYPE_CHECKING:
    import socket
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
LONGEST_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read, and that it may have once it is decompressed."""
_PROTOBUF: Final = "application/x-protobuf"
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_ANY_HEADER: Final = 32 + zlib.MAX_WBITS
_COMPRESSIONS: Final[Mapping[str, Callable[[bytes], bytes]]] = {"gzip": gzip.compress, "deflate": zlib.compress}


class HttpTransport:
    """Posts to one address.

    Nothing that a receiver answers is trusted: its answer is read up to `LONGEST_ANSWER` bytes and within the time
    limit of the request, its cookies are not kept, and its redirects are not followed. Nothing is taken from the
    surroundings in place of what was set: no `.netrc`, and no bundle of certificates beside one that is named.

    Args:
        address: where to, path included.
        headers: sent besides those of OpenTelemetry's variables; none of these where it is given.
        timeout: seconds for each request; without it OpenTelemetry's variable, or 10.
    """

    def __init__(self, address: str, headers: Mapping[str, str] | None = None, timeout: float | None = None) -> None:
        self._address = address
        self._timeout = timeout or environment_timeout()
        self._headers = {"accept-encoding": "identity", **(environment_headers() if headers is None else headers)}
        self._headers["content-type"] = _PROTOBUF
        self._compress = _COMPRESSIONS.get(variable("COMPRESSION").lower())
        if self._compress is not None:
            self._headers["content-encoding"] = variable("COMPRESSION").lower()
        certificate, key = variable("CLIENT_CERTIFICATE"), variable("CLIENT_KEY")
        self._certificate = (certificate, key) if certificate and key else certificate or None
        bundles = (variable("CERTIFICATE"), *(os.environ.get(name, "") for name in _BUNDLES))
        self.verify = next((path for path in bundles if path), True)
        """What the receiver's certificate is checked against: a file, or the usual authorities."""
        self._adapter = _Adapter()

    def send(self, body: bytes) -> Reply:
        """Post a request, once more where a kept connection turns out to be closed."""
        body = body if self._compress is None else self._compress(body)
        try:
            try:
                answer = self._post(body)
            except requests.ConnectionError:
                answer = self._post(body)
            with closing(answer):
                return _reply(answer, _read(answer))
        except (requests.RequestException, HTTPError, OSError) as error:
            return Reply("doubtful" if _is_broken_off(error) else "later", _cause(error))

    def _post(self, body: bytes) -> requests.Response:
        # Not with a session: it keeps cookies, reads `.netrc`, prefers REQUESTS_CA_BUNDLE to what is given, and reads
        # the whole answer of a redirect, which is none of ours: a redirected POST becomes a GET.
        asked = requests.Request("POST", self._address, headers=self._headers, data=body)
        if any(name.lower() == "authorization" for name in self._headers):
            asked.auth = _as_it_is  # else user and password in the address would replace the header
        return self._adapter.send(
            asked.prepare(), stream=True, timeout=self._timeout, verify=self.verify, cert=self._certificate,
            proxies=requests.utils.get_environ_proxies(self._address),
        )  # fmt: skip

    def close(self) -> None:
        """Close the kept connections."""
        self._adapter.close()


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _TimedReader(io.RawIOBase):
    """Reads from a socket until a moment: the time limit of a socket is for each of its reads, not for all of them."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._raw = sock.makefile("rb", buffering=0)
        limit = sock.gettimeout()
        self._until = None if limit is None else time.monotonic() + limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(sock))


class _HttpConnection(HTTPConnection):
    response_class = _Response


class _HttpsConnection(HTTPSConnection):
    response_class = _Response


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = cast("Any", _HttpConnection)


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = cast("Any", _HttpsConnection)


_POOLS: Final[dict[str, Any]] = {"http": _HttpPool, "https": _HttpsPool}


class _Adapter(HTTPAdapter):
    """Connections whose answers have the time limit as a whole."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager: Any = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _read(answer: requests.Response) -> bytes:
    """Return the body of an answer; nothing of one that is too long or too slow, whose status counts alone."""
    raw = answer.raw
    try:
        body: bytes = raw.read(LONGEST_ANSWER + 1, decode_content=False)
        encoding = answer.headers.get("content-encoding", "").lower()
        if encoding in {"gzip", "deflate"}:
            body = zlib.decompressobj(_ANY_HEADER).decompress(body, LONGEST_ANSWER + 1)
    except (ReadTimeoutError, zlib.error):
        return b""
    return body if len(body) <= LONGEST_ANSWER else b""


def _reply(answer: requests.Response, body: bytes) -> Reply:
    status = answer.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        is_protobuf = answer.headers.get("content-type", "").startswith(_PROTOBUF)
        return read_partial(body) if is_protobuf else Reply("accepted")
    said = _REMEDIES.get(status) or answer.reason or ""
    reason = f"HTTP {status}{f': {said}' if said else ''}"
    if status in REFUSED:
        return Reply("refused", reason)
    return Reply("later" if status in LATER else "doubtful", reason, retry_after(answer.headers.get("retry-after")))


def _is_broken_off(error: Exception) -> bool:
    """Return whether the receiver had the request, and gave no answer: a span may be too much for it."""
    if isinstance(error, requests.ReadTimeout | HTTPError):
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
