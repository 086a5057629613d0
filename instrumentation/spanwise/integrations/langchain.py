"""Runs of LangChain and LangGraph: an invocation is a workflow, each node of a graph a step, tools are tools.

It is a callback handler of LangChain's own, so it works with `langchain-core` alone. LangChain tells of each part with
the id of the part around it, and copies the context for what runs inside a part. There the part's span is made current,
so that what a node calls is below it, in threads, tasks and streams alike, and nothing has to be taken back.
"""

from __future__ import annotations

from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise.helpers import factories
from spanwise.helpers.factories import Retrieval, ToolExecution
from spanwise.helpers.model_call import ModelCall
from spanwise.integrations import openai_sdk
from spanwise.integrations.patching import replace
from spanwise.otel.context import attach, current
from spanwise.process.contained import contained
from spanwise.recording import scope as scopes
from spanwise.recording.lazy_span import outside
from spanwise.recording.telemetry import own_tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from opentelemetry.context import Context

    from spanwise.helpers.base import SpanHelper

_TELLING: Final = contained("recording a part of a chain")
_MOST: Final = 100_000
"""Parts that may be open at once; an abandoned one may never be told to end."""
_NODE: Final = "langgraph_checkpoint_ns"
"""Metadata that all that one task of a graph does has in common."""


class _Part:
    """A part of a run that is open.

    Args:
        context: what is current inside it.
        helper: its span; none where what is in it belongs to the part around it.
        node: the task of a graph that it belongs to.
    """

    __slots__ = ("context", "helper", "node")

    def __init__(self, context: Context, helper: SpanHelper | None = None, node: object = None) -> None:
        self.context = context
        self.helper = helper
        self.node = node


_open: Final[dict[UUID, _Part]] = {}


def add() -> Callable[[], object]:
    """Record every invocation from now on; returns what ends it."""
    base: Any = import_module("langchain_core.callbacks.base").BaseCallbackHandler
    tracers: Any = import_module("langchain_core.tracers.context")
    # Every manager of callbacks asks for the variable, and its default is what it is in any context.
    recorder: Any = type("Recorder", (_Recorder, base), {})()
    handler: ContextVar[Any] = ContextVar("spanwise-langchain", default=recorder)
    tracers.register_configure_hook(handler, inheritable=True)
    hooks: list[Any] = tracers._configure_hooks  # noqa: SLF001 - there is no other way to take a hook back

    def end() -> None:
        hooks[:] = [one for one in hooks if one[0] is not handler]

    return end


def add_to_langchain_contexts() -> Callable[[], object]:
    """Make the span of a part current in what runs inside it."""
    return replace(import_module("langchain_core.runnables.config"), "_set_config_context", _inside)


def add_to_langgraph_contexts() -> Callable[[], object]:
    """Do the same in LangGraph, which has a function of its own for it."""
    return replace(import_module("langgraph._internal._runnable"), "_set_config_context", _inside)


def _inside(before: Callable[..., Any]) -> Callable[..., Any]:
    def set_config_context(config: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        with _TELLING:
            part = _open.get(getattr(config.get("callbacks"), "parent_run_id", None))  # type: ignore[arg-type]
            if part is not None:
                attach(part.context)  # in a copy of the context, which ends with the part
        return before(config, *args, **options)

    return set_config_context


def _begin(run_id: UUID, parent: UUID | None, helper: SpanHelper | None, node: object = None) -> None:
    """Open a part below its parent, or where it is called."""
    above = _open.get(parent) if parent is not None else None
    context = above.context if above is not None else current()
    if len(_open) >= _MOST:
        _open.pop(next(iter(_open)), None)
    inner = context if helper is None else helper.inside(context)
    _open[run_id] = _Part(inner, helper, node if node is not None or above is None else above.node)


def _end(run_id: UUID, error: BaseException | None = None) -> None:
    part = _open.pop(run_id, None)
    if part is not None and part.helper is not None:
        part.helper.end(None if error is None or _is_control_flow(error) else error)


def _is_control_flow(error: BaseException) -> bool:
    """Return whether an exception is how LangGraph interrupts a run or hands it on."""
    return any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__)


class _Recorder:
    """The handler; LangChain calls it where a part begins and ends, in the part's own thread and task."""

    run_inline = True

    def on_chain_start(
        self, _: object, __: object, *, run_id: UUID, parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None, **about: Any,
    ) -> None:  # fmt: skip
        with _TELLING:
            if own_tracer() is None:
                return
            name, node = str(about.get("name") or "chain"), (metadata or {}).get(_NODE)
            above = _open.get(parent_run_id) if parent_run_id is not None else None
            helper: SpanHelper | None = None
            if above is None:
                is_outermost = scopes.of(outside(current())).workflow is None
                helper = factories.workflow(name) if is_outermost else factories.step(name)
            elif _is_new(node, above):
                helper = factories.step(str((metadata or {})["langgraph_node"]))
            _begin(run_id, parent_run_id, helper, node)

    def on_chain_end(self, _: object, *, run_id: UUID, **__: object) -> None:
        with _TELLING:
            _end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: object) -> None:
        with _TELLING:
            _end(run_id, error)

    def on_tool_start(
        self, serialized: Mapping[str, Any] | None, input_str: str, *, run_id: UUID, parent_run_id: UUID | None = None,
        inputs: object = None, **about: Any,
    ) -> None:  # fmt: skip
        with _TELLING:
            if own_tracer() is None:
                return
            name = str(about.get("name") or (serialized or {}).get("name") or "tool")
            tool = factories.tool(name, call_id=about.get("tool_call_id"))
            _begin(run_id, parent_run_id, tool)
            tool.arguments(inputs if inputs is not None else input_str)

    def on_tool_end(self, output: object, *, run_id: UUID, **_: object) -> None:
        with _TELLING:
            part = _open.get(run_id)
            if part is not None and isinstance(part.helper, ToolExecution):
                part.helper.result(getattr(output, "content", output))
            _end(run_id)

    on_tool_error = on_chain_error

    def on_retriever_start(
        self, serialized: Mapping[str, Any] | None, query: str, *, run_id: UUID, parent_run_id: UUID | None = None,
        **about: Any,
    ) -> None:  # fmt: skip
        with _TELLING:
            if own_tracer() is None:
                return
            retrieval = factories.retrieval(str(about.get("name") or (serialized or {}).get("name") or "retriever"))
            _begin(run_id, parent_run_id, retrieval)
            retrieval.query(query)

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **_: object) -> None:
        with _TELLING:
            part = _open.get(run_id)
            if part is not None and isinstance(part.helper, Retrieval):
                part.helper.documents([{"id": str(one.id)} for one in documents if getattr(one, "id", None)])
            _end(run_id)

    on_retriever_error = on_chain_error

    def on_chat_model_start(
        self, serialized: Mapping[str, Any] | None, _: object, *, run_id: UUID, parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None, **about: Any,
    ) -> None:  # fmt: skip
        with _TELLING:
            if own_tracer() is None:
                return
            known: Mapping[str, Any] = metadata or {}
            asked = _as_mapping(about.get("invocation_params"))
            provider = str(known.get("ls_provider") or "unknown")
            if provider in {"openai", "azure"} and openai_sdk.is_instrumented():
                return  # the client's own span is the call's
            model = (
                known.get("ls_model_name")
                or asked.get("model")
                or asked.get("model_name")
                or (serialized or {}).get("name")
            )
            _begin(run_id, parent_run_id, factories.llm_call(str(model or ""), provider=provider))

    on_llm_start = on_chat_model_start

    def on_llm_new_token(self, *_: object, run_id: UUID, **__: object) -> None:
        with _TELLING:
            part = _open.get(run_id)
            if part is not None and isinstance(part.helper, ModelCall):
                part.helper.chunk()

    def on_llm_end(self, response: Any, *, run_id: UUID, **_: object) -> None:
        with _TELLING:
            part = _open.get(run_id)
            if part is not None and isinstance(part.helper, ModelCall):
                with _TELLING:
                    _answered(part.helper, response)
            _end(run_id)

    on_llm_error = on_chain_error


def _is_new(node: object, above: _Part) -> bool:
    """Return whether a part is the first of a graph's task, and not something inside of it."""
    return node is not None and node != above.node


def _answered(call: ModelCall, response: Any) -> None:
    """Record what a model's answer says of itself."""
    message = getattr(response.generations[0][0], "message", None)
    about, used = (
        _as_mapping(getattr(message, "response_metadata", 0)),
        _as_mapping(getattr(message, "usage_metadata", 0)),
    )
    model, reason = about.get("model_name") or about.get("model"), about.get("finish_reason")
    call.response(
        id=str(getattr(message, "id", None) or ""),
        model=str(model or ""),
        finish_reasons=[str(reason)] if reason else [],
    )
    if used:
        call.usage(
            used.get("input_tokens"), used.get("output_tokens"),
            cached_tokens=_as_mapping(used.get("input_token_details")).get("cache_read"),
            reasoning_tokens=_as_mapping(used.get("output_token_details")).get("reasoning"),
        )  # fmt: skip


def _as_mapping(found: object) -> Mapping[str, Any]:
    """Return what is a mapping as it is; an empty one else."""
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
