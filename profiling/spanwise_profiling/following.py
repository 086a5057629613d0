"""A run that goes on, maybe in another process: the spans of it that are on record, as a tree that grows.

A span is on record when it has ended, and one that encloses others only after them. So what is missing above an ended
span is a span that is still open: it stands in the tree without a name, from its first child's start until now.
`follow` is the one place that looks at the folder.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise import conventions
from spanwise.journal import reader
from spanwise_profiling import kinds
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import build_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from spanwise.journal.reader import ReadReport, SpanRecord
    from spanwise_profiling.runs import Run

POLL_SECONDS: Final = 0.2
QUIET_POLLS: Final = 10
"""A workflow has ended, and nothing of its trace has come for so long: nothing more will."""
STILL_OPEN: Final = "(still open)"


def follow(
    folder: str | Path,
    *,
    wait: Callable[[float], object] | None = None,
    interval: float = POLL_SECONDS,
    report: ReadReport | None = None,
) -> Iterator[SpanRecord]:
    """Yield the spans of a journal folder, and then new ones as they are written, until `wait` says to stop.

    Args:
        folder: the journal; it may not exist yet.
        wait: called with `interval` when there is nothing new; ends the following by returning something true. The
            default waits for ever.
        interval: seconds.
        report: what could not be read.

    Raises:
        InputError: the folder, or a file in it, may not be read.
    """
    wait = threading.Event().wait if wait is None else wait
    seen: dict[Path, tuple[int, int]] = {}  # file to its size and its spans at the last look
    segments = reader.Follower(Path(folder))
    while True:
        for path in sorted(Path(folder).glob(f"*{reader.SUFFIX}")):
            yield from _new_in(path, seen, report)
        yield from segments.poll(report)
        if wait(interval):
            return


def _new_in(path: Path, seen: dict[Path, tuple[int, int]], report: ReadReport | None) -> Iterator[SpanRecord]:
    size_before, count = seen.get(path, (0, 0))
    # A file that another process purges between listing and opening is not an error.
    size = path.stat().st_size if path.exists() else size_before
    if size == size_before:
        return
    whole = reader.ReadReport()
    for span in islice(reader.read_file(path, whole), count, None):
        count += 1
        yield span
    seen[path] = (size, count)
    if report is not None:
        report.skipped = [old for old in report.skipped if old.path != path] + whole.skipped


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of a run at one moment."""

    run: Run
    open_ids: frozenset[str]
    """Ids of the spans that go on; their ends are now."""
    is_over: bool


class Growing:
    """The traces that come in, and the one of them that is watched."""

    def __init__(self, wanted: str | None = None) -> None:
        """Watch the run whose run or trace id begins with `wanted`; without, the newest one that goes on."""
        self._wanted = wanted
        self._traces: dict[str, dict[str, SpanRecord]] = {}
        self._live: set[str] = set()
        self._settled = False
        self._watched: str | None = None
        self._quiet = 0

    def add(self, span: SpanRecord) -> None:
        """Take a span in: one that goes on (it has no end), or one that has ended."""
        self._traces.setdefault(span.trace_id, {})[span.span_id] = span
        if self._settled:
            self._live.add(span.trace_id)
        if span.trace_id == self._watched:
            self._quiet = 0

    def settle(self) -> None:
        """Say that all there is has been added: what comes from now on is news, and silence counts."""
        self._settled = True
        self._quiet += 1
        if self._watched is None or self._watched not in self._live:
            self._watched = self._choose()

    def snapshot(self, now_ns: int) -> Snapshot | None:
        """Return the watched run as it is `now_ns` (nanoseconds since 1970), or None while there is none."""
        if self._watched is None:
            return None
        spans = self._traces[self._watched]
        open_ids = {span.span_id for span in spans.values() if not span.end_ns}
        latest = max(now_ns, *(span.end_ns for span in spans.values()))
        known = {span.span_id: span if span.end_ns else replace(span, end_ns=latest) for span in spans.values()}
        missing = _missing(known, latest) if not _is_over(spans) else {}
        (run, *_) = runs_of([build_trace([*known.values(), *missing.values()])])
        over = _is_over(spans) or (self._quiet > QUIET_POLLS and any(map(_is_ended_workflow, spans.values())))
        return Snapshot(run, frozenset(open_ids | set(missing)), over)

    def _choose(self) -> str | None:
        names = [trace_id for trace_id in self._traces if self._is_wanted(trace_id)]
        candidates = [name for name in names if name in self._live] or [name for name in names if self._goes_on(name)]
        return max(candidates, key=self._start, default=None)

    def _is_wanted(self, trace_id: str) -> bool:
        if self._wanted is None or trace_id.startswith(self._wanted):
            return True
        ids = (kinds.text_of(span, conventions.RUN_ID) for span in self._traces[trace_id].values())
        return any(run_id is not None and run_id.startswith(self._wanted) for run_id in ids)

    def _goes_on(self, trace_id: str) -> bool:
        """Whether a trace may be watched that nothing was added to since: one that was asked for, or an open one."""
        return self._wanted is not None or not _is_over(self._traces[trace_id])

    def _start(self, trace_id: str) -> int:
        return min(span.start_ns for span in self._traces[trace_id].values())


def _is_over(spans: Mapping[str, SpanRecord]) -> bool:
    return any(span.parent_id is None and (span.end_ns or span.state == "interrupted") for span in spans.values())


def _is_ended_workflow(span: SpanRecord) -> bool:
    return bool(span.end_ns) and kinds.kind_of(span) == "workflow"


def _missing(known: Mapping[str, SpanRecord], now_ns: int) -> dict[str, SpanRecord]:
    """Return a span for each parent that is not on record yet, by its id."""
    missing: dict[str, SpanRecord] = {}
    for span in known.values():
        if span.parent_id is None or span.parent_id in known:
            continue
        start_ns = min(span.start_ns, missing[span.parent_id].start_ns if span.parent_id in missing else span.start_ns)
        missing[span.parent_id] = replace(
            span, span_id=span.parent_id, parent_id=None, name=STILL_OPEN, start_ns=start_ns, end_ns=now_ns,
            attributes={}, links=(), events=(), status_code=0, status_message="",
        )  # fmt: skip
    return missing
