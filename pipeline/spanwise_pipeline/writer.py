"""A write-behind writer: writes are batched, and what was reported as done survives `kill -9`.

    async with Writer(folder) as writer:
        receipt = await writer.write("matches/17.json", document)   # queued; waits only where the queue is full
        ...
        await receipt                                               # done: it is on disk

Each batch is one append to a log (`writes.log`) and one fsync. Then the files are changed, and the receipts are given.
Opening a folder whose log is not empty carries out what is in it, so that a crash between the append and the change of
a file loses nothing. A record is its length, its CRC-32 and its JSON; a torn end is what no receipt was given for.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import struct
import zlib
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, cast

import spanwise
from spanwise import conventions as c
from spanwise.errors import UnavailableError
from spanwise_pipeline.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from types import TracebackType

LOG: Final = "writes.log"
_HEAD: Final = struct.Struct("!II")
_LARGEST: Final = 1 << 30
"""A length above it is no record's, but the torn end of a log."""


class WriteError(UnavailableError):
    """A write could not be carried out; names the file and the remedy. It was not reported as done."""


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """A reading of a `Writer`."""

    queued: int
    queued_bytes: int
    written: int
    """Writes that were reported as done."""
    batches: int
    waits: int
    """Writes that had to wait because the queue was full."""
    replayed: int
    """Writes that were carried out at opening, because a process had ended before them."""


@dataclass(slots=True)
class _Write:
    record: dict[str, Any]
    payload: bytes
    receipt: asyncio.Future[None]
    waiter: contextvars.Context | None = None
    """Of whoever waits for it."""


class Receipt:
    """Awaiting it waits until the write is on disk; it raises `WriteError` where that failed."""

    def __init__(self, path: str, write: _Write) -> None:
        self.path = path
        self._write = write

    def done(self) -> bool:
        """Return whether the write is on disk."""
        done = self._write.receipt
        return done.done() and not done.cancelled() and done.exception() is None

    def __await__(self) -> Generator[Any, None, None]:
        """Wait until the write is on disk."""
        done = self._write.receipt
        if done.done():
            return done.result()
        self._write.waiter = contextvars.copy_context()
        with spanwise.waiting("queue", "writer"):
            yield from asyncio.shield(done).__await__()
        return None


class Writer:
    """Batches writes to the files of a folder; leaving the block writes all of them.

    Args:
        folder: where the files and the log are; it is made where there is none. One writer at a time.
        most: a batch has at most so many writes.
        most_bytes: and about so many bytes.
        interval: system seconds that the first write of a batch waits for others.
        queue: at most so many writes wait; who comes then waits, and the wait is recorded.
        clock: system time.
        append_seconds: system seconds that an append takes at least, for storage that is simulated.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        most: int = 100,
        most_bytes: int = 1 << 20,
        interval: float = 0.05,
        queue: int = 1000,
        clock: Clock | None = None,
        append_seconds: float = 0.0,
    ) -> None:
        for name, value in (("most", most), ("most_bytes", most_bytes), ("queue", queue)):
            if value < 1:
                raise ValueError(f"writer: {name} must be at least 1, this is {value}")
        self._folder = Path(folder)
        self._most = most
        self._most_bytes = most_bytes
        self._interval = interval
        self._capacity = queue
        self._clock = clock or Clock()
        self._append_seconds = append_seconds
        self._queue: deque[_Write] = deque()
        self._queued_bytes = 0
        self._in_hand: list[_Write] = []
        self._room: deque[asyncio.Future[None]] = deque()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._log: _Log | None = None
        self._written = self._batches = self._waits = self._replayed = 0

    def __repr__(self) -> str:
        return f"<Writer {self._folder}: {len(self._queue)} queued, {self._written} written>"

    def statistics(self) -> WriterStatistics:
        """Return how the writer stands."""
        return WriterStatistics(
            len(self._queue), self._queued_bytes, self._written, self._batches, self._waits, self._replayed
        )

    async def write(self, path: str, document: object) -> Receipt:
        """Queue a file's new content: text as it is, anything else as JSON.

        Args:
            path: of the file, relative to the folder.
            document: replaces what the file held; the last one wins.

        Raises:
            ValueError: `path` leads out of the folder, or `document` is not JSON-able.
            WriteError: the writer is closed.
        """
        text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, indent=1) + "\n"
        return await self._put({"do": "write", "path": self._checked(path), "text": text})

    async def append(self, path: str, document: object) -> Receipt:
        """Queue a line for the end of a file: text as it is, anything else as one line of JSON; see `write`."""
        text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
        return await self._put({"do": "append", "path": self._checked(path), "text": text + "\n"})

    async def flush(self) -> None:
        """Wait until everything that is queued is on disk; raises the first `WriteError`."""
        self._hurry.set()
        waited_for = [*self._in_hand, *self._queue]
        receipts = [write.receipt for write in waited_for]
        for write in waited_for:
            write.waiter = contextvars.copy_context()
        if receipts:
            with spanwise.waiting("queue", "writer"):
                await asyncio.shield(asyncio.gather(*receipts))

    async def __aenter__(self) -> Self:
        """Open the folder, and carry out what the log of a process that ended has left.

        Raises:
            WriteError: the folder cannot be written.
        """
        log: _Log
        log, self._replayed = await _in_thread(_Log.open, self._folder)
        self._log = log
        self._closing = False
        self._task = asyncio.create_task(self._run(log), name="writer")
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Write everything that is queued, also when the block failed or is cancelled, and close the log."""
        self._closing = True
        self._wake.set()
        self._hurry.set()
        task, log = self._task, self._log
        assert task is not None
        assert log is not None
        interrupted: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as again:  # what is queued was promised to be written
                interrupted = again
        await _in_thread(log.close)
        task.result()
        if interrupted is not None:
            raise interrupted

    def _checked(self, path: str) -> str:
        if not path or path == LOG or Path(path).is_absolute() or ".." in Path(path).parts:
            raise ValueError(f"writer: {path!r} is not a file in {self._folder}; give a relative path without '..'")
        return path

    async def _put(self, record: dict[str, Any]) -> Receipt:
        payload = json.dumps(record, ensure_ascii=False).encode()
        while len(self._queue) >= self._capacity and not self._closing:
            await self._wait_for_room()
        if self._task is None or self._closing:
            where = self._folder / record["path"]
            raise WriteError(f"{where}: the writer is closed; write inside its 'async with' block")
        receipt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        receipt.add_done_callback(_retrieve)
        write = _Write(record, payload, receipt)
        self._queue.append(write)
        self._queued_bytes += len(payload)
        self._wake.set()
        if len(self._queue) >= self._most or self._queued_bytes >= self._most_bytes:
            self._hurry.set()
        return Receipt(record["path"], write)

    async def _wait_for_room(self) -> None:
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room.append(room)
        self._waits += 1
        with spanwise.waiting("queue", "writer"):
            await room

    async def _run(self, log: _Log) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            if not self._hurry.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._clock.real(self._interval)):
                        await self._hurry.wait()
            self._hurry.clear()
            batch = self._in_hand = self._next_batch()
            await self._write_batch(log, batch)
            self._in_hand = []
            if self._closing or len(self._queue) >= self._most or self._queued_bytes >= self._most_bytes:
                self._hurry.set()

    def _next_batch(self) -> list[_Write]:
        batch: list[_Write] = []
        size = 0
        while self._queue and len(batch) < self._most and (not batch or size < self._most_bytes):
            write = self._queue.popleft()
            size += len(write.payload)
            batch.append(write)
        self._queued_bytes -= size
        while self._room and len(self._queue) < self._capacity:
            room = self._room.popleft()
            if not room.done():
                room.set_result(None)
        return batch

    async def _write_batch(self, log: _Log, batch: Sequence[_Write]) -> None:
        # A batch is recorded below the step that waits for it; one that nobody waits for may outlive every step.
        waiter = next((write.waiter for write in batch if write.waiter is not None), None)
        carried_out = asyncio.create_task(self._carry_out(log, batch), name="write", context=waiter)
        try:
            await carried_out
        except OSError as error:
            for write in batch:
                where = self._folder / write.record["path"]
                reason = error.strerror or str(error)
                problem = WriteError(f"{where}: not written ({reason}); mend that, and write it again")
                if not write.receipt.done():
                    write.receipt.set_exception(problem)
            return
        self._batches += 1
        self._written += len(batch)
        for write in batch:
            if not write.receipt.done():
                write.receipt.set_result(None)

    async def _carry_out(self, log: _Log, batch: Sequence[_Write]) -> None:
        with spanwise.step("write") as step, spanwise.waiting("queue", "storage"):
            step.set(c.WRITE_FILES, len(batch))
            # In a context of its own, since this pause is no wait beside that for the storage.
            pause = self._clock.sleep(self._append_seconds)
            simulated = asyncio.create_task(pause, context=contextvars.Context())
            try:
                await _in_thread(log.carry_out, [write.record for write in batch])
                await simulated
            finally:
                simulated.cancel()


class _Log:
    """The log of a folder and the files that it is carried out on; every method blocks."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self._folder = folder
        self._descriptor = descriptor
        self._size = 0
        self._sizes: dict[str, int] = {}
        self._changed: set[str] = set()

    @classmethod
    def open(cls, folder: Path) -> tuple[_Log, int]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / LOG, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            reason = error.strerror or str(error)
            raise WriteError(f"{folder}: cannot be written ({reason}); give a folder that can") from None
        log = cls(folder, descriptor)
        records = list(_records((folder / LOG).read_bytes()))
        for record in records:
            log._apply(record)
        log._forget()
        return log, len(records)

    def carry_out(self, records: Sequence[dict[str, Any]]) -> None:
        """Append records to the log, make that last, and change the files."""
        for record in records:
            if record["do"] == "append":  # where it goes is part of the record, so that doing it twice changes nothing
                record["at"] = self._end(record["path"])
                self._sizes[record["path"]] = record["at"] + len(record["text"].encode())
            else:
                self._sizes[record["path"]] = len(record["text"].encode())
        data = b"".join(map(_framed, records))
        try:
            _write_all(self._descriptor, data, self._size)
            os.fsync(self._descriptor)
        except OSError:
            self._sizes.clear()
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
        for record in records:
            self._apply(record)
        if self._size > 1 << 24:
            self._forget()

    def _end(self, path: str) -> int:
        if path not in self._sizes:
            try:
                self._sizes[path] = (self._folder / path).stat().st_size
            except FileNotFoundError:
                self._sizes[path] = 0
        return self._sizes[path]

    def _apply(self, record: dict[str, Any]) -> None:
        path = self._folder / record["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        data: bytes = record["text"].encode()
        if record["do"] == "append":
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                _write_all(descriptor, data, record["at"])
            finally:
                os.close(descriptor)
        else:
            new = path.with_name(path.name + ".new")
            new.write_bytes(data)
            new.replace(path)
        self._changed.add(record["path"])

    def _forget(self) -> None:
        """Empty the log once every file that it changed is sure to last."""
        for path in self._changed:
            _sync(self._folder / path)
        for folder in {(self._folder / path).parent for path in self._changed}:
            _sync(folder)
        os.ftruncate(self._descriptor, 0)
        os.fsync(self._descriptor)
        self._size = 0
        self._changed.clear()

    def close(self) -> None:
        with suppress(OSError):  # what cannot be forgotten now is carried out again at the next opening
            self._forget()
        os.close(self._descriptor)


def _framed(record: dict[str, Any]) -> bytes:
    payload = json.dumps(record, ensure_ascii=False).encode()
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def _records(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the whole records of a log, up to a torn one."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + length]
        if not 0 < length <= _LARGEST or len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield cast("dict[str, Any]", json.loads(payload))
        at += _HEAD.size + length


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, at)
        view, at = view[count:], at + count


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _in_thread(function: Any, *arguments: Any) -> Any:
    """Run to the end what was begun: a batch that is half reported helps nobody."""
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, function, *arguments))


def _retrieve(receipt: asyncio.Future[None]) -> None:
    """Look at the outcome: a write whose receipt nobody awaits is told by `flush` and at the block's end."""
    if not receipt.cancelled():
        receipt.exception()
