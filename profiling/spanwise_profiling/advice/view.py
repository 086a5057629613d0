"""A profile with what every rule looks up: who is below whom, what is on the path, who read whose text.

Made once for all rules. `on_path` counts what is below a span too, so that taking a span away can never be said to
save more than that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.advice.contents import with_fingerprints
from spanwise_profiling.advice.words import short
from spanwise_profiling.profile import Evidence
from spanwise_profiling.simulation.graph import graph_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.kinds import Kind
    from spanwise_profiling.profile import Bucket, Profile
    from spanwise_profiling.runs import Run
    from spanwise_profiling.simulation.graph import Graph

LEAST_SHARE: Final = 0.0005
LEAST_SECONDS: Final = 0.02
_MOST_EVIDENCE: Final = 50


class Read(NamedTuple):
    """What a prompt holds of an earlier span's text."""

    characters: int
    new: int
    """Of lines that no prompt had held before."""
    in_part: bool = False
    """No whole line is there, but runs of letters are; the characters are about so many."""


@dataclass(frozen=True)
class View:
    """A profile, ready to be asked by rules; spans are meant by their ids."""

    profile: Profile
    spans: Mapping[str, SpanRecord]
    """In tree order; with fingerprints where the trace has them, or texts to make them of."""
    parents: Mapping[str, str]
    """Of tops, the empty id."""
    kinds: Mapping[str, Kind]
    agents: Mapping[str, str]
    """Nearest agent above, or itself; of spans outside of agents, empty."""
    own_ns: Mapping[str, int]
    """A span's own time on the path."""
    path_ns: Mapping[str, int]
    """Time on the path of a span and all below it."""
    reads: Mapping[str, Mapping[str, Read]]
    """Of model calls whose prompts were compared: which spans' text they hold."""
    readers: Mapping[str, Sequence[str]]
    """The other way round: the calls whose prompts hold a span's text."""
    _extent: Mapping[str, tuple[int, int]]
    _by_kind: Mapping[Kind, tuple[Sequence[int], Sequence[SpanRecord]]]
    _buckets: Mapping[str, Mapping[Bucket, int]]

    @property
    def run(self) -> Run:
        """The run."""
        return self.profile.run

    @cached_property
    def graph(self) -> Graph:
        """What came after what, made once for all that is simulated."""
        return graph_of(self.run)

    def of_kind(self, *wanted: Kind) -> Iterator[SpanRecord]:
        """Yield the spans of these kinds in tree order."""
        if len(wanted) == 1:
            return iter(self._by_kind.get(wanted[0], ((), ()))[1])
        return (span for span_id, span in self.spans.items() if self.kinds[span_id] in wanted)

    def children(self, span_id: str) -> Sequence[SpanRecord]:
        """Return the children of a span by start; of the empty id, the run's tops."""
        children = self.run.trace.children.get(span_id, ()) if span_id else self.run.tops
        return [self.spans[child.span_id] for child in children]

    def is_below(self, span_id: str, above: str) -> bool:
        """Whether a span is `above` or below it."""
        first, last = self._extent[above]
        return first <= self._extent[span_id][0] <= last

    def below(self, span_id: str, wanted: Kind) -> Sequence[SpanRecord]:
        """Return a span and all below it, of this kind, in tree order."""
        places, members = self._by_kind.get(wanted, ((), ()))
        first, last = self._extent[span_id]
        return members[bisect_left(places, first) : bisect_right(places, last)]

    def has_below(self, span_id: str, wanted: Kind) -> bool:
        """Whether a span is of this kind or has one below it."""
        places, _ = self._by_kind.get(wanted, ((), ()))
        first, last = self._extent[span_id]
        return bisect_left(places, first) < bisect_right(places, last)

    def bucket_ns(self, span_id: str, *buckets: Bucket) -> int:
        """Return how much of a span's own time on the path is in these buckets."""
        own = self._buckets.get(span_id, {})
        return sum(own.get(bucket, 0) for bucket in buckets)

    def matters(self, nanoseconds: int, share: float = LEAST_SHARE) -> bool:
        """Whether that much time is worth a word: a share of the run, and long enough for anybody to notice."""
        return nanoseconds >= self.run.duration_ns * share and self.run.scaled(nanoseconds) >= LEAST_SECONDS

    def seconds(self, nanoseconds: int) -> str:
        """Return recorded nanoseconds as the system's seconds, with three significant digits."""
        return f"{self.run.scaled(nanoseconds):.3g} s"

    def evidence(
        self, spans: Iterable[SpanRecord], note: str = "", *, meant: Mapping[str, int] | None = None
    ) -> tuple[Evidence, ...]:
        """Return `spans` as evidence, those with most on the path first, at most 50; a wait may say who ended it.

        Args:
            spans: which.
            note: what each of them shows.
            meant: nanoseconds of the path that are meant by each, where it is not all that the span has of it.
        """
        lengths = self.path_ns if meant is None else meant
        found = [Evidence(span.span_id, lengths.get(span.span_id, 0), note or _released(span)) for span in spans]
        return tuple(sorted(found, key=lambda one: -one.on_path_ns)[:_MOST_EVIDENCE])

    def on_path(self, cuts: Mapping[str, int]) -> dict[str, int]:
        """Return `cuts` (span id to nanoseconds), each at most what the span has of the path."""
        return {span_id: min(cut, self.path_ns[span_id]) for span_id, cut in cuts.items()}

    def label(self, span: SpanRecord) -> str:
        """Return a span's name for a sentence: the agent, tool or source it is about, else its own name."""
        return short(kinds.subject_of(span) or kinds.text_of(span, c.STEP_NAME) or span.name) or "(no name)"


def _released(span: SpanRecord) -> str:
    said = kinds.text_of(span, c.WAIT_RELEASED_BY) or c.UNKNOWN_RELEASER
    return "" if said == c.UNKNOWN_RELEASER else f"released by {short(said)}"


def view_of(profile: Profile) -> View:
    """Return `profile` ready to be asked."""
    spans: dict[str, SpanRecord] = {}
    parents: dict[str, str] = {}
    agents: dict[str, str] = {}
    above: list[str] = []
    for depth, span in profile.run.walk():
        del above[depth:]
        span_id = span.span_id
        spans[span_id], parents[span_id] = span, above[-1] if above else ""
        above.append(span_id)
        own = kinds.kind_of(span) == "agent"
        agents[span_id] = (kinds.subject_of(span) or span.name) if own else agents.get(parents[span_id], "")
    buckets: dict[str, dict[Bucket, int]] = {span_id: {} for span_id in spans}
    for segment in profile.path:
        mine = buckets.get(segment.span.span_id)
        if mine is not None:
            mine[segment.bucket] = mine.get(segment.bucket, 0) + segment.duration_ns
    own_ns = {span_id: sum(own.values()) for span_id, own in buckets.items()}
    path_ns, extent = _summed(spans, parents, own_ns)
    of_kinds: dict[str, Kind] = {span_id: kinds.kind_of(span) for span_id, span in spans.items()}
    spans = with_fingerprints(spans, of_kinds)
    reads = _reads(spans)
    return View(
        profile=profile,
        spans=spans,
        parents=parents,
        kinds=of_kinds,
        agents=agents,
        own_ns=own_ns,
        path_ns=path_ns,
        reads=reads,
        readers=_readers(reads),
        _extent=extent,
        _by_kind=_by_kind(spans, of_kinds),
        _buckets=buckets,
    )


def _by_kind(
    spans: Mapping[str, SpanRecord], of_kinds: Mapping[str, Kind]
) -> dict[Kind, tuple[list[int], list[SpanRecord]]]:
    found: dict[Kind, tuple[list[int], list[SpanRecord]]] = {}
    for place, (span_id, span) in enumerate(spans.items()):
        places, members = found.setdefault(of_kinds[span_id], ([], []))
        places.append(place)
        members.append(span)
    return found


def _readers(reads: Mapping[str, Mapping[str, Read]]) -> dict[str, list[str]]:
    readers: dict[str, list[str]] = {}
    for call, writers in reads.items():
        for writer in writers:
            readers.setdefault(writer, []).append(call)
    return readers


def _summed(
    spans: Mapping[str, SpanRecord], parents: Mapping[str, str], own_ns: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
    """Return per span its time with all below, and the places in tree order of itself and the last span below."""
    path_ns = dict(own_ns)
    order = list(spans)
    last = {span_id: place for place, span_id in enumerate(order)}
    extent: dict[str, tuple[int, int]] = {}
    for place in range(len(order) - 1, -1, -1):
        span_id = order[place]
        extent[span_id] = place, last[span_id]
        if parent := parents[span_id]:
            path_ns[parent] += path_ns[span_id]
            last[parent] = max(last[parent], last[span_id])
    return path_ns, extent


def _reads(spans: Mapping[str, SpanRecord]) -> dict[str, dict[str, Read]]:
    found: dict[str, dict[str, Read]] = {}
    for span_id, span in spans.items():
        sources = span.attributes.get(c.REQUEST_SOURCES)
        if isinstance(sources, str):
            found[span_id] = dict(_parsed(sources, spans))
    return found


def _parsed(sources: str, spans: Mapping[str, SpanRecord]) -> Iterator[tuple[str, Read]]:
    for source in sources.split():
        writer, *counts = source.split(":")
        held, new, *part = counts if len(counts) > 1 else ("", "")
        if writer in spans and held.isdecimal() and new.isdecimal() and part in ([], ["p"]):
            yield writer, Read(int(held), int(new), in_part=bool(part))
