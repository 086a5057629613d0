"""What is worked out of calls and runs as they end, and written on their spans: cost and budget.

Others work it out, found as entry points: `spanwise.call_end` (a model call's attributes and start to more attributes)
and `spanwise.workflow_end` (the records of a run, its workflow's last, to attributes of the workflow's span). So
recording does not depend on analysis. It happens in the recorder's thread, before anything of ours reads a span; where
processors of others see our spans, in the thread that ends one, before they do. A run of over 2,000 spans, of less
than 10 ms, or of which spans had to be let go (over 10,000 in all open runs) is left to `spanwise profile`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from spanwise import conventions as c
from spanwise.otel.span import OwnSpan
from spanwise.process import own_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Link

    from spanwise.journal.reader import SpanRecord

    Attributes: TypeAlias = Mapping[str, Any]

MOST_SPANS: Final = 2_000
SHORTEST_NS: Final = 10_000_000
_MOST_KEPT: Final = 10_000
"""Spans of all open runs together; those of runs that nothing ended in for the longest time go first."""
_CALLS: Final = ("chat", "embeddings")
_WORKED_OUT: Final = (*_CALLS, "invoke_workflow")


class RunEnds:
    """Keeps the ended spans of open runs; safe to call from any thread, and no lock is held while others work."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        """Why something could not be worked out; the span then goes without."""
        self._of_calls: list[Callable[[Attributes, int], Attributes]] | None = None
        self._of_runs: list[Callable[[Sequence[SpanRecord]], Attributes]] | None = None
        self._lock = own_threads.RLock()  # a garbage collection inside it can end an abandoned stream's span
        self._kept: dict[int, list[OwnSpan]] = {}
        """By trace."""
        self._count = 0
        self._inner: dict[int, list[OwnSpan]] = {}
        """Likewise, what is below runs that have ended: a run that encloses one has its time, too."""
        self._incomplete: dict[int, None] = {}
        """Traces of which spans were let go: a budget of the others would be wrong."""

    def ended(self, span: ReadableSpan) -> None:
        """Take a span that has ended, and write on it what is worked out, unless that was done before its end."""
        if type(span) is OwnSpan and not span.worked_out:
            operation = span.own_attributes.get(c.OPERATION_NAME)
            if operation in _WORKED_OUT:
                self.before_end(span, span.end_time or 0)
            self.after_end(span)

    def before_end(self, span: OwnSpan, end_ns: int) -> None:
        """Write on a span what is worked out of it and those below it that have ended; it ends at `end_ns`."""
        try:
            attributes = span.own_attributes
            operation = attributes.get(c.OPERATION_NAME)
            if operation in _CALLS and c.USAGE_INPUT_TOKENS in attributes:
                self._call(span)
            if operation == "invoke_workflow" and c.RUN_ID in attributes:
                self._run(span, end_ns)
        except Exception as error:  # noqa: BLE001 - attributes are anything; whatever they do to us, the span goes on
            self._failed(error)

    def after_end(self, span: OwnSpan) -> None:
        """Keep a span for the run that it is below of."""
        attributes = span.own_attributes
        # A run that is no root may be enclosed in another one.
        if c.WORKFLOW_NAME in attributes and (span.parent_id or c.RUN_ID not in attributes):
            with self._lock:
                kept = self._kept.get(span.trace_id) or self._kept.setdefault(span.trace_id, [])
                if len(kept) <= MOST_SPANS:  # one more says that there were too many
                    kept.append(span)
                    self._count += 1
                if self._count > _MOST_KEPT:
                    self._make_room()

    def _call(self, span: OwnSpan) -> None:
        if self._of_calls is None:
            self._of_calls = list(self._found("spanwise.call_end"))
        for work_out in self._of_calls:
            self._write(span, work_out, span.own_attributes, span.start_ns)

    def _run(self, span: OwnSpan, end_ns: int) -> None:
        with self._lock:
            below = self._taken(span)
        if below is None or end_ns - span.start_ns < SHORTEST_NS:
            return
        if self._of_runs is None:
            self._of_runs = list(self._found("spanwise.workflow_end"))
        if self._of_runs:
            records = [record_of(one, one.end_time or one.start_ns) for one in _below(span, below)]
            records.append(record_of(span, end_ns))
            for work_out in self._of_runs:
                self._write(span, work_out, records)

    def _write(self, span: OwnSpan, work_out: Callable[..., Attributes], *about: object) -> None:
        try:
            span.own_attributes.update(work_out(*about))
        except Exception as error:  # noqa: BLE001 - what is worked out of a span must not cost the span
            self._failed(error)

    def _found(self, group: str) -> Iterable[Any]:
        from importlib.metadata import entry_points  # noqa: PLC0415 - 12 ms, and only where runs or calls end

        for entry in entry_points(group=group):
            try:
                yield entry.load()
            except Exception as error:  # noqa: BLE001 - somebody's broken package must not cost anybody a span
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        if len(self.failures) < 100:  # noqa: PLR2004 - enough to see what is wrong
            self.failures.append(error)

    def _make_room(self) -> None:
        """Let go of half of what is kept, and leave the runs that it belongs to to the profile."""
        self._count -= sum(map(len, self._inner.values()))
        self._incomplete |= dict.fromkeys(self._inner)
        self._inner.clear()
        for trace_id, kept in sorted(self._kept.items(), key=lambda one: one[1][-1].end_time or 0):
            self._count -= len(kept)
            self._kept.pop(trace_id, None)
            self._incomplete[trace_id] = None
            if self._count <= _MOST_KEPT // 2:
                break
        while len(self._incomplete) > _MOST_KEPT:
            del self._incomplete[next(iter(self._incomplete))]

    def _taken(self, workflow: OwnSpan) -> list[OwnSpan] | None:
        """Return the spans that may be below `workflow`, which are kept no longer; None where not all of them were."""
        kept = self._kept.pop(workflow.trace_id, [])
        self._count -= len(kept)
        too_many = len(kept) > MOST_SPANS or workflow.trace_id in self._incomplete
        below = kept if not workflow.parent_id else [] if too_many else _below(workflow, kept)
        inner = self._inner.get(workflow.trace_id, [])
        encloses = bool(inner) and any(c.RUN_ID in one.own_attributes for one in below)
        whole = _below(workflow, [*below, *inner]) if encloses and not too_many else below
        if not workflow.parent_id:
            self._count -= len(self._inner.pop(workflow.trace_id, ()))
            self._incomplete.pop(workflow.trace_id, None)
        else:
            self._set_aside(workflow, kept, below)
        return None if too_many or len(whole) > MOST_SPANS else whole

    def _set_aside(self, workflow: OwnSpan, kept: list[OwnSpan], below: list[OwnSpan]) -> None:
        """Keep what is beside a run that is no root, and what is below it for the run that may enclose it."""
        chosen = {one.span_id for one in below}
        if others := [one for one in kept if one.span_id not in chosen]:
            self._kept[workflow.trace_id] = others
            self._count += len(others)
        if workflow.foreign_parent is not None:
            return  # somebody's request, as a rule: nothing of ours encloses it
        inner = self._inner.setdefault(workflow.trace_id, [])
        room = below[: MOST_SPANS + 1 - len(inner)]  # one more says that there were too many
        inner.extend(room)
        self._count += len(room)


def _below(workflow: OwnSpan, spans: Sequence[OwnSpan]) -> list[OwnSpan]:
    """Return those of `spans` whose parents lead to `workflow`."""
    parents = {span.span_id: span.parent_id for span in spans}
    inside: dict[int, bool] = {workflow.span_id: True}
    for span in spans:
        path: list[int] = []
        here = span.span_id
        while here not in inside and here in parents:
            inside[here] = False  # a circle leads nowhere
            path.append(here)
            here = parents[here]
        found = inside.get(here, False)
        inside |= dict.fromkeys(path, found)
    return [span for span in spans if inside[span.span_id]]


def record_of(span: OwnSpan, end_ns: int) -> SpanRecord:
    """Return a span that ends at `end_ns` as a reader of the journal would, without its events and resource."""
    from spanwise.journal.reader import LinkRecord, SpanRecord  # noqa: PLC0415 - msgspec loads with its first use

    def link_of(link: Link) -> LinkRecord:
        attributes: dict[str, Any] = dict(link.attributes or {})
        return LinkRecord(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}", attributes)

    links = tuple(map(link_of, span.links))
    return SpanRecord(
        trace_id=f"{span.trace_id:032x}", span_id=f"{span.span_id:016x}",
        parent_id=f"{span.parent_id:016x}" if span.parent_id else None, name=span.name, kind=0, start_ns=span.start_ns,
        end_ns=end_ns, attributes=dict(span.own_attributes), links=links,
        status_code=span.status.status_code.value,
    )  # fmt: skip
