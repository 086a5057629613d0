"""Bytes of a file, of standard input or of an answer: unpacked, as UTF-8, and in lines with an upper bound on each.

Compression and encoding are recognised by the first bytes, never by a file's name, and compression may be nested. A
compressed file that is cut off or damaged is read up to that place, and one line says so. Whatever else a decompressor
or a disk raises becomes one `InputError` that names the source. A line or a document over 256 MiB is refused as soon
as that much of it was read: no trace has one, and a wrong file must not fill the memory.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
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
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

    from spanwise.journal.reader import ReadReport

    Stream: TypeAlias = "io.BufferedReader[_Guarded]"

LONGEST: Final = 256 << 20
"""Bytes of the longest line, message or document."""
STDIN: Final = "-"
CUT_OFF: Final = "compressed file(s) damaged or cut off; what is whole before that place was read"
_HEAD: Final = 8
_LAYERS: Final = 3
_BLOCK: Final = 1 << 20
_BROKEN: Final = (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError, lzma.LZMAError)
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Without a mark, the zeros between the first ASCII characters tell the encoding. Eight bytes are looked at, because the
# length before a binary message may have zeros too, but the message after it begins with none.
_ZEROS: Final[dict[tuple[int, ...], str]] = {
    (1, 0, 1, 0) * 2: "utf-16-le",
    (0, 1, 0, 1) * 2: "utf-16-be",
    (1, 0, 0, 0) * 2: "utf-32-le",
    (0, 0, 0, 1) * 2: "utf-32-be",
}


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class _Guarded(io.RawIOBase):
    """Reads `inner`; what goes wrong there becomes an `InputError` about `name`, or the end of what can be read."""

    def __init__(self, inner: _Readable, name: str, below: Stream | None, report: ReadReport | None) -> None:
        super().__init__()
        self._inner, self._name, self._below, self._report = inner, name, below, report
        # `read` of a decompressor discards what it has when it meets the damage after it; `read1` returns it first.
        self._read: Callable[[int], bytes] = getattr(inner, "read1", inner.read)
        self._given = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            read = self._read(len(memoryview(buffer)))
        except _BROKEN as error:
            self._break_off(error)
            return 0
        except UnicodeError as error:
            raise InputError(f"{self._name}: its text is damaged ({error}); save it as UTF-8") from None
        except OSError as error:
            if self._below is not None:  # bz2 says so of damaged data
                self._break_off(error)
                return 0
            raise InputError(f"{self._name}: cannot be read ({error.strerror or error}); check it") from None
        self._given = self._given or bool(read)
        memoryview(buffer)[: len(read)] = read
        return len(read)

    def _break_off(self, error: Exception) -> None:
        """End the stream here; raises `InputError` where nothing was read before."""
        if not self._given or self._report is None:
            raise InputError(f"{self._name}: compressed data is damaged or cut off ({error}); get it anew") from None
        self._report.note(CUT_OFF)
        self._read = _nothing

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            if self._below is not None:  # a decompressor leaves open what it reads from
                self._below.close()
        super().close()


def _nothing(_size: int) -> bytes:
    return b""


class _Recoded:
    """Reads text in another encoding as UTF-8."""

    def __init__(self, inner: Stream, encoding: str) -> None:
        self._inner = inner
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")

    def read(self, size: int, /) -> bytes:
        while block := self._inner.read1(max(4, size // 4)):
            if text := self._decoder.decode(block):
                return text.encode("utf-8", "replace")
        return self._decoder.decode(b"", final=True).encode("utf-8", "replace")

    def close(self) -> None:
        self._inner.close()


def open_stream(source: str | Path, report: ReadReport | None = None) -> Stream:
    """Return what `source` (a path, or `-` for standard input) holds, unpacked.

    Args:
        source: The path.
        report: Where a damaged or cut-off end is noted; without one, it is an error.

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    if str(source) == STDIN:
        return unpacked(sys.stdin.buffer, "standard input", report)
    path = Path(source)
    try:
        return unpacked(path.open("rb"), str(path), report)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of a recorded trace") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def unpacked(raw: IO[bytes], name: str, report: ReadReport | None = None) -> Stream:
    """Return the bytes of `raw`, decompressed as often as they are compressed, and text as UTF-8.

    Args:
        raw: The bytes.
        name: The source, for errors.
        report: As in `open_stream`.
    """
    stream = _buffered(raw, name, None, report)
    try:
        for _ in range(_LAYERS):
            unpacker = next((unpack for sign, unpack in _UNPACKERS if stream.peek(_HEAD).startswith(sign)), None)
            if unpacker is None:
                break
            stream = _buffered(unpacker(stream), name, stream, report)
        if encoding := _encoding_of(stream.peek(_HEAD)[:_HEAD]):
            stream = _buffered(_Recoded(stream, encoding), name, None, report)
    except InputError:
        stream.close()
        raise
    return stream


_UNPACKERS: Final[tuple[tuple[bytes, Callable[[Stream], _Readable]], ...]] = (
    (b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream)),
    (b"\x28\xb5\x2f\xfd", zstd.ZstdFile),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)
"""By the first bytes."""


def _encoding_of(head: bytes) -> str | None:
    """Return the encoding of text that is not plain UTF-8; None for UTF-8 and for what is no text."""
    if marked := next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None):
        return marked
    return _ZEROS.get(tuple(min(byte, 1) for byte in head))


def _buffered(raw: _Readable, name: str, below: Stream | None, report: ReadReport | None) -> Stream:
    return io.BufferedReader(_Guarded(raw, name, below, report), _BLOCK)


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
                refuse_long(size + end - start, f"{name}:{number}: the line", longest)
            yield b"".join((*pending, block[start:end])) if pending else block[start:end]
            pending, size, start, number = [], 0, end, number + 1
        if start < len(block):
            pending.append(block[start:])
            size += len(block) - start
            refuse_long(size, f"{name}:{number}: the line", longest)
    if pending:
        yield b"".join(pending)


def whole(stream: IO[bytes], name: str, longest: int = LONGEST) -> bytes:
    """Return all of `stream`.

    Raises:
        InputError: it is longer than `longest` bytes; no more than that was read.
    """
    content = stream.read(longest + 1)
    refuse_long(len(content), f"{name}: the document", longest)
    return content


def unpack_message(message: bytes, name: str, longest: int = LONGEST) -> bytes:
    """Return one message, decompressed where it is compressed."""
    if not any(message.startswith(sign) for sign, _ in _UNPACKERS):
        return message
    with unpacked(io.BytesIO(message), name) as stream:
        return whole(stream, name, longest)


def refuse_long(size: int, what: str, longest: int = LONGEST) -> None:
    """Raise `InputError` where `what` is longer than any trace."""
    if size > longest:
        limit = f"{longest >> 20} MiB" if longest >= 1 << 20 else f"{longest} bytes"
        raise InputError(f"{what} is over {limit}, which no trace has; give a file of OTLP/JSON lines")
