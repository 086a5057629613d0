"""The files in a zip or tar archive, each as a stream of its own. Nothing is written to disk."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import IO, TYPE_CHECKING, Final

from spanwise.errors import InputError
from spanwise_profiling.sources import streams

if TYPE_CHECKING:
    from collections.abc import Iterator

ZIP: Final = b"PK\x03\x04"
_EMPTY_ZIP: Final = b"PK\x05\x06"
_TAR: Final = slice(257, 262)
HEAD: Final = 262
"""Bytes by which an archive is recognised."""
_MOST_FILES: Final = 10_000
_HIDDEN: Final = (".", "__MACOSX/")
_BROKEN: Final = (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, RuntimeError, EOFError, OSError)


def is_archive(head: bytes) -> bool:
    """Return whether `head`, the first `HEAD` bytes of a file, begins an archive."""
    return head.startswith((ZIP, _EMPTY_ZIP)) or head[_TAR] == b"ustar"


def files(stream: streams.Stream, name: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name and the content of each file of an archive; hidden ones are left out.

    Raises:
        InputError: it is damaged, encrypted, larger than 256 MiB (a zip), or has over 10,000 files.
    """
    is_zip = stream.peek(len(ZIP))[: len(ZIP)] in (ZIP, _EMPTY_ZIP)
    try:
        for number, (member, content) in enumerate(_of_zip(stream, name) if is_zip else _of_tar(stream), start=1):
            if number > _MOST_FILES:
                raise InputError(f"{name}: has over {_MOST_FILES:,} files; give the ones that hold traces")
            if not member.startswith(_HIDDEN) and "/." not in member:
                yield member, content
    except _BROKEN as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: cannot be unpacked ({error}); unpack it and give the files") from None


def _of_zip(stream: streams.Stream, name: str) -> Iterator[tuple[str, IO[bytes]]]:
    # Its table of contents stands at the end, and standard input cannot be read from there.
    with zipfile.ZipFile(io.BytesIO(streams.whole(stream, name))) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as content:
                    yield member.filename, content


def _of_tar(stream: streams.Stream) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if member.isfile() and (content := archive.extractfile(member)) is not None:
                yield member.name, content
