"""Prometheus metrics derived from ended spans: the same families that the collector derives from the same spans.

A span's duration is multiplied by `spanwise.time.scale` of its resource, rates are divided by it. Histogram and counter
observations carry the trace and span id as exemplars. A family holds at most `SERIES_LIMIT` label sets; what comes
beyond goes to one whose labels all read `other`, so that a runaway agent name costs one series. They are counted in
plain lists and become prometheus-client's samples only when somebody asks (`exposition`): its own observation takes
longer than a span.
"""

from __future__ import annotations

import functools
import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from spanwise import conventions as c
from spanwise.otel.span import SAMPLED, OwnSpan
from spanwise.process import own_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan
    from prometheus_client import CollectorRegistry

    from spanwise.journal.process_ledger import Counts

SERIES_LIMIT: Final = 2_000
OVERFLOW: Final = "other"
_NANO: Final = 1e-9
_LARGEST: Final = 1e300
"""An integer can be too large for a float."""
_NUMBERS: Final = (int, float)
_NOT_SCALED: Final = (None, 1.0)

Seen: TypeAlias = "tuple[int, int, int]"
"""Trace id, span id and Unix nanoseconds of an observation."""
Exemplar: TypeAlias = "tuple[Seen, float]"
"""An observation and its value."""
Row: TypeAlias = "tuple[tuple[str, ...], list[int], float, float, list[Exemplar | None]]"
"""A label set with its counts by bucket, sum, Unix seconds of its first observation, and exemplars by bucket."""
Snapshot: TypeAlias = "tuple[c.Metric, list[Row]]"

_ATTRIBUTES: Final = {
    c.label_of(name): name for name in vars(c).values() if isinstance(name, str) and c.label_of(name) in c.LABELS
} | {c.CURRENCY: c.COST_CURRENCY}
"""The attribute that each label shows."""
_TOLD: Final = frozenset({c.TOKEN_TYPE, c.BUDGET_BUCKET})
"""Labels, the last ones of their families, that no attribute of a span has: whoever observes tells them."""
Observe: TypeAlias = "Callable[[Mapping[str, Any], _Labelled, float, float, Seen | None], None]"
_BLANKS: Final = ("",) * len(_ATTRIBUTES)


class _Series:
    """One label set of a family: what was observed, by bucket (a counter has one)."""

    __slots__ = ("counts", "created", "exemplars", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.exemplars: list[Exemplar | None] = [None] * buckets
        self.total = 0.0
        self.created = time.time()


class _Family:
    """One metric family with a bound on its label sets."""

    def __init__(self, metric: c.Metric, shown: Callable[[str], str]) -> None:
        self.metric = metric
        self._shown = shown
        self.series: dict[tuple[str, ...], _Series] = {}
        self._width = len(metric.buckets) + 1
        self.attributes = tuple(name for label in metric.all_labels if (name := _ATTRIBUTES[label]) not in _TOLD)

    def find(self, given: tuple[Any, ...]) -> _Series:
        """Return the series of label values, which is made where it is new."""
        try:
            series = self.series.get(given)
        except TypeError:  # an attribute of a foreign span that cannot be hashed
            series = None
        return self._added(given) if series is None else series

    def _added(self, given: tuple[Any, ...]) -> _Series:
        """Return the series of label values that are new here; only those are looked through."""
        labels = tuple([self._shown(_text(value)) for value in given])
        if labels not in self.series and len(self.series) >= SERIES_LIMIT:
            labels = (OVERFLOW,) * len(labels)
        return self.series.setdefault(labels, _Series(self._width))


class _Meter:
    """What observes one number: a family, and the values of those of its labels that no attribute has."""

    __slots__ = ("bounds", "family", "more")

    def __init__(self, family: _Family, more: tuple[str, ...] = ()) -> None:
        self.family = family
        self.more = more
        self.bounds = family.metric.buckets


class _Labelled(dict[_Meter, _Series]):
    """The series that spans with the same label values count in, found as they are needed."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._values = values

    def __missing__(self, meter: _Meter) -> _Series:
        labels = tuple([self._values[name] for name in meter.family.attributes])
        series = self[meter] = meter.family.find(labels + meter.more)
        return series

    def count(self, meter: _Meter, value: float, seen: Seen | None) -> None:
        """Count an observation; one that no counter can take is left out."""
        if 0 <= value <= _LARGEST:  # else a clock went back or it is a foreign attribute: a counter must not fall
            series = self[meter]
            bucket = bisect_left(meter.bounds, value)
            series.counts[bucket] += 1
            series.total += value
            if seen is not None:
                series.exemplars[bucket] = (seen, value)

    def count_number(self, meter: _Meter, value: Any, seen: Seen | None) -> None:
        """Count an attribute, where it is a number."""
        if type(value) is int or _number(value) is not None:
            self.count(meter, value, seen)


class _Kind:
    """Spans that count in the same families; what their labels lead to is found once.

    Args:
        observe: counts what more there is than durations, given attributes, series, scaled seconds, scale and exemplar.
        seconds: of durations.
        families: all that these spans count in.
    """

    def __init__(
        self,
        observe: Observe | None,
        seconds: _Meter | None,
        families: Iterable[_Family],
    ) -> None:
        self.observe = observe
        self.seconds = seconds
        self.names = tuple(dict.fromkeys(name for family in families for name in family.attributes))
        self.known: dict[tuple[Any, ...], _Labelled] = {}

    def labelled(self, attributes: Mapping[str, Any], shown: Callable[[str], str]) -> _Labelled:
        """Return the series of spans with the labels of `attributes`, remembered where all of them may be shown."""
        values = tuple(map(attributes.get, self.names, _BLANKS))
        found = _Labelled(dict(zip(self.names, values, strict=True)))
        if all(type(value) is str and shown(value) == value for value in values):
            if len(self.known) >= SERIES_LIMIT:
                self.known.clear()
            self.known[values] = found
        return found


def _seen(span: ReadableSpan, end_ns: int) -> Seen | None:
    """Return trace id, span id and end of a span that can be found where spans go to."""
    context = span.context
    sampled = context is not None and context.trace_flags.sampled
    return (context.trace_id, context.span_id, end_ns) if context is not None and sampled else None


def _number(value: Any) -> float | None:
    """Return a number that is no larger than a float can be."""
    if value is None or not isinstance(value, _NUMBERS) or isinstance(value, bool):
        return None
    return value if -_LARGEST <= value <= _LARGEST else None


def _text(value: object) -> str:
    if type(value) is str:
        return value
    try:
        return str(value)
    except ValueError:  # Python writes no integer of more than some thousand digits
        return OVERFLOW


class SpanMetrics:
    """All span-derived metrics of one process.

    Args:
        registry: to show them in; by default one of their own.
        shown: returns what may be shown of a label's value; by default all of it.
    """

    def __init__(self, registry: CollectorRegistry | None = None, shown: Callable[[str], str] = str) -> None:
        self.before_scrape: Callable[[], object] = tuple
        """Called before each scrape: observes the spans that have ended and were not observed yet."""
        self.ledger: Callable[[], Counts] | None = None
        """Reads what became of the spans, which is shown beside them."""
        self._given = registry
        self._scaled: tuple[object, float] = _NOT_SCALED
        """What made a span, and the time scale of its resource."""
        self.lock = own_threads.RLock()
        """Held by whoever observes spans or reads what was counted."""
        self._shown = shown
        self._families = {metric.name: _Family(metric, shown) for metric in c.METRICS}
        self._meters = {name: _Meter(family) for name, family in self._families.items()}
        usage, budget = self._families[c.TOKEN_USAGE.name], self._families[c.BUDGET_SECONDS.name]
        self._input_tokens, self._output_tokens = _Meter(usage, ("input",)), _Meter(usage, ("output",))
        self._budget = {c.budget_attribute(one): _Meter(budget, (one,)) for one in c.BUDGET_BUCKETS}
        call = self._kind(
            self._model_call, c.OPERATION_DURATION, c.TOKEN_USAGE, c.COST_TOTAL, c.TIME_TO_FIRST_CHUNK,
            c.TIME_PER_OUTPUT_CHUNK, c.OUTPUT_TOKENS_PER_SECOND, c.PROMPT_CACHE_READ_TOKENS, c.ATTEMPTS_TOTAL,
        )  # fmt: skip
        self._by_operation = {
            "invoke_workflow": self._kind(
                self._workflow, c.WORKFLOW_DURATION, c.WORKFLOW_TOKENS_PER_SECOND, c.BUDGET_SECONDS
            ),
            "invoke_agent": self._kind(None, c.AGENT_DURATION),
            "execute_tool": self._kind(None, c.TOOL_DURATION),
            "chat": call,
            "embeddings": call,
        }
        self._lookups = self._kind(
            self._cache, c.CACHE_LOOKUP_DURATION, c.CACHE_LOOKUPS, c.CACHE_SAVED_SECONDS_TOTAL,
            c.CACHE_SAVED_TOKENS_TOTAL,
        )  # fmt: skip
        self._waits = self._kind(None, c.WAIT_SECONDS)
        self._attempts = _Kind(self._attempt, None, [self._families[c.ATTEMPTS_TOTAL.name]])
        self._retries = _Kind(self._retry, None, [self._families[c.RETRIES.name]])

    def _kind(self, observe: Observe | None, seconds: c.Metric, *more: c.Metric) -> _Kind:
        """Return a kind of span whose duration counts in `seconds`."""
        families = [self._families[metric.name] for metric in (seconds, *more)]
        return _Kind(observe, self._meters[seconds.name], families)

    @functools.cached_property
    def registry(self) -> CollectorRegistry:
        """The registry that they are in; prometheus-client loads with its first use."""
        from spanwise.recording.exposition import registry_of  # noqa: PLC0415 - loads only where it is needed

        return registry_of(self, self._given)

    def renew(self) -> None:
        """Begin anew, in a forked child: what the parent has counted is the parent's."""
        self.lock = own_threads.RLock()
        self._scaled = _NOT_SCALED
        for family in self._families.values():
            family.series.clear()
        for kind in (*self._by_operation.values(), self._lookups, self._waits, self._attempts, self._retries):
            kind.known.clear()

    def observe(self, span: ReadableSpan) -> None:
        """Count an ended span in every family that it belongs to; one thread at a time, which holds `lock`."""
        attributes: Mapping[str, Any] = span.own_attributes if type(span) is OwnSpan else span.attributes or {}
        operation = attributes.get(c.OPERATION_NAME)
        if isinstance(operation, str) and (kind := self._by_operation.get(operation)) is not None:
            self._count(kind, span, attributes)
        if c.CACHE_RESULT in attributes:
            self._count(self._lookups, span, attributes)
        if c.WAIT_KIND in attributes:
            self._count(self._waits, span, attributes)
        if c.RETRY_ATTEMPT in attributes:
            self._count(self._attempts, span, attributes)
        if attributes.get(c.RETRY_SCHEDULED) is True:
            self._count(self._retries, span, attributes)

    def _count(self, kind: _Kind, span: ReadableSpan, attributes: Mapping[str, Any]) -> None:
        end_ns = span.end_time or 0
        source: object
        if type(span) is OwnSpan:  # whose fields are read without a call
            start_ns, source = span.start_ns, span.own_tracer
            seen = (span.trace_id, span.span_id, end_ns) if span.flags & SAMPLED else None
        else:
            start_ns, source = span.start_time or 0, span.resource
            seen = _seen(span, end_ns)
        of_source, scale = self._scaled
        if of_source is not source:
            scale = self._scale(span, source)
        seconds = (end_ns - start_ns) * _NANO * scale
        try:
            labelled = kind.known.get(tuple(map(attributes.get, kind.names, _BLANKS)))
        except TypeError:  # an attribute of a foreign span that cannot be hashed
            labelled = None
        if labelled is None:
            labelled = kind.labelled(attributes, self._shown)
        if kind.seconds is not None:
            labelled.count(kind.seconds, seconds, seen)
        if kind.observe is not None:
            kind.observe(attributes, labelled, seconds, scale, seen)

    def _scale(self, span: ReadableSpan, source: object) -> float:
        scale = span.resource.attributes.get(c.TIME_SCALE, 1.0)
        self._scaled = _, number = source, float(scale) if isinstance(scale, int | float) else 1.0
        return number

    def snapshot(self) -> list[Snapshot]:
        """Return each family with its label sets: counts by bucket, sum, time of the first, exemplars."""
        self.before_scrape()
        with self.lock:
            return [
                (
                    family.metric,
                    [
                        (labels, list(one.counts), one.total, one.created, list(one.exemplars))
                        for labels, one in family.series.items()
                    ],
                )
                for family in self._families.values()
            ]

    # What each kind of span counts beside its duration.

    def _model_call(
        self, attributes: Mapping[str, Any], series: _Labelled, seconds: float, scale: float, seen: Seen | None
    ) -> None:
        meters = self._meters
        if c.ATTEMPTS not in attributes and c.RETRY_ATTEMPT not in attributes:  # each of several is counted itself
            series.count(meters[c.ATTEMPTS_TOTAL.name], 1.0, seen)
        series.count_number(self._input_tokens, attributes.get(c.USAGE_INPUT_TOKENS), seen)
        series.count_number(self._output_tokens, attributes.get(c.USAGE_OUTPUT_TOKENS), seen)
        if c.COST in attributes:
            series.count_number(meters[c.COST_TOTAL.name], attributes[c.COST], seen)
        if c.USAGE_CACHE_READ_INPUT_TOKENS in attributes:
            series.count_number(
                meters[c.PROMPT_CACHE_READ_TOKENS.name], attributes[c.USAGE_CACHE_READ_INPUT_TOKENS], seen
            )
        if (first := _number(attributes.get(c.RESPONSE_TIME_TO_FIRST_CHUNK))) is None:
            return
        series.count(meters[c.TIME_TO_FIRST_CHUNK.name], first * scale, seen)
        decoding, received = seconds - first * scale, _number(attributes.get(c.USAGE_OUTPUT_TOKENS))
        if received and decoding > 0:
            series.count(meters[c.OUTPUT_TOKENS_PER_SECOND.name], received / decoding, seen)
        chunks = _number(attributes.get(c.STREAM_CHUNKS)) or 0
        if chunks > 1:
            series.count(meters[c.TIME_PER_OUTPUT_CHUNK.name], (seconds - first * scale) / (chunks - 1), seen)

    def _workflow(
        self, attributes: Mapping[str, Any], series: _Labelled, seconds: float, scale: float, seen: Seen | None
    ) -> None:
        used = [_number(attributes.get(name)) for name in (c.SUM_INPUT_TOKENS, c.SUM_OUTPUT_TOKENS)]
        if None not in used and seconds > 0:
            tokens = sum(number or 0 for number in used)
            series.count(self._meters[c.WORKFLOW_TOKENS_PER_SECOND.name], tokens / seconds, seen)
        for name in tuple(attributes):
            if name in self._budget and (spent := _number(attributes[name])) is not None:
                series.count(self._budget[name], spent * scale, seen)

    def _cache(
        self, attributes: Mapping[str, Any], series: _Labelled, seconds: float, scale: float, seen: Seen | None
    ) -> None:
        del seconds
        series.count(self._meters[c.CACHE_LOOKUPS.name], 1.0, seen)
        if (saved := _number(attributes.get(c.CACHE_SAVED_SECONDS))) is not None:
            series.count(self._meters[c.CACHE_SAVED_SECONDS_TOTAL.name], saved * scale, seen)
        series.count_number(self._meters[c.CACHE_SAVED_TOKENS_TOTAL.name], attributes.get(c.CACHE_SAVED_TOKENS), seen)

    def _attempt(
        self, attributes: Mapping[str, Any], series: _Labelled, seconds: float, scale: float, seen: Seen | None
    ) -> None:
        del attributes, seconds, scale
        series.count(self._meters[c.ATTEMPTS_TOTAL.name], 1.0, seen)

    def _retry(
        self, attributes: Mapping[str, Any], series: _Labelled, seconds: float, scale: float, seen: Seen | None
    ) -> None:
        del attributes, seconds, scale
        series.count(self._meters[c.RETRIES.name], 1.0, seen)
