"""The span of one call over all its requests: it begins with the first one and ends with the last."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from spanwise.helpers.attempts import Attempt
    from spanwise.helpers.model_call import ModelCall
    from spanwise_pipeline.calls.retrying import RetryCourse

T = TypeVar("T")


class RecordedCall:
    """A call that may take several requests.

    What it waits for before its first request (limits, an open circuit) is not the model's time, so the span begins
    with that request. Later waits and pauses are recorded below it.

    Args:
        course: when a failed request is followed by another.
        make: starts the span.
    """

    def __init__(self, course: RetryCourse, make: Callable[[], ModelCall]) -> None:
        self.course = course
        self._make = make
        self._call: ModelCall | None = None
        course.inside = self._inside

    def request(self, *, beside: bool = False) -> Attempt:
        """Return the block of a request; `beside`: another one is still open, and the first answer is taken."""
        if self._call is None:
            self._call = self._make()
        return self._call.attempt(beside=beside)

    async def answer(self, send: Callable[[int], Awaitable[T]]) -> T:
        """Return what `send` returns, called with the number of the attempt as often as the course allows."""
        answers: list[T] = []
        try:
            async for attempt in self.course.attempts():
                with attempt, self._inside():
                    answers.append(await send(attempt.retry_state.attempt_number))
        except BaseException as error:
            self._end(error)
            raise
        self._end()
        return answers[-1]

    def _inside(self) -> AbstractContextManager[object]:
        """Return a block in which the call's span is current, once there is one."""
        if self._call is None:
            return nullcontext()
        return trace.use_span(self._call.span, record_exception=False, set_status_on_exception=False)

    def _end(self, error: BaseException | None = None) -> None:
        if self._call is not None:
            self._call.end(error)
