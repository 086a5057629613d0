"""Prometheus metrics derived from ended spans: the same families that the collector derives from the same spans.

A span's duration is multiplied by `spanwise.time.scale` of its resource, rates are divided by it. Histogram and counter
observations carry the trace and span id as exemplars. A family holds at most `SERIES_LIMIT` label sets; what comes
beyond goes to one whose labels all read `other`, so that a runaway agent name costs one series. They are counted in
plain lists and become prometheus-client's samples only when somebody asks (`exposition`): its own observation takes
longer than a span.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from spanwise import conventions as c
from spanwise.own_span import SAMPLED, OwnSpan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from prometheus_client import CollectorRegistry

    from spanwise.journal.ledger import Counts

SERIES_LIMIT: Final = 2_000
OVERFLOW: Final = "other"
_NANO: Final = 1e-9
_LARGEST: Final = 10**300
_NUMBERS: Final = (int, float)

Exemplar: TypeAlias = "tuple[int, int, float, float]"
"""Trace id, span id, value and Unix seconds of one observation."""
Row: TypeAlias = "tuple[tuple[str, ...], list[int], float, float, list[Exemplar | None]]"
"""A label set with its counts by bucket, sum, Unix seconds of its first observation, and exemplars by bucket."""
Snapshot: TypeAlias = "tuple[c.Metric, list[Row]]"

_ATTRIBUTES: Final = {
    c.label_of(name): name for name in vars(c).values() if isinstance(name, str) and c.label_of(name) in c.LABELS
} | {c.CURRENCY: c.COST_CURRENCY}
"""The attribute that each label shows."""
_TOLD: Final = frozenset({c.TOKEN_TYPE, c.BUDGET_BUCKET})
"""Labels, the last ones of their families, that no attribute of a span has: whoever observes tells them."""
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


_Known: TypeAlias = dict[_Meter, _Series]


class _Kind:
    """Spans that count in the same families: for the values of all their labels, the series that these lead to."""

    def __init__(self, observe: Callable[[_Reading], None], families: Iterable[_Family]) -> None:
        self.observe = observe
        self.names = tuple(dict.fromkeys(name for family in families for name in family.attributes))
        self._known: dict[tuple[Any, ...], _Known] = {}

    def forget(self) -> None:
        """Let go of every series."""
        self._known.clear()

    def known(self, attributes: Mapping[str, Any], shown: Callable[[str], str]) -> _Known:
        """Return the series that spans with these labels were counted in; remembered where all may be shown."""
        values = tuple(map(attributes.get, self.names, _BLANKS))
        try:
            known = self._known.get(values)
        except TypeError:  # an attribute of a foreign span that cannot be hashed
            return {}
        if known is None:
            known = {}
            if all(type(value) is str and shown(value) == value for value in values):
                if len(self._known) >= SERIES_LIMIT:
                    self._known.clear()
                self._known[values] = known
        return known


class _Reading:
    """A span as the metrics see it: attributes, scaled seconds, and the series that it may count in."""

    __slots__ = ("attributes", "ended", "known", "scale", "seconds", "span_id", "trace_id")

    known: _Known

    def __init__(self, span: ReadableSpan, attributes: Mapping[str, Any], scale: float) -> None:
        self.attributes = attributes
        self.scale = scale
        end_ns = span.end_time or 0
        self.ended = end_ns * _NANO
        self.trace_id = self.span_id = 0
        if type(span) is OwnSpan:
            self.seconds = (end_ns - span.start_ns) * _NANO * scale
            if span.flags & SAMPLED:
                self.trace_id, self.span_id = span.trace_id, span.span_id
            return
        self.seconds = (end_ns - (span.start_time or 0)) * _NANO * scale
        context = span.context
        if context is not None and context.trace_flags.sampled:  # else it cannot be found where spans go to
            self.trace_id, self.span_id = context.trace_id, context.span_id

    def count(self, meter: _Meter, value: float) -> None:
        """Count an observation; one that no counter can take is left out."""
        if not 0 <= value < math.inf:
            return  # a clock that went back or a foreign attribute: a counter must not fall
        series = self.known.get(meter)
        if series is None:
            family = meter.family
            labels = tuple(map(self.attributes.get, family.attributes, _BLANKS))
            series = self.known[meter] = family.find(labels + meter.more)
        bucket = bisect_left(meter.bounds, value)
        series.counts[bucket] += 1
        series.total += value
        if self.trace_id:
            series.exemplars[bucket] = (self.trace_id, self.span_id, value, self.ended)

    def number(self, name: str) -> float | None:
        """Return an attribute that is a number, and no larger than a float can be."""
        value = self.attributes.get(name)
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
        self._scaled: tuple[Resource, float] | None = None
        self._lock = threading.RLock()
        self._shown = shown
        self._families = {metric.name: _Family(metric, shown) for metric in c.METRICS}
        self._meters = {name: _Meter(family) for name, family in self._families.items()}
        usage, budget = self._families[c.TOKEN_USAGE.name], self._families[c.BUDGET_SECONDS.name]
        self._input_tokens, self._output_tokens = _Meter(usage, ("input",)), _Meter(usage, ("output",))
        self._budget = {c.budget_attribute(one): _Meter(budget, (one,)) for one in c.BUDGET_BUCKETS}
        call = self._kind(
            self._model_call, c.OPERATION_DURATION, c.TOKEN_USAGE, c.COST_TOTAL, c.TIME_TO_FIRST_CHUNK,
            c.TIME_PER_OUTPUT_CHUNK,
        )  # fmt: skip
        self._by_operation = {
            "invoke_workflow": self._kind(
                self._workflow, c.WORKFLOW_DURATION, c.WORKFLOW_TOKENS_PER_SECOND, c.BUDGET_SECONDS
            ),
            "invoke_agent": self._kind(self._agent, c.AGENT_DURATION),
            "execute_tool": self._kind(self._tool, c.TOOL_DURATION),
            "chat": call,
            "embeddings": call,
        }
        self._lookups = self._kind(
            self._cache, c.CACHE_LOOKUPS, c.CACHE_LOOKUP_DURATION, c.CACHE_SAVED_SECONDS_TOTAL,
            c.CACHE_SAVED_TOKENS_TOTAL,
        )  # fmt: skip
        self._waits = self._kind(self._wait, c.WAIT_SECONDS)
        self._retries = self._kind(self._retry, c.RETRIES)

    def _kind(self, observe: Callable[[_Reading], None], *metrics: c.Metric) -> _Kind:
        return _Kind(observe, [self._families[metric.name] for metric in metrics])

    @functools.cached_property
    def registry(self) -> CollectorRegistry:
        """The registry that they are in; prometheus-client loads with its first use."""
        from spanwise.exposition import registry_of  # noqa: PLC0415 - prometheus-client takes 50 ms to load

        return registry_of(self, self._given)

    def renew(self) -> None:
        """Begin anew, in a forked child: what the parent has counted is the parent's."""
        self._lock = threading.RLock()
        for family in self._families.values():
            family.series.clear()
        for kind in (*self._by_operation.values(), self._lookups, self._waits, self._retries):
            kind.forget()

    def observe(self, span: ReadableSpan) -> None:
        """Count an ended span in every family that it belongs to."""
        attributes = span.own_attributes if isinstance(span, OwnSpan) else span.attributes or {}
        operation = attributes.get(c.OPERATION_NAME)
        kinds = [self._by_operation.get(operation)] if isinstance(operation, str) else []
        if c.CACHE_RESULT in attributes:
            kinds.append(self._lookups)
        if c.WAIT_KIND in attributes:
            kinds.append(self._waits)
        if attributes.get(c.RETRY_SCHEDULED) is True:
            kinds.append(self._retries)
        reading = None
        for kind in kinds:
            if kind is not None:
                reading = reading or _Reading(span, attributes, self._scale(span.resource))
                with self._lock:
                    reading.known = kind.known(attributes, self._shown)
                    kind.observe(reading)

    def _scale(self, resource: Resource) -> float:
        known = self._scaled
        if known is None or known[0] is not resource:
            scale = resource.attributes.get(c.TIME_SCALE, 1.0)
            self._scaled = known = (resource, float(scale) if isinstance(scale, int | float) else 1.0)
        return known[1]

    def snapshot(self) -> list[Snapshot]:
        """Return each family with its label sets: counts by bucket, sum, time of the first, exemplars."""
        self.before_scrape()
        with self._lock:
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

    def _put(self, metric: c.Metric, span: _Reading, value: float) -> None:
        span.count(self._meters[metric.name], value)

    def _model_call(self, span: _Reading) -> None:
        self._put(c.OPERATION_DURATION, span, span.seconds)
        for meter, name in ((self._input_tokens, c.USAGE_INPUT_TOKENS), (self._output_tokens, c.USAGE_OUTPUT_TOKENS)):
            tokens = span.number(name)
            if tokens is not None:
                span.count(meter, tokens)
        cost = span.number(c.COST)
        if cost is not None:
            self._put(c.COST_TOTAL, span, cost)
        first = span.number(c.RESPONSE_TIME_TO_FIRST_CHUNK)
        if first is None:
            return
        self._put(c.TIME_TO_FIRST_CHUNK, span, first * span.scale)
        chunks = span.number(c.STREAM_CHUNKS) or 0
        if chunks > 1:
            self._put(c.TIME_PER_OUTPUT_CHUNK, span, (span.seconds - first * span.scale) / (chunks - 1))

    def _agent(self, span: _Reading) -> None:
        self._put(c.AGENT_DURATION, span, span.seconds)

    def _tool(self, span: _Reading) -> None:
        self._put(c.TOOL_DURATION, span, span.seconds)

    def _wait(self, span: _Reading) -> None:
        self._put(c.WAIT_SECONDS, span, span.seconds)

    def _retry(self, span: _Reading) -> None:
        self._put(c.RETRIES, span, 1.0)

    def _workflow(self, span: _Reading) -> None:
        self._put(c.WORKFLOW_DURATION, span, span.seconds)
        used = [span.number(c.USAGE_INPUT_TOKENS), span.number(c.USAGE_OUTPUT_TOKENS)]
        if None not in used and span.seconds > 0:
            self._put(c.WORKFLOW_TOKENS_PER_SECOND, span, sum(tokens or 0 for tokens in used) / span.seconds)
        for name in tuple(span.attributes):
            if name in self._budget and (seconds := span.number(name)) is not None:
                span.count(self._budget[name], seconds * span.scale)

    def _cache(self, span: _Reading) -> None:
        self._put(c.CACHE_LOOKUPS, span, 1.0)
        self._put(c.CACHE_LOOKUP_DURATION, span, span.seconds)
        seconds, tokens = span.number(c.CACHE_SAVED_SECONDS), span.number(c.CACHE_SAVED_TOKENS)
        if seconds is not None:
            self._put(c.CACHE_SAVED_SECONDS_TOTAL, span, seconds * span.scale)
        if tokens is not None:
            self._put(c.CACHE_SAVED_TOKENS_TOTAL, span, tokens)
