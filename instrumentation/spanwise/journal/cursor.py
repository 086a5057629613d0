"""How far a destination has come with one stream: a small file that also says who is working on it.

`cursors/<destination>/<stream>.json` is written in place, in one block that it has from the beginning, so that a full
disk takes it, too; a checksum tells a half-read one. Its flock belongs to the process that sends. That there is one
says that the stream is meant for the destination: what was recorded without it is not sent by itself.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from spanwise.errors import InputError
from spanwise.journal.folder import open_or_create
from spanwise.journal.format import Position
from spanwise.process import own_threads

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = "cursors"
_SUFFIX: Final = ".json"
_FORMAT: Final = 1
_BLOCK: Final = 1024
_LONGEST_PROBLEM: Final = 120  # four bytes each, in a block
_TRIES: Final = 20
_AGAIN: Final = 0.001


@dataclass(frozen=True, slots=True)
class CursorState:
    """Where a destination stands with a stream; numbers of spans."""

    sequence: int = 1
    """The segment, from 1."""
    offset: int = 0
    """Into the uncompressed segment: all before it is settled."""
    skip: int = 0
    """How many spans behind that place are settled, too."""
    delivered: int = 0
    set_aside: int = 0
    filtered: int = 0
    expired: int = 0
    done: bool = False
    """Whether the stream's process ended and all that it wrote is settled."""
    problem: str = ""
    """Why the last request failed, or spans were set aside; empty while all goes well."""

    @property
    def position(self) -> Position:
        """The place in the stream."""
        return Position(self.sequence, self.offset)

    @property
    def settled(self) -> int:
        """How many of the stream's spans are not pending any more."""
        return self.delivered + self.set_aside + self.filtered + self.expired


_open: set[Cursor] = set()


class Cursor:
    """The cursor of one stream, held by this process until `close`; used by one thread at a time."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor
        self.state = _read(descriptor) or CursorState()
        _open.add(self)

    @property
    def stream(self) -> str:
        """The stream that it is about."""
        return self._path.name.removesuffix(_SUFFIX)

    def save(self, **changes: Any) -> None:
        """Take `changes` of the state's fields over and write them; what the disk does not take is kept in memory."""
        if "problem" in changes:
            said = str(changes["problem"])[:_LONGEST_PROBLEM]
            changes["problem"] = said.encode("utf-8", "replace").decode()
        self.state = replace(self.state, **changes)
        if self._descriptor is not None:
            with suppress(OSError):  # a cursor that lags costs a second delivery, and the next save may succeed
                os.pwrite(self._descriptor, _encoded(self.state), 0)

    def close(self) -> None:
        """Let another process go on."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _open.discard(self)
            os.close(descriptor)


def open_cursor(folder: Path, destination: str, stream: str, *, make: bool = True) -> Cursor | None:
    """Return the cursor of `stream`, or none where another process holds it.

    Args:
        folder: the journal.
        destination: its name.
        stream: the stream's name.
        make: whether one is made where there is none; else that is none, too.

    Raises:
        OSError: it can be neither read nor made.
        InputError: a newer version wrote it.
    """
    path = folder / FOLDER / destination / f"{stream}{_SUFFIX}"
    if make:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        if make:
            descriptor = open_or_create(path, os.O_RDWR)
        else:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        if make:
            raise
        return None
    try:
        return _held(path, descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def _held(path: Path, descriptor: int) -> Cursor | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EAGAIN, errno.EACCES}:
            raise
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_size < _BLOCK:
        os.pwrite(descriptor, _encoded(CursorState()), 0)
    elif _format(os.pread(descriptor, _BLOCK, 0)) > _FORMAT:
        raise InputError(f"{path}: a newer version of spanwise wrote it; use that one, or purge the run")
    return Cursor(path, descriptor)


def _format(content: bytes) -> int:
    try:
        return int(json.loads(content)["cursor"]["format"])
    except (ValueError, KeyError, TypeError):
        return 0


def read_all(folder: Path) -> dict[str, dict[str, CursorState]]:
    """Return all cursors of a journal: destination to stream to state. What cannot be read is left out."""
    found: dict[str, dict[str, CursorState]] = {}
    for path in sorted((folder / FOLDER).glob(f"*/*{_SUFFIX}")):
        state = read(path)
        if state is not None:
            found.setdefault(path.parent.name, {})[path.name.removesuffix(_SUFFIX)] = state
    return found


def streams(folder: Path, destination: str) -> list[str]:
    """Return the streams that are meant for `destination`, by name."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in (folder / FOLDER / destination).glob(f"*{_SUFFIX}"))


def read(path: Path) -> CursorState | None:
    """Return what a cursor file says; none where it is gone or damaged."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        for _ in range(_TRIES):  # its owner may be writing it at this moment
            state = _read(descriptor)
            if state is not None:
                return state
            own_threads.sleep(_AGAIN)
        return None
    finally:
        os.close(descriptor)


def _encoded(state: CursorState) -> bytes:
    text = _compact({"format": _FORMAT, **asdict(state)})
    return (b'{"crc":%d,"cursor":%b}' % (zlib.crc32(text), text)).ljust(_BLOCK - 1) + b"\n"


def _compact(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _read(descriptor: int) -> CursorState | None:
    try:
        content = os.pread(descriptor, _BLOCK, 0)
        document: dict[str, Any] = json.loads(content)
        about: dict[str, Any] = document["cursor"]
        if zlib.crc32(_compact(about)) != document["crc"] or about.pop("format") > _FORMAT:
            return None
        return CursorState(**about)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _let_go() -> None:
    """Close the parent's cursors in a forked child: their locks are the parent's."""
    for cursor in list(_open):
        cursor.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
