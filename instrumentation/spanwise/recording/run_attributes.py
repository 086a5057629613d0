"""What is worked out of calls and runs as they end, and written on their spans: cost, and the budget of a run's path.

Others work it out, found as entry points: `spanwise.call_end` (a model call's attributes and start to more attributes)
and `spanwise.workflow_end` (the records of a run, its workflow's last, to attributes of the workflow's span). So
recording does not depend on analysis. A budget can take tens of milliseconds, so it is worked out on a thread of ours
only. Left to `spanwise profile` is a run of over 2,000 spans, one of less than 10 ms, one of which spans had to be let
go (over 10,000 in all open runs), and one whose end a thread of the host had to write. Spans that processors of the
host see are not changed after their end: the journal gets a copy with the attributes, and they never see them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from spanwise import conventions as c
from spanwise.content.rebuilt import rebuilt
from spanwise.otlp.records import LinkRecord, SpanRecord
from spanwise.process.contained import contained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Link

    from spanwise.otel.span import OwnSpan

    Attributes: TypeAlias = Mapping[str, Any]

MOST_SPANS: Final = 2_000
SHORTEST_NS: Final = 10_000_000
_MOST_KEPT: Final = 10_000
"""Spans of all open runs together; those of runs that nothing ended in for the longest time go first."""
_CALLS: Final = ("chat", "embeddings")
_OF_CALLS: Final = "spanwise.call_end"
_OF_RUNS: Final = "spanwise.workflow_end"
WORKING_OUT: Final = "working out cost or budget"
"""The reason under which failures are contained."""


def is_run_end(span: OwnSpan) -> bool:
    """Whether a span is the workflow of a run, so that its end is the run's."""
    attributes = span.own_attributes
    return attributes.get(c.OPERATION_NAME) == "invoke_workflow" and c.RUN_ID in attributes


class RunAttributes:
    """Keeps the ended spans of open runs, and works out attributes; one thread at a time.

    Args:
        wanted: whether anything is worked out at all.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self._wanted = wanted
        self._of_calls: list[Callable[[Attributes, int], Attributes]] | None = None
        self._of_runs: list[Callable[[Sequence[SpanRecord]], Attributes]] | None = None
        self.forget()

    def forget(self) -> None:
        """Let go of all open runs."""
        self._kept: dict[int, list[OwnSpan]] = {}
        """By trace."""
        self._count = 0
        self._inner: dict[int, list[OwnSpan]] = {}
        """Likewise, what is below runs that have ended: a run that encloses one has its time, too."""
        self._incomplete: dict[int, None] = {}
        """Traces of which spans were let go: a budget of the others would be wrong."""

    def enriched(self, span: OwnSpan, *, in_host: bool) -> ReadableSpan:
        """Return an ended span with what is worked out of it.

        Args:
            span: of ours; those of other libraries are nobody's call or run.
            in_host: whether this is a thread of the host, on which no budget is worked out.
        """
        if not self._wanted:
            return span
        with contained(WORKING_OUT):
            added: dict[str, Any] = {}
            if span.own_attributes.get(c.OPERATION_NAME) in _CALLS and c.USAGE_INPUT_TOKENS in span.own_attributes:
                added = self._of_call(span)
            elif is_run_end(span):
                added = self._of_run(span, in_host=in_host)
            self._keep(span)
            if added and (span.is_watched or span.own_tracer.watch.others):
                return rebuilt(span, attributes={**span.own_attributes, **added})
            span.own_attributes.update(added)
        return span

    def _keep(self, span: OwnSpan) -> None:
        """Keep a span for the run that it is below of."""
        attributes = span.own_attributes
        # A run that is no root may be enclosed in another one.
        if c.WORKFLOW_NAME in attributes and (span.parent_id or c.RUN_ID not in attributes):
            kept = self._kept.get(span.trace_id) or self._kept.setdefault(span.trace_id, [])
            if len(kept) <= MOST_SPANS:  # one more says that there were too many
                kept.append(span)
                self._count += 1
            if self._count > _MOST_KEPT:
                self._make_room()

    def _of_call(self, span: OwnSpan) -> dict[str, Any]:
        if self._of_calls is None:
            self._of_calls = list(_found(_OF_CALLS))
        return _worked_out(self._of_calls, span.own_attributes, span.start_ns)

    def _of_run(self, span: OwnSpan, *, in_host: bool) -> dict[str, Any]:
        end_ns = span.end_time or 0
        below = self._taken(span)
        if below is None or in_host or end_ns - span.start_ns < SHORTEST_NS:
            return {}
        if self._of_runs is None:
            self._of_runs = list(_found(_OF_RUNS))
        if not self._of_runs:
            return {}
        return _worked_out(self._of_runs, [*map(record_of, _below(span, below)), record_of(span)])

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


def load_what_works_out() -> None:
    """Load what works out attributes (50 ms), so that a run in scaled time does not count it."""
    for group in (_OF_CALLS, _OF_RUNS):
        for _ in _found(group):
            pass


def _found(group: str) -> Iterable[Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - 12 ms, and only where runs or calls end

    for entry in entry_points(group=group):
        with contained(WORKING_OUT):  # somebody's broken package must not cost anybody a span
            yield entry.load()


def _worked_out(functions: Iterable[Callable[..., Attributes]], *about: object) -> dict[str, Any]:
    added: dict[str, Any] = {}
    for work_out in functions:
        with contained(WORKING_OUT):
            added.update(work_out(*about))
    return added


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


def record_of(span: OwnSpan) -> SpanRecord:
    """Return an ended span as a reader of the journal would, without its events and resource."""
    return SpanRecord(
        trace_id=f"{span.trace_id:032x}", span_id=f"{span.span_id:016x}",
        parent_id=f"{span.parent_id:016x}" if span.parent_id else None, name=span.name, kind=0, start_ns=span.start_ns,
        end_ns=span.end_time or span.start_ns, attributes=dict(span.own_attributes),
        links=tuple(map(_link, span.links)), status_code=span.status.status_code.value,
    )  # fmt: skip


def _link(link: Link) -> LinkRecord:
    attributes: dict[str, Any] = dict(link.attributes or {})
    return LinkRecord(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}", attributes)
