"""The run of a whole program, which `spanwise run` begins: for what the program does outside of runs of its own.

It is the current span from the program's first line on, in whatever thread or task. A workflow of the program's own, or
a request that it serves, is a run by itself; where there were only those, the program's run is not recorded.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise.helpers.factories import Workflow
from spanwise.helpers.lazy import Lazy
from spanwise.otel.context import attach
from spanwise.recording import telemetry as active_telemetry
from spanwise.recording.tracer import bits

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

    from spanwise.recording.telemetry import Telemetry

_SERVERS: Final = ("gunicorn.arbiter", "hypercorn.run", "uvicorn.server")
"""Modules that serve requests: a program that has loaded one and recorded nothing itself is no run."""


class ProgramRun(Lazy, Workflow):
    """The workflow around a program.

    Args:
        name: of the program.
        elsewhere: the span of the process that started this one, where that has begun the run.
    """

    def __init__(self, name: str, elsewhere: SpanContext | None = None) -> None:
        attributes = {c.OPERATION_NAME: "invoke_workflow", c.WORKFLOW_NAME: name, c.RUN_ID: f"{bits(128):032x}"}
        super().__init__(c.span_name("invoke_workflow", name), attributes=attributes)
        self._elsewhere = elsewhere

    def _begin(self, context: Context) -> None:
        super()._begin(context)
        self.lazy_span.gives_way = True
        if self._elsewhere is not None:
            self.lazy_span.leave_to(self._elsewhere)

    def leave_to_parent(self) -> None:
        """Be the run of the process that this one was forked from."""
        self.lazy_span.leave_to()

    def follow(self, telemetry: Telemetry) -> None:
        """Go on in another set-up of recording."""
        if telemetry.own_tracer is not None:
            self.lazy_span.own_tracer = telemetry.own_tracer

    def end(self, error: BaseException | None = None) -> None:
        """End it, and record it unless the program had runs of its own and nothing besides."""
        if not self.lazy_span.was_left and sys.modules.keys().isdisjoint(_SERVERS):
            self.lazy_span.announce()
        super().end(error)


_run: ProgramRun | None = None


def begin(name: str, elsewhere: SpanContext | None = None) -> SpanContext | None:
    """Begin the run of this program, once, and return its identity; `None` where nothing is recorded."""
    global _run  # noqa: PLW0603 - a process runs one program
    if active_telemetry.own_tracer() is None:
        return None
    run = ProgramRun(name, elsewhere)
    attach(run.inside())
    _run = run
    return run.context


def end() -> None:
    """End the run of this program, with the exception that ended the program, where one did."""
    global _run
    ended, _run = _run, None
    if ended is not None:
        ended.end(getattr(sys, "last_value", None))


def _begin_anew() -> None:
    """In a forked child: the run is its parent's."""
    if _run is not None:
        _run.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def follow(telemetry: Telemetry) -> None:
    """Have the run of this program recorded by `telemetry` from now on."""
    if _run is not None:
        _run.follow(telemetry)
