"""A profile as a speedscope file (https://www.speedscope.app/file-format-schema.json).

The first chart is the critical path: at each moment the stack of what the run waited for, its bucket on top, so that
speedscope's own sums are shares of the wall clock. The others are the run's tracks. Times are scaled seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spanwise_profiling import kinds
from spanwise_profiling.render.tracks import tracks_of
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run

SCHEMA: Final = "https://www.speedscope.app/file-format-schema.json"


def speedscope_document(profiles: Sequence[Profile]) -> dict[str, Any]:
    """Return the file's document; `profiles` holds at least one."""
    frames = _Frames()
    charts = [chart for profile in profiles for chart in _charts(profile, frames)]
    return {
        "$schema": SCHEMA,
        "shared": {"frames": [{"name": name} for name in frames.numbers]},
        "profiles": charts,
        "name": ", ".join(dict.fromkeys(printable(profile.run.title) for profile in profiles)),
        "activeProfileIndex": 0,
        "exporter": "spanwise",
    }


class _Frames:
    """Frames by name: what has the same name is summed up as one."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))


class _Chart:
    """The events of one chart, in order of time; whatever is open is closed last first."""

    def __init__(self, run: Run, frames: _Frames) -> None:
        self._run, self._frames = run, frames
        self._bounds = [run.start_ns, run.start_ns + run.duration_ns]
        self._open: list[int] = []
        self._events: list[dict[str, Any]] = []

    def open(self, name: str, at_ns: int) -> None:
        self._open.append(self._frames.number(printable(name)))
        self._event("O", at_ns, self._open[-1])

    def close(self, at_ns: int) -> None:
        self._event("C", at_ns, self._open.pop())

    def document(self, name: str) -> dict[str, Any]:
        return {
            "type": "evented",
            "name": printable(name),
            "unit": "seconds",
            "startValue": self._seconds(min(self._bounds)),
            "endValue": self._seconds(max(self._bounds)),
            "events": self._events,
        }

    def _event(self, kind: str, at_ns: int, frame: int) -> None:
        self._bounds = [min(*self._bounds, at_ns), max(*self._bounds, at_ns)]
        self._events.append({"type": kind, "at": self._seconds(at_ns), "frame": frame})

    def _seconds(self, at_ns: int) -> float:
        return self._run.scaled(at_ns - self._run.start_ns)


def _charts(profile: Profile, frames: _Frames) -> Iterator[dict[str, Any]]:
    yield _path(profile, frames)
    for number, spans in enumerate(tracks_of(profile.run), start=1):
        yield _track(profile.run, spans, frames).document(
            f"{profile.run.title}: track {number}, {kinds.label_of(spans[0])}"
        )


def _track(run: Run, spans: Sequence[SpanRecord], frames: _Frames) -> _Chart:
    chart = _Chart(run, frames)
    ends: list[int] = []
    for span in spans:
        while ends and ends[-1] <= span.start_ns:
            chart.close(ends.pop())
        chart.open(kinds.label_of(span), span.start_ns)
        ends.append(span.start_ns + span.duration_ns)
    while ends:
        chart.close(ends.pop())
    return chart


def _path(profile: Profile, frames: _Frames) -> dict[str, Any]:
    """Return the chart of the critical path: of two segments that follow, what they share above them stays open."""
    chart = _Chart(profile.run, frames)
    parents = _parents(profile.run)
    stack: list[str] = []
    depths: dict[str, int] = {}
    end_ns = profile.run.start_ns
    for segment in profile.path:
        entered = _entered(segment.span, parents, depths)
        last_shared = parents.get(entered[-1].span_id) if entered else segment.span
        shared = depths[last_shared.span_id] + 1 if last_shared is not None else 0
        while len(stack) > shared:
            del depths[stack.pop()]
            chart.close(segment.start_ns)
        for span in reversed(entered):
            depths[span.span_id] = len(stack)
            stack.append(span.span_id)
            chart.open(kinds.label_of(span), segment.start_ns)
        chart.open(segment.bucket, segment.start_ns)
        chart.close(segment.end_ns)
        end_ns = segment.end_ns
    for _ in stack:
        chart.close(end_ns)
    return chart.document(f"{profile.run.title}: critical path")


def _parents(run: Run) -> dict[str, SpanRecord]:
    parents: dict[str, SpanRecord] = {}
    above: list[SpanRecord] = []
    for depth, span in run.walk():
        del above[depth:]
        if above:
            parents[span.span_id] = above[-1]
        above.append(span)
    return parents


def _entered(span: SpanRecord, parents: Mapping[str, SpanRecord], depths: Mapping[str, int]) -> list[SpanRecord]:
    """Return `span` and what is above it, upwards, as far as it is not open yet."""
    entered: list[SpanRecord] = []
    here: SpanRecord | None = span
    while here is not None and here.span_id not in depths:
        entered.append(here)
        here = parents.get(here.span_id)
    return entered
