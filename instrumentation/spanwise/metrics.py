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
}
"""The attribute that each label shows."""
_TOLD: Final = frozenset({c.TOKEN_TYPE, c.BUDGET_BUCKET, c.CURRENCY})
"""Labels, the last ones of their families, that no attribute of a span has: whoever observes tells them."""
_BUDGET: Final = tuple((c.budget_attribute(bucket), (bucket,)) for bucket in c.BUDGET_BUCKETS)
_shared: Final[dict[tuple[str, ...], tuple[str, ...]]] = {}
_BLANKS: Final = ("",) * 16


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
        self.bounds = metric.buckets
        self.series: dict[tuple[str, ...], _Series] = {}
        self._width = len(metric.buckets) + 1
        names = tuple(name for label in metric.all_labels if (name := _ATTRIBUTES[label]) not in _TOLD)
        self._attributes = _shared.setdefault(names, names)

    def record(self, value: float, span: _Reading, more: tuple[str, ...]) -> None:
        """Count `value`; `more` are the values of the last labels, which no attribute has."""
        if not 0 <= value < math.inf:
            return  # a clock that went back or a foreign attribute: a counter must not fall
        labels = span.labels(self._attributes)
        if more:
            labels = labels + more
        try:
            series = self.series.get(labels)
        except TypeError:  # an attribute of a foreign span that cannot be hashed
            series = None
        if series is None:
            series = self._added(labels)
        bucket = bisect_left(self.bounds, value)
        series.counts[bucket] += 1
        series.total += value
        if span.identity is not None:
            series.exemplars[bucket] = (*span.identity, value, span.ended)

    def _added(self, given: tuple[Any, ...]) -> _Series:
        """Return the series of label values that are new here; only those are looked through."""
        labels = tuple([self._shown(_text(value)) for value in given])
        if labels not in self.series and len(self.series) >= SERIES_LIMIT:
            labels = (OVERFLOW,) * len(labels)
        return self.series.setdefault(labels, _Series(self._width))


class _Reading:
    """A span as the metrics see it: typed attributes, scaled seconds."""

    __slots__ = ("_labels", "_names", "attributes", "ended", "identity", "scale", "seconds")

    def __init__(self, span: ReadableSpan, attributes: Mapping[str, Any], scale: float) -> None:
        self.attributes = attributes
        self.scale = scale
        end_ns = span.end_time or 0
        self.ended = end_ns * _NANO
        self.seconds = (end_ns - (span.start_time or 0)) * _NANO * self.scale
        self.identity = _sampled_identity(span)
        self._names: tuple[str, ...] = ()
        self._labels: tuple[Any, ...] = ()

    def labels(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        """Return the values of some attributes; families in a row often have the same ones."""
        if names is not self._names:
            self._names, self._labels = names, tuple(map(self.attributes.get, names, _BLANKS))
        return self._labels

    def number(self, name: str) -> float | None:
        value = self.attributes.get(name)
        if not isinstance(value, _NUMBERS) or isinstance(value, bool):
            return None
        return float(value) if abs(value) <= _LARGEST else None  # an integer can be too large for a float


def _sampled_identity(span: ReadableSpan) -> tuple[int, int] | None:
    """Return trace and span id of a span that can be found where spans go to."""
    if type(span) is OwnSpan:
        return (span.trace_id, span.span_id) if span.flags & SAMPLED else None
    context = span.context
    return (context.trace_id, context.span_id) if context is not None and context.trace_flags.sampled else None


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
        self._families = {metric.name: _Family(metric, shown) for metric in c.METRICS}
        self._by_operation: dict[str, Callable[[_Reading], None]] = {
            "invoke_workflow": self._workflow,
            "invoke_agent": self._agent,
            "execute_tool": self._tool,
            "chat": self._model_call,
            "embeddings": self._model_call,
        }

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

    def observe(self, span: ReadableSpan) -> None:
        """Count an ended span in every family that it belongs to."""
        attributes = span.own_attributes if isinstance(span, OwnSpan) else span.attributes or {}
        operation = attributes.get(c.OPERATION_NAME)
        observe = self._by_operation.get(operation) if isinstance(operation, str) else None
        cached, waited = c.CACHE_RESULT in attributes, c.WAIT_KIND in attributes
        retried = attributes.get(c.RETRY_SCHEDULED) is True
        if not (observe or cached or waited or retried):
            return
        reading = _Reading(span, attributes, self._scale(span.resource))
        with self._lock:
            if observe is not None:
                observe(reading)
            if cached:
                self._cache(reading)
            if waited:
                self._put(c.WAIT_SECONDS, reading, reading.seconds)
            if retried:
                self._put(c.RETRIES, reading, 1.0)

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

    def _put(self, metric: c.Metric, span: _Reading, value: float, more: tuple[str, ...] = ()) -> None:
        self._families[metric.name].record(value, span, more)

    def _model_call(self, span: _Reading) -> None:
        self._put(c.OPERATION_DURATION, span, span.seconds)
        for kind, name in (("input", c.USAGE_INPUT_TOKENS), ("output", c.USAGE_OUTPUT_TOKENS)):
            tokens = span.number(name)
            if tokens is not None:
                self._put(c.TOKEN_USAGE, span, tokens, (kind,))
        cost = span.number(c.COST)
        if cost is not None:
            self._put(c.COST_TOTAL, span, cost, (_text(span.attributes.get(c.COST_CURRENCY, "")),))
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

    def _workflow(self, span: _Reading) -> None:
        self._put(c.WORKFLOW_DURATION, span, span.seconds)
        used = [span.number(c.USAGE_INPUT_TOKENS), span.number(c.USAGE_OUTPUT_TOKENS)]
        if None not in used and span.seconds > 0:
            self._put(c.WORKFLOW_TOKENS_PER_SECOND, span, sum(tokens or 0 for tokens in used) / span.seconds)
        for attribute, bucket in _BUDGET:
            if (seconds := span.number(attribute)) is not None:
                self._put(c.BUDGET_SECONDS, span, seconds * span.scale, bucket)

    def _cache(self, span: _Reading) -> None:
        self._put(c.CACHE_LOOKUPS, span, 1.0)
        self._put(c.CACHE_LOOKUP_DURATION, span, span.seconds)
        seconds, tokens = span.number(c.CACHE_SAVED_SECONDS), span.number(c.CACHE_SAVED_TOKENS)
        if seconds is not None:
            self._put(c.CACHE_SAVED_SECONDS_TOTAL, span, seconds * span.scale)
        if tokens is not None:
            self._put(c.CACHE_SAVED_TOKENS_TOTAL, span, tokens)
