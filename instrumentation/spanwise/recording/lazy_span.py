"""A span that is recorded only if something is found below it, or if whoever started it says so.

`spanwise run` starts one around a whole program, which a program that makes workflows of its own has no use for. A
server's hook starts one around a request, which is left out where the web framework records the request itself.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from spanwise.otel.context import SPAN_KEY
from spanwise.otel.span import OwnSpan
from spanwise.recording import model_calls, scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import Span

    from spanwise.recording.tracer import OwnTracer

_MOST_HELD: Final = 1_000


class LazySpan(OwnSpan):
    """A span of ours that is nowhere yet: neither in the ledger nor in the journal.

    `announce` records its start. Ending one that was not announced leaves no trace of it.
    """

    own_tracer: OwnTracer
    is_announced = False
    gives_way = False
    """Whether a workflow below it is a run by itself, and not below it."""
    is_elsewhere = False
    """Whether it is the span of another process, which ends it."""
    was_left = False
    """Whether something has begun that would be below it, and is a run by itself."""
    _held: deque[Callable[[], object]] | None = None

    def announce(self) -> None:
        """Record it from now on, with its own start; then do what was put off until now."""
        if self.is_announced or self.is_elsewhere or self._end_time is not None:
            return
        self.is_announced = True
        self.own_tracer.count_start()
        self.own_tracer.began(self)
        held, self._held = self._held, None
        for act in held or ():
            act()

    def adopt(self, span: Span) -> None:
        """Have a span of another library below it; one of a request, or of the same model call, takes its place."""
        takes_place = span.kind is SpanKind.SERVER or (model_calls.is_one(self) and model_calls.is_one(span))
        if takes_place and not self.is_announced:
            span._parent = self.parent  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] # the SDK has no other way
            self.was_left = True
        else:
            self.announce()

    def put_off(self, act: Callable[[], object]) -> None:
        """Have `act` called if it is announced one day; of very many, the latest."""
        if self._held is None:
            self._held = deque(maxlen=_MOST_HELD)
        self._held.append(act)

    def is_recording(self) -> bool:
        """Whether it is open, and of this process."""
        return self._end_time is None and not self.is_elsewhere

    def leave_to(self, other: SpanContext | None = None) -> None:
        """Take it for the span of another process, by default the one that this process was forked from."""
        if other is not None:
            self.trace_id, self.span_id, self.flags = other.trace_id, other.span_id, int(other.trace_flags)
        flags = TraceFlags(self.flags)
        self._made_context = SpanContext(self.trace_id, self.span_id, is_remote=True, trace_flags=flags)
        self.is_elsewhere, self._held = True, None

    def end(self, end_time: int | None = None) -> None:
        """End it, where it was announced; what takes ended spans is given an ordinary one."""
        if self.is_announced:
            self.__class__ = OwnSpan  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
            self.end(end_time)


in_request: Final[ContextVar[LazySpan | None]] = ContextVar("spanwise-request", default=None)
"""The request that is served; OpenTelemetry's context, which frameworks make anew, does not hold it."""


def outside(context: Context) -> Context:
    """Return `context` without a lazy span that is its current one and gives way: for what is a run of its own."""
    span = context.get(SPAN_KEY)
    if not isinstance(span, LazySpan) or not span.gives_way:
        return context
    span.was_left = True
    kept: dict[str, Any] = {key: value for key, value in context.items() if key not in {SPAN_KEY, scope.KEY}}
    return Context(kept)
