"""Waiting that is nobody's work: attempts that failed, limits, a blocked event loop, new connections."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.advice.saving import saving_of
from spanwise_profiling.advice.words import counted, listed, together
from spanwise_profiling.profile import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.advice.view import View

_STORM: Final = 3
"""From so many failed attempts on, it is no accident."""
_LIMIT_SHARE: Final = 0.02
_BLOCKED_SHARE: Final = 0.005
_SPARED: Final = 3
"""Fewer connections than this to be spared are not worth a word."""
_TOO_MANY: Final = "429"


def retries(view: View) -> Iterator[Finding]:
    """Yield a finding where failed attempts, and the pauses after them, took time on the path."""
    failed = [span for span in view.spans.values() if span.is_error and kinds.is_retried(span)]
    if len(failed) < _STORM:
        return
    pauses = [span for span in view.of_kind("wait") if kinds.text_of(span, c.WAIT_KIND) == "retry_backoff"]
    saving = _saving(view, [*failed, *pauses])
    if not view.matters(saving):
        return
    errors = listed(dict.fromkeys(kinds.error_of(span) or "error" for span in failed))
    yield Finding(
        id="retry-storm",
        title=f"Avoid the {counted(len(failed), 'attempt')} that failed ({errors})",
        why="They were tried again, and the run waited for the attempts and the pauses after them.",
        fix="stay below the provider's limit, honour retry-after, fall back at once",
        evidence=view.evidence(failed, "failed attempt") + view.evidence(pauses, "pause"),
        saves_ns=saving,
        confidence="medium",
        here="fewer or shorter Retries, a limit below the provider's, or another model for what keeps failing",
        elsewhere="stay below the provider's limit, honour retry-after, break the circuit and fall back at once",
    )


def limits(view: View) -> Iterator[Finding]:
    """Yield a finding for each limit that the path waited at."""
    waits: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    for wait in view.of_kind("wait"):
        if kinds.text_of(wait, c.WAIT_KIND) in ("concurrency", "rate_limit"):
            waits[view.label(wait)].append(wait)
    refused = any(kinds.error_of(span) == _TOO_MANY for span in view.of_kind("chat", "embeddings"))
    for name, members in waits.items():
        saving = _saving(view, members)
        if view.matters(saving, _LIMIT_SHARE):
            yield Finding(
                id="low-limit",
                title=f"Raise the limit {name}",
                why=f"The run waited {view.seconds(sum(view.path_ns[one.span_id] for one in members))} for it.",
                fix="a larger semaphore, pool or rate limit; watch for the provider's 429",
                evidence=view.evidence(members),
                saves_ns=saving,
                confidence="low" if refused else "medium",
                here=f"raise the capacity of the limit {name!r}, as far as the provider's own limit allows",
                elsewhere="raise the semaphore, pool or rate limit, and watch for the provider's 429 answers",
            )


def blocked_loop(view: View) -> Iterator[Finding]:
    """Yield a finding where the path stood still because a span kept the event loop to itself."""
    blockers = {span_id: held for span_id, held in view.profile.blockers.items() if span_id in view.spans and held > 0}
    held = min(sum(blockers.values()), view.profile.budget_ns.get("loop_blocked", 0))
    if not view.matters(held, _BLOCKED_SHARE):
        return
    spans = sorted((view.spans[span_id] for span_id in blockers), key=lambda span: -blockers[span.span_id])
    yield Finding(
        id="blocking-call",
        title=f"Move {together(map(view.label, spans))} off the event loop",
        why=f"It kept the loop from everybody else for {view.seconds(held)} of the path: "
        f"{listed(dict.fromkeys(map(view.label, spans)))}.",
        fix="await asyncio.to_thread(…), or the library's asynchronous client",
        evidence=view.evidence(spans, "kept the loop", meant=blockers),
        saves_ns=held,
        confidence="high",
        here="hand blocking functions to a Tool that is no coroutine function, or to in_thread: both run in a thread",
        elsewhere="await asyncio.to_thread(blocking, ...), or use the library's asynchronous client",
    )


def connections(view: View) -> Iterator[Finding]:
    """Yield a finding where calls opened more connections than were ever needed at once."""
    calls = [span for span in view.of_kind("chat", "embeddings") if span.duration_ns]
    opened = [span for span in calls if span.attributes.get(c.CONNECTION_NEW) is True]
    needed = _at_once(calls)
    if len(opened) - needed < _SPARED:
        return
    cuts = _opening(opened[1:])
    bound = sum(min(cut, view.path_ns[span_id]) for span_id, cut in cuts.items())
    yield Finding(
        id="connection-churn",
        title="Keep connections open from call to call",
        why=f"{counted(len(opened), 'connection')} were opened for {counted(len(calls), 'call')}; "
        f"{needed} would have done.",
        fix="one HTTP client for the whole run",
        evidence=view.evidence(opened, "opened a connection", meant=view.on_path(_opening(opened))),
        saves_ns=min(saving_of(view, cuts=cuts), bound),
        confidence="high",
        here="model_client(pooled=True), one client for the whole run",
        elsewhere="make one HTTP client and keep it, with as many kept connections as there are calls at once",
    )


def _opening(calls: Iterable[SpanRecord]) -> dict[str, int]:
    return {call.span_id: round((kinds.number_of(call, c.CONNECTION_SECONDS) or 0.0) * 1e9) for call in calls}


def _at_once(spans: Iterable[SpanRecord]) -> int:
    events = sorted(event for span in spans for event in ((span.start_ns, 1), (span.end_ns, -1)))
    open_now, most = 0, 0
    for _, change in events:
        open_now += change
        most = max(most, open_now)
    return most


def _saving(view: View, spans: Sequence[SpanRecord]) -> int:
    cuts = {span.span_id: span.duration_ns for span in spans}
    return min(saving_of(view, cuts=cuts), sum(view.path_ns[span_id] for span_id in cuts))
