"""What the report's script reads: spans in columns, texts by number, times as nanoseconds since the run's start.

Columns and numbered texts keep 50,000 spans small and quick to parse, and times since the start are whole numbers that
JavaScript holds exactly. `<`, `>` and `&` are escaped as JSON allows, so no text can end the element that holds them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from spanwise import conventions
from spanwise_profiling import kinds
from spanwise_profiling.profile import BUCKETS
from spanwise_profiling.render.documents import plain
from spanwise_profiling.render.html.bars import bucket_of, first_chunk_ns
from spanwise_profiling.render.html.palette import INKS
from spanwise_profiling.render.html.strings import Strings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spanwise.journal.reader import Attributes, SpanRecord
    from spanwise_profiling.profile import Profile, Segment

_ROOM_FOR_TEXT: Final = 450_000
ROOM_FOR_A_SPAN: Final = 450
"""Bytes of text for each span beyond the thousandth."""
MOST_ATTRIBUTES: Final = 64
"""Of one span, event or link; OpenTelemetry keeps 128 of a span by default, and says how many it dropped."""
_RELEASES: Final = frozenset({"waits_on", "admitted_by"})
_OBSERVED, _OVERLAP = 1, 2
_ERROR, _RETRIED = 1, 2


def payload(profiles: Sequence[Profile]) -> dict[str, Any]:
    """Return the data of a report of `profiles` as plain JSON values."""
    strings = Strings()
    runs = [_Columns(profile, strings).document() for profile in profiles]
    spans = sum(len(run["start"]) for run in runs)
    texts, cut = strings.table(max(_ROOM_FOR_TEXT, ROOM_FOR_A_SPAN * spans))
    inks = [{"bucket": name, "label": INKS[name].label, "hatched": INKS[name].hatched} for name in BUCKETS]
    return {"buckets": inks, "strings": texts, "cut": cut, "runs": runs}


def script_text(document: Mapping[str, Any]) -> str:
    """Return `document` as JSON that can stand inside a script element."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for mark, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(mark, escape)
    return text


@dataclass
class _Columns:
    """One run's spans, in tree order, a list for each property."""

    profile: Profile
    strings: Strings
    shapes: dict[tuple[int, ...], int] = field(default_factory=dict[tuple[int, ...], int])
    """Lists of attribute names, which repeat from span to span."""

    def document(self) -> dict[str, Any]:
        run, text = self.profile.run, self.strings.number
        walked = list(run.walk())
        spans = [span for _, span in walked]
        numbers = {span.span_id: number for number, span in enumerate(spans)}
        errors = [kinds.error_of(span) for span in spans]
        return {
            "title": text(run.title),
            "scale": run.scale,
            "duration": run.duration_ns,
            "id": [text(span.span_id) for span in spans],
            "depth": [depth for depth, _ in walked],
            "start": [span.start_ns - run.start_ns for span in spans],
            "length": [span.duration_ns for span in spans],
            "name": [text(span.name) for span in spans],
            "label": [text(kinds.label_of(span)) for span in spans],
            "kind": [text(kinds.kind_of(span)) for span in spans],
            "agent": [text(name) for name in _owners(walked)],
            "bucket": [-1 if (name := bucket_of(span)) is None else BUCKETS.index(name) for span in spans],
            "first": {n: first for n, span in enumerate(spans) if (first := first_chunk_ns(span)) is not None},
            "error": {n: text(error) for n, error in enumerate(errors) if error is not None},
            "message": {n: text(span.status_message) for n, span in enumerate(spans) if span.status_message},
            "retried": [n for n, span in enumerate(spans) if kinds.is_retried(span)],
            "tokens": {n: used for n, span in enumerate(spans) if (used := _tokens(span)) is not None},
            "cost": self._cost(numbers),
            "slack": _of_spans(self.profile.slack_ns, numbers),
            "blocked": _of_spans(self.profile.blockers, numbers),
            "attributes": [self._attributes(span.attributes) for span in spans],
            "events": {n: self._events(span) for n, span in enumerate(spans) if span.events},
            "links": {n: self._links(span) for n, span in enumerate(spans) if span.links},
            "waits": _waits(spans, numbers),
            "path": self._path(self.profile.path, numbers),
            "second": self._path(self.profile.second_path, numbers),
            "shapes": [list(shape) for shape in self.shapes],
        }

    def _cost(self, numbers: Mapping[str, int]) -> dict[int, float | None]:
        """Return what each model call cost; None where it is not known."""
        calls = self.profile.usage.calls if self.profile.usage else ()
        return {numbers[call.span_id]: call.cost for call in calls if call.span_id in numbers}

    def _attributes(self, attributes: Attributes) -> list[int]:
        """Return the number of the list of names, then the numbers of the values; an odd one out tells what is left."""
        text = self.strings.number
        shown = list(attributes.items())[:MOST_ATTRIBUTES]
        if left := len(attributes) - len(shown):
            shown.append(("…", f"and {left:,} more attributes, which are in the recording"))
        names = tuple(text(name) for name, _ in shown)
        return [self.shapes.setdefault(names, len(self.shapes)), *(text(_shown(value)) for _, value in shown)]

    def _events(self, span: SpanRecord) -> list[list[Any]]:
        begin = self.profile.run.start_ns
        return [
            [event.time_ns - begin, self.strings.number(event.name), self._attributes(event.attributes)]
            for event in span.events[:MOST_ATTRIBUTES]
        ]

    def _links(self, span: SpanRecord) -> list[list[Any]]:
        return [
            [self.strings.number(link.trace_id), self.strings.number(link.span_id), self._attributes(link.attributes)]
            for link in span.links[:MOST_ATTRIBUTES]
        ]

    def _path(self, path: Iterable[Segment], numbers: Mapping[str, int]) -> list[list[int]]:
        begin = self.profile.run.start_ns
        return [
            [
                numbers.get(segment.span.span_id, -1),
                segment.start_ns - begin,
                segment.duration_ns,
                BUCKETS.index(segment.bucket),
                _OBSERVED * (segment.edge == "observed") + _OVERLAP * segment.overlap,
            ]
            for segment in path
        ]


def _owners(walked: Iterable[tuple[int, SpanRecord]]) -> list[str]:
    """Return for each span the nearest agent that it is or is below, `""` where there is none."""
    above: list[str] = []
    owners: list[str] = []
    for depth, span in walked:
        del above[depth:]
        owner = above[-1] if above else ""
        if kinds.kind_of(span) == "agent":
            owner = kinds.subject_of(span) or span.name
        above.append(owner)
        owners.append(owner)
    return owners


def _of_spans(lengths: Mapping[str, int], numbers: Mapping[str, int]) -> dict[int, int]:
    return {numbers[span_id]: length for span_id, length in lengths.items() if span_id in numbers}


def _tokens(span: SpanRecord) -> list[float | None] | None:
    """Return input, output and cached tokens of a model call; None for all else and where nothing is known."""
    if kinds.kind_of(span) not in ("chat", "embeddings"):
        return None
    names = (
        conventions.USAGE_INPUT_TOKENS,
        conventions.USAGE_OUTPUT_TOKENS,
        conventions.USAGE_CACHE_READ_INPUT_TOKENS,
    )
    used = [kinds.number_of(span, name) for name in names]
    return used if any(tokens is not None for tokens in used) else None


def _waits(spans: Sequence[SpanRecord], numbers: Mapping[str, int]) -> list[list[int]]:
    """Return what is known of who released whom: waiting span, releasing span; both of this run."""
    return [
        [number, numbers[link.span_id]]
        for number, span in enumerate(spans)
        for link in span.links
        if link.attributes.get(conventions.LINK_REASON) in _RELEASES and link.span_id in numbers
    ]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
