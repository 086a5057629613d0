"""The requests of one model call: where it took several, each is a span of its own below the call's.

    with spanwise.llm_call("gpt-5") as call:
        for pause in (1, 2, 4):
            try:
                with call.attempt() as attempt:
                    return client.chat.completions.create(...)
            except openai.RateLimitError:
                time.sleep(pause)

A call that is answered at once has no such spans. The first request's span is made when a second one begins, with the
times that were kept. A failed request is marked as tried again when the next one begins, so its span ends no earlier.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode

from spanwise import conventions as c
from spanwise.helpers.base import AttributeValue, error_type
from spanwise.helpers.streams import AsyncStream
from spanwise.otel import task_hook
from spanwise.otel.context import SPAN_KEY, attach, current, detach
from spanwise.recording import telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable
    from types import TracebackType

    from opentelemetry.trace import Span

    from spanwise.helpers.model_call import ModelCall

T = TypeVar("T")


class Attempts:
    """The requests of one call so far.

    Args:
        call: the span of the call.
    """

    def __init__(self, call: ModelCall) -> None:
        self.call = call
        self.count = 0
        """Requests that began."""
        self.number = 0
        """Of the last attempt; a request that is sent beside another one is the same attempt."""
        self.answered = False
        self._failed: list[Attempt] = []
        """Requests that failed, and may yet be tried again."""
        self._first: Attempt | None = None

    def begin(self, attempt: Attempt) -> int:
        """Count a request that begins; returns the number of its attempt."""
        if self.count == 1 and self._first is not None:
            self._first.make_span()
        self.count += 1
        if self._first is None:
            self._first = attempt
        if not attempt.beside or not self.number:
            self.number += 1
            self._end_failed(tried_again=True)
        return self.number

    def failed(self, attempt: Attempt) -> None:
        """Keep a request that failed until it is known whether it is tried again."""
        self._failed.append(attempt)

    def end(self) -> None:
        """End what is kept; the call is about to end."""
        self._end_failed(tried_again=False)
        if self.count > 1:
            self.call.set(c.ATTEMPTS, self.count)

    def _end_failed(self, *, tried_again: bool) -> None:
        failed, self._failed = self._failed, []
        for attempt in failed:
            attempt.end_span(tried_again=tried_again and attempt is failed[-1])


class Attempt:
    """One request, as a context manager; what is told of its answer belongs to the call.

    Args:
        attempts: of the call.
        beside: it is sent while another request of the call is still open.
    """

    chunks = 0
    """How many were read so far."""

    def __init__(self, attempts: Attempts, *, beside: bool) -> None:
        self._attempts = attempts
        self.beside = beside
        self._number = 0
        self._start_ns = 0
        self._end_ns: int | None = None
        self._first_ns = 0
        self._error: str | None = None
        self._span: Span | None = None
        self._token: Any = None

    @property
    def call(self) -> ModelCall:
        """The call that it is a request of."""
        return self._attempts.call

    def __enter__(self) -> Self:
        """Begin it; the call's span is current inside, or its own one where the call took others before."""
        attempts = self._attempts
        self._start_ns = time.time_ns()
        self._number = attempts.begin(self)
        span = attempts.call.span
        if attempts.count > 1:
            span = self.make_span()
        if task_hook.watcher is not None and span is not attempts.call.span:
            task_hook.watcher.started(span)
        self._token = attach(Context({**current(), SPAN_KEY: span}))
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """End it; an exception passes through."""
        if task_hook.watcher is not None:
            task_hook.watcher.leaving()
        detach(self._token)
        self._end_ns = time.time_ns()
        attempts = self._attempts
        if error is None or not attempts.answered:
            attempts.call.answered_by(self.chunks, self._first_ns)
        if error is None:
            attempts.answered = True
            self.end_span(tried_again=False)
        else:
            self._error = error_type(error)
            attempts.failed(self)

    def make_span(self) -> Span:
        """Return its span, made now with the time at which it began."""
        if self._span is None:
            attributes: dict[str, AttributeValue] = {c.RETRY_ATTEMPT: self._number}
            if self.beside:
                attributes[c.HEDGE] = True
            below = Context({**current(), SPAN_KEY: self._attempts.call.span})
            self._span = telemetry.start_span(
                c.ATTEMPT_SPAN, SpanKind.CLIENT, attributes, start_ns=self._start_ns, context=below
            )
            if self._end_ns is not None and self._error is None:
                self.end_span(tried_again=False)
        return self._span

    def end_span(self, *, tried_again: bool) -> None:
        """End its span where it has one, at the time at which the request ended."""
        span = self._span
        if span is None:
            return
        if self._error is not None:
            span.set_attribute(c.ERROR_TYPE, self._error)
            span.set_status(Status(StatusCode.ERROR))
        if tried_again:
            span.set_attribute(c.RETRY_SCHEDULED, True)  # noqa: FBT003 - an attribute's value
        if task_hook.watcher is not None:
            task_hook.watcher.ended(span)
        span.end(self._end_ns)

    def set(self, name: str, value: AttributeValue) -> Self:
        """Set an attribute of this request: of its span, or of the call's while that is its only request."""
        span = self._span or self._attempts.call.span
        span.set_attribute(name, value)
        return self

    def stream(self, source: AsyncIterable[T], on_chunk: Callable[[T], object] | None = None) -> AsyncStream[T]:
        """Return `source` with its chunks counted and its first one timed; the block ends the request."""
        self._attempts.call.streams()
        return AsyncStream(source, self, None, on_chunk)

    def chunk(self) -> None:
        """Count a chunk of the stream; the first one fixes the time to first chunk."""
        if not self.chunks:
            self._first_ns = time.perf_counter_ns()
        self.chunks += 1
