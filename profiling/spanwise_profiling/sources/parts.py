"""A big file of lines in parts that several processes read at once.

The processes are new interpreters, started by name and not by `multiprocessing`: nothing of a program is forked or run
again, so that loading works from a script without a guard, from a thread and from a prompt. They share the file that is
open here, are told where a part begins and ends, and answer with its columns; the parts come back in their order, so
that the result is what one process makes. They are in a process group of their own: Ctrl-C reaches only this process,
which ends them; when it dies, their input ends and so do they.
"""

from __future__ import annotations

import contextlib
import os
import queue
import stat
import subprocess
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeAlias

import msgspec

from spanwise.errors import UnavailableError
from spanwise_profiling.sources import streams

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    _Process: TypeAlias = subprocess.Popen[bytes]
    Range: TypeAlias = tuple[int, int]
    """Where a part begins, and where the next one does."""

PART: Final = 16 << 20
MOST: Final = 8
"""Processes: many more, and this one could not keep up with putting their parts together."""
NUMBER_BYTES: Final = 8
READY: Final = b"\n"
_SEARCH: Final = 1 << 16
_CODE: Final = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from spanwise_profiling.sources import parts_process; parts_process.main(int(sys.argv[1]))"
)


class Part(msgspec.Struct, tag=True, gc=False):
    """What was read of a part of a file."""

    columns: dict[str, memoryview]
    """The arrays of a `Builder` by name."""
    strings: list[str]
    services: list[str]
    traces: list[str]
    lines: int
    spans: int
    incomplete: int
    skipped: list[tuple[int, str]]
    """Line, the part's first being 1, and the reason."""
    noted: dict[str, int]


class Failure(msgspec.Struct, tag=True, gc=False):
    """Why a part was not read."""

    reason: str


_ANSWER: Final = msgspec.msgpack.Decoder(Part | Failure)


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ranges(file: IO[bytes], longest: int = streams.LONGEST) -> list[Range]:
    """Return the parts of `file`, each of whole lines; none where it is no plain file or has a line over `longest`."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return []
    starts = [0]
    while (start := _line_after(file.fileno(), starts[-1] + PART, status.st_size)) < status.st_size:
        starts.append(start)
    found = list(zip(starts, [*starts[1:], status.st_size], strict=True))
    return [] if any(end - begin > longest for begin, end in found) else found


def _line_after(descriptor: int, place: int, size: int) -> int:
    """Return where the first line after `place` begins, at most `size`."""
    while place < size and (block := os.pread(descriptor, _SEARCH, place)):
        if end := block.find(b"\n") + 1:
            return min(place + end, size)
        place += len(block)
    return size


@contextlib.contextmanager
def processes(file: IO[bytes], count: int) -> Generator[Sequence[_Process]]:
    """Start `count` processes that read `file`, and end them; none where they cannot be started here."""
    started: list[_Process] = []
    try:
        with contextlib.suppress(OSError):
            started.extend(start(file.fileno()) for _ in range(count if _is_python() else 0))
        ready = [_pipe(process.stdout).read(len(READY)) == READY for process in started]
        yield started if ready and all(ready) else ()
    finally:
        for process in started:
            process.kill()
        for process in started:
            _close(process)


def _is_python() -> bool:
    """Whether `sys.executable` starts an interpreter: of a program that embeds one it is the program."""
    return "python" in Path(sys.executable or "").name.lower() and not getattr(sys, "frozen", False)


def start(descriptor: int) -> _Process:
    """Start a process that reads the open file `descriptor`."""
    return subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-c", _CODE, str(descriptor), *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[descriptor],
        process_group=0,
    )


def _close(process: _Process) -> None:
    with contextlib.suppress(OSError):  # what was not written yet
        _pipe(process.stdin).close()
    _pipe(process.stdout).close()
    process.wait()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def read(name: str, wanted: Sequence[Range], readers: Sequence[_Process]) -> Iterator[Part]:
    """Yield the `wanted` parts, in their order, as the processes read them.

    Raises:
        UnavailableError: a process ended before it was done, or could not read its part.
    """
    idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
    for process in readers:
        idle.put(process)
    # What waits for an earlier part is bounded.
    asked: deque[Future[Part]] = deque()
    with ThreadPoolExecutor(len(readers)) as pool:
        try:
            for part in wanted:
                asked.append(pool.submit(_ask, name, part, idle))
                if len(asked) > 2 * len(readers):
                    yield asked.popleft().result()
            while asked:
                yield asked.popleft().result()
        finally:
            # Those that wait for an answer get an end instead.
            pool.shutdown(wait=False, cancel_futures=True)
            if asked:
                for process in readers:
                    process.kill()


def _ask(name: str, part: Range, idle: queue.SimpleQueue[_Process]) -> Part:
    process = idle.get()
    try:
        answer = _answer(process, part)
    finally:
        idle.put(process)
    if isinstance(answer, Failure):
        raise UnavailableError(f"{name}: a process that read it failed ({answer.reason}); free some memory, try again")
    return answer


def _answer(process: _Process, part: Range) -> Part | Failure:
    with contextlib.suppress(OSError):  # it has ended
        into = _pipe(process.stdin)
        into.write(b"".join(number.to_bytes(NUMBER_BYTES, "little") for number in part))
        into.flush()
    out = _pipe(process.stdout)
    size = int.from_bytes(out.read(NUMBER_BYTES), "little")
    content = out.read(size)
    if not size or len(content) < size:
        return Failure(f"ended with status {process.wait()}")
    answer: Part | Failure = _ANSWER.decode(content)
    return answer
