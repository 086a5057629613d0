"""Runs of the OpenAI Agents SDK: a trace is a workflow, with its agents, tools, handoffs, guardrails and model calls.

It is a tracing processor of the SDK's own, beside those that are there. The SDK tells of each span in the task that it
runs in, so the span is made current there until its end. A model call gives way to the span of the client's own
instrumentation, which knows the first chunk and the attempts; other models are recorded by what the SDK tells of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise import conventions as c
from spanwise.helpers import factories
from spanwise.helpers.factories import ToolExecution
from spanwise.helpers.lazy import Lazy
from spanwise.helpers.model_call import ModelCall
from spanwise.otel.context import attach, current, detach
from spanwise.process.contained import contained
from spanwise.recording.telemetry import own_tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context

    from spanwise.helpers.base import SpanHelper

_TELLING: Final = contained("recording a span of the Agents SDK")
_MOST: Final = 100_000
"""Spans that may be open at once; an abandoned one may never be told to end."""
_FAILED: Final = "_OTHER"
"""`error.type` where the SDK tells only a message."""


def add() -> Callable[[], object]:
    """Record every trace from now on; returns what ends it."""
    tracing: Any = import_module("agents.tracing")
    base: Any = import_module("agents.tracing.processor_interface").TracingProcessor
    recorder: Any = type("Recorder", (_Recorder, base), {})()
    tracing.add_trace_processor(recorder)

    def end() -> None:
        recorder.is_on = False  # the SDK does not give a processor back

    return end


class Generation(Lazy, ModelCall):
    """A model call that gives way to the client's own span of it."""

    def end(self, error: BaseException | None = None) -> None:
        """End it, and record it unless another span is the call's."""
        if not self.lazy_span.was_left:
            self.lazy_span.announce()
        super().end(error)


class _Open:
    """A span that is open.

    Args:
        helper: ours; none where what is below it belongs to the span around it.
        context: what is current inside it.
    """

    __slots__ = ("context", "helper", "token")

    def __init__(self, helper: SpanHelper | None, context: Context) -> None:
        self.helper = helper
        self.context = context
        self.token = attach(context)


class _Recorder:
    """The processor; the SDK calls it where a trace or a span begins and ends."""

    def __init__(self) -> None:
        self.is_on = True
        self._open: dict[str, _Open] = {}

    def on_trace_start(self, trace: Any) -> None:
        with _TELLING:
            self._begin(trace.trace_id, None, factories.workflow(str(trace.name)))

    def on_trace_end(self, trace: Any) -> None:
        with _TELLING:
            self._end(trace.trace_id)

    def on_span_start(self, span: Any) -> None:
        with _TELLING:
            self._begin(span.span_id, span.parent_id or span.trace_id, _helper_of(span.span_data))

    def on_span_end(self, span: Any) -> None:
        with _TELLING:
            opened = self._open.get(span.span_id)
            helper = opened.helper if opened is not None else None
            if helper is not None:
                with _TELLING:
                    _tell(helper, span.span_data)
                if span.error:
                    helper.fail(_FAILED)
            self._end(span.span_id)

    def shutdown(self) -> None:
        """Nothing is kept here."""

    def force_flush(self) -> None:
        """Nothing is kept here."""

    def _begin(self, identity: str, parent: str | None, helper: SpanHelper | None) -> None:
        if not self.is_on or own_tracer() is None:
            return
        above = self._open.get(parent) if parent is not None else None
        context = current() if above is None else above.context
        if len(self._open) >= _MOST:
            self._open.pop(next(iter(self._open)), None)
        self._open[identity] = _Open(helper, context if helper is None else helper.inside(context))

    def _end(self, identity: str) -> None:
        opened = self._open.pop(identity, None)
        if opened is not None:
            detach(opened.token)
            if opened.helper is not None:
                opened.helper.end()


def _helper_of(data: Any) -> SpanHelper | None:
    """Return what a span of the SDK is here; `None` for its own bookkeeping, such as turns."""
    kind = str(data.type)
    if kind == "agent":
        return factories.agent(str(data.name))
    if kind == "function":
        return factories.tool(str(data.name))
    if kind in {"generation", "response"}:
        call = factories.llm_call(str(getattr(data, "model", None) or ""))
        return Generation(call.name, kind=call.kind, attributes=call.attributes)
    if kind == "mcp_tools":
        return factories.step("list tools")
    if kind in {"custom", "guardrail"}:
        return factories.step(f"guardrail {data.name}" if kind == "guardrail" else str(data.name))
    return factories.step("handoff") if kind == "handoff" else None


def _tell(helper: SpanHelper, data: Any) -> None:
    """Record what the SDK knows of a span at its end."""
    if isinstance(helper, ToolExecution):
        helper.arguments(data.input)
        helper.result(data.output)
    elif isinstance(helper, ModelCall):
        _answered(helper, data)
    elif data.type == "handoff" and data.to_agent:
        name = f"handoff to {data.to_agent}"
        helper.set(c.STEP_NAME, name).span.update_name(c.span_name(c.STEP_SPAN, name))


def _answered(call: ModelCall, data: Any) -> None:
    response = getattr(data, "response", None)
    if response is not None:
        call.set(c.REQUEST_MODEL, str(response.model)).span.update_name(c.span_name("chat", str(response.model)))
        call.response(id=str(response.id), model=str(response.model))
    used = _as_mapping(data.usage)
    if used:
        call.usage(
            used.get("input_tokens"), used.get("output_tokens"),
            cached_tokens=_as_mapping(used.get("input_tokens_details")).get("cached_tokens"),
            reasoning_tokens=_as_mapping(used.get("output_tokens_details")).get("reasoning_tokens"),
        )  # fmt: skip


def _as_mapping(found: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
