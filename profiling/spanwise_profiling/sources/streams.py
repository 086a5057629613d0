"""Bytes of a file, of standard input or of an answer, unpacked and in lines, with an upper bound on each.

Compression is seen by its first bytes, never by a file's name, and may be nested. Whatever a decompressor or a disk
raises becomes one `InputError` that names the source. A line or a document over 256 MiB is refused as soon as that
much of it was read: nobody's trace has one, and a wrong file must not fill the memory.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol, TypeAlias

from spanwise.errors import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed import WriteableBuffer

    Stream: TypeAlias = "io.BufferedReader[_Guarded]"

LONGEST: Final = 256 << 20
"""Bytes of the longest line, message or document."""
STDIN: Final = "-"
GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
_LAYERS: Final = 3
_BLOCK: Final = 1 << 20
_BROKEN: Final = (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class _Guarded(io.RawIOBase):
    """Reads `inner`; what goes wrong there becomes an `InputError` about `name`."""

    def __init__(self, inner: _Readable, name: str, below: Stream | None) -> None:
        super().__init__()
        self._inner, self._name, self._below = inner, name, below

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            read = self._inner.read(len(memoryview(buffer)))
        except _BROKEN as error:
            raise InputError(f"{self._name}: compressed data is damaged or cut off ({error}); get it anew") from None
        except OSError as error:
            raise InputError(f"{self._name}: cannot be read ({error.strerror or error}); check it") from None
        memoryview(buffer)[: len(read)] = read
        return len(read)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            if self._below is not None:  # a decompressor leaves open what it reads from
                self._below.close()
        super().close()


def open_stream(source: str | Path) -> Stream:
    """Return what `source` (a path, or `-` for standard input) holds, unpacked.

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    if str(source) == STDIN:
        return unpacked(sys.stdin.buffer, "standard input")
    path = Path(source)
    try:
        return unpacked(path.open("rb"), str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of a recorded trace") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def unpacked(raw: IO[bytes], name: str) -> Stream:
    """Return the bytes of `raw`, decompressed as often as they are compressed; `name` is for errors."""
    stream = _buffered(raw, name)
    try:
        for _ in range(_LAYERS):
            head = stream.peek(len(ZSTD))
            if head.startswith(GZIP):
                stream = _buffered(gzip.GzipFile(fileobj=stream), name, stream)
            elif head.startswith(ZSTD):
                stream = _buffered(zstd.ZstdFile(stream), name, stream)
            else:
                break
    except InputError:
        stream.close()
        raise
    return stream


def _buffered(raw: _Readable, name: str, below: Stream | None = None) -> Stream:
    return io.BufferedReader(_Guarded(raw, name, below), _BLOCK)


def lines(stream: IO[bytes], name: str, longest: int = LONGEST) -> Iterator[bytes]:
    r"""Yield the lines of `stream` with their `\n`, which only the last one may lack.

    Raises:
        InputError: a line is longer than `longest` bytes; no more than that of it was read.
    """
    pending: list[bytes] = []
    size, number = 0, 1
    while block := stream.read(_BLOCK):
        start = 0
        while end := block.find(b"\n", start) + 1:
            if size + end - start > longest:
                _refuse_long(size + end - start, longest, f"{name}:{number}: the line")
            yield b"".join((*pending, block[start:end])) if pending else block[start:end]
            pending, size, start, number = [], 0, end, number + 1
        if start < len(block):
            pending.append(block[start:])
            size += len(block) - start
            _refuse_long(size, longest, f"{name}:{number}: the line")
    if pending:
        yield b"".join(pending)


def bounded(parts: Iterable[bytes], name: str, longest: int = LONGEST) -> Iterator[bytes]:
    """Yield `parts`, which together make one document.

    Raises:
        InputError: they are longer than `longest` bytes together.
    """
    size = 0
    for part in parts:
        size += len(part)
        _refuse_long(size, longest, f"{name}: the document")
        yield part


def whole(stream: IO[bytes], name: str, longest: int = LONGEST) -> bytes:
    """Return all of `stream`.

    Raises:
        InputError: it is longer than `longest` bytes; no more than that was read.
    """
    content = stream.read(longest + 1)
    _refuse_long(len(content), longest, f"{name}: the document")
    return content


def unpack_message(message: bytes, name: str, longest: int = LONGEST) -> bytes:
    """Return one message, decompressed where it is compressed."""
    if not message.startswith((GZIP, ZSTD)):
        return message
    with unpacked(io.BytesIO(message), name) as stream:
        return whole(stream, name, longest)


def _refuse_long(size: int, longest: int, what: str) -> None:
    if size > longest:
        limit = f"{longest >> 20} MiB" if longest >= 1 << 20 else f"{longest} bytes"
        raise InputError(f"{what} is over {limit}, which no trace has; give a file of OTLP/JSON lines")
