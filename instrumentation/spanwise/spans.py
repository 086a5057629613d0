"""The span helpers: each is a context manager and a decorator, for plain and async code alike.

    with spanwise.agent("risk") as span: ...

    @spanwise.tool("prices")
    async def prices(ticker: str) -> list[float]: ...

The name of the enclosing workflow and agent reaches every span below, and tokens of model calls are summed on them.
What they are told of content is recorded only where the settings allow it (`spanwise.content`). An exception passes
through unchanged; by default its type is what the span keeps of it.
"""

from __future__ import annotations

import functools
import inspect
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Self, TypeVar, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from spanwise import conventions as c
from spanwise import runtime, watching
from spanwise import scope as scopes
from spanwise.content import messages as forms

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import Span

    from spanwise.content.policy import Kind

P = ParamSpec("P")
R = TypeVar("R")
AttributeValue = str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
_NOT_ERRORS: Final = (GeneratorExit,)


def error_type(error: BaseException) -> str:
    """Return `error.type` of an exception: an HTTP status code where it has one, else its qualified class name."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return str(status)
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _allowed(kind: Kind) -> bool:
    guard = runtime.guard()
    return guard is not None and guard.allows(kind)


def waits_on(released_by: SpanContext, reason: c.LinkReason = "waits_on") -> Link:
    """Return the link from a span to the one that it waited for."""
    return Link(released_by, {c.LINK_REASON: reason})


class Recorded:
    """A span as a context manager, or around each call of a function that it decorates.

    Entering it twice at the same time is an error of the caller; a decorator makes a new one for each call.
    """

    def __init__(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, AttributeValue | None] | None = None,
        links: Sequence[Link] = (),
    ) -> None:
        self._name = name
        self._kind = kind
        self._attributes = {key: value for key, value in (attributes or {}).items() if value is not None}
        self._links = links
        self._span: Span = trace.INVALID_SPAN
        self._token: Any = None
        self._began_ns = 0
        self._ended = False

    @property
    def span(self) -> Span:
        """The OpenTelemetry span; a non-recording one before entering."""
        return self._span

    @property
    def context(self) -> SpanContext:
        """The identity of the span, to link to."""
        return self._span.get_span_context()

    def set(self, name: str, value: AttributeValue) -> Self:
        """Set an attribute; use names of `spanwise.conventions` or your own."""
        self._span.set_attribute(name, value)
        return self

    def fail(self, kind: str) -> None:
        """Mark the span as ended in an error of that `error.type`, without an exception."""
        self._span.set_attribute(c.ERROR_TYPE, kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def start(self) -> Self:
        """Start the span without making it current; end it with `end`."""
        outer = scopes.current()
        self._began_ns = time.time_ns()
        name, attributes = self._name, outer.attributes() | self._attributes
        if (guard := runtime.guard()) is not None:
            name, attributes = guard.text(name), cast("Any", guard.attributes(attributes))
        self._span = runtime.tracer().start_span(
            name,
            kind=self._kind,
            attributes=cast("Any", attributes),
            links=self._links,
            start_time=self._began_ns,
            record_exception=False,
            set_status_on_exception=False,
        )
        if watching.watcher is not None:
            watching.watcher.started(self._span)
        return self

    def end(self, error: BaseException | None = None) -> None:
        """End the span, once; later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        guard = runtime.guard()
        if error is not None and not isinstance(error, _NOT_ERRORS):
            self.fail(error_type(error))
            if guard is not None:
                guard.tell(self._span, error, error_type(error))
        self._before_end()
        if watching.watcher is not None:
            watching.watcher.ended(self._span)
        if guard is not None and runtime.shared():
            guard.before_end(self._span)
        # Trace stores mark a span without duration as broken, and a clock can stand still or go back.
        self._span.end(max(time.time_ns(), self._began_ns + 1))

    def _before_end(self) -> None:
        """Let a subclass write what it gathered."""

    def records(self, kind: Kind) -> bool:
        """Whether content of that kind is recorded: to spare the making of what would not be."""
        return self._span.is_recording() and _allowed(kind)

    def _content(self, kind: Kind, name: str, value: object) -> None:
        """Record content of a kind, as JSON unless it is text, where that kind is allowed."""
        if not self.records(kind):
            return
        text = value if isinstance(value, str) else forms.encoded(value)
        if text is not None:
            self._span.set_attribute(name, text)

    def _scope(self, outer: scopes.Scope) -> scopes.Scope:
        return outer

    def __enter__(self) -> Self:
        """Start the span and make it current."""
        outer = scopes.current()
        self.start()
        inner = scopes.bind(self._scope(outer), trace.set_span_in_context(self._span))
        self._token = otel_context.attach(inner)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """End the span; an exception passes through."""
        if watching.watcher is not None:
            watching.watcher.leaving()
        otel_context.detach(self._token)
        self.end(error)

    async def __aenter__(self) -> Self:
        """Start the span and make it current."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End the span; an exception passes through."""
        self.__exit__(kind, error, where)

    def _fresh(self) -> Self:
        return type(self)(self._name, kind=self._kind, attributes=self._attributes, links=self._links)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function` with a span around each call; coroutine functions stay coroutine functions.

        Raises:
            TypeError: `function` is a generator, whose span would end before its first value.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__} is a generator: use the helper as a context manager around its use"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def traced_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self._fresh():
                    return await cast("Any", function(*args, **kwargs))

            return cast("Callable[P, R]", traced_async)

        @functools.wraps(function)
        def traced(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._fresh():
                return function(*args, **kwargs)

        return traced


class _Enclosing(Recorded):
    """A workflow or an agent: its name reaches the spans below, whose tokens are summed on it."""

    _usage: scopes.Usage | None = None

    def _open(self, scope: scopes.Scope) -> scopes.Scope:
        self._usage = scope.usage
        return scope

    def _before_end(self) -> None:
        if self._usage is not None and self._usage.calls:
            self.set(c.USAGE_INPUT_TOKENS, self._usage.input_tokens)
            self.set(c.USAGE_OUTPUT_TOKENS, self._usage.output_tokens)


class Workflow(_Enclosing):
    """A span `invoke_workflow {name}`: one run."""

    def start(self) -> Self:
        """Start the span without making it current; an outermost one gets a run id of its own."""
        if c.RUN_ID not in self._attributes and scopes.current().workflow is None:
            self._attributes = self._attributes | {c.RUN_ID: uuid.uuid4().hex}
        return super().start()

    def _scope(self, outer: scopes.Scope) -> scopes.Scope:
        return self._open(outer.within(workflow=str(self._attributes[c.WORKFLOW_NAME])))

    @property
    def run_id(self) -> str:
        """Identity of the run; empty before entering."""
        return str(self._attributes.get(c.RUN_ID, ""))

    def grade(self, grade: str, score: float) -> None:
        """Record how good the answer of the run is."""
        self.set(c.QUALITY_GRADE, grade).set(c.QUALITY_SCORE, float(score))


class Agent(_Enclosing):
    """A span `invoke_agent {name}`."""

    def _scope(self, outer: scopes.Scope) -> scopes.Scope:
        return self._open(outer.within(agent=str(self._attributes[c.AGENT_NAME])))


class Plan(Recorded):
    """A span `plan {agent}`."""

    def start(self) -> Self:
        """Start the span without making it current; it is named after the enclosing agent where it names none."""
        if c.AGENT_NAME not in self._attributes:
            self._name = c.span_name("plan", scopes.current().agent)
        return super().start()


class ModelCall(Recorded):
    """A span of a model call; a stream's chunks are told to it one by one."""

    _chunks = 0
    _first_ns: int | None = None
    _started_ns = 0

    def start(self) -> Self:
        """Start the span without making it current."""
        self._usage = scopes.current().usage
        self._started_ns = time.perf_counter_ns()
        return super().start()

    def instructions(self, text: str) -> None:
        """Record instructions that are sent beside the messages, where they are allowed."""
        self._content("system_instructions", c.SYSTEM_INSTRUCTIONS, [{"type": "text", "content": text}])

    def input(self, messages: Sequence[forms.Message], *, tools: Sequence[Mapping[str, Any]] = ()) -> None:
        """Record what is sent, where prompts are allowed; instructions among the messages need their own kind.

        Args:
            messages: in OpenAI's form or that of the GenAI conventions.
            tools: definitions of the tools on offer.
        """
        if tools:
            self._content("tool_definitions", c.TOOL_DEFINITIONS, tools)
        if not self.records("prompts"):
            return
        whole = _allowed("system_instructions")
        sent = [one for one in messages if whole or one.get("role") not in forms.INSTRUCTING]
        self._content("prompts", c.INPUT_MESSAGES, forms.in_convention(sent))

    def output(self, text: str, *, tool_calls: Sequence[forms.Message] = (), finish_reason: str = "") -> None:
        """Record the answer, where completions are allowed; `tool_calls` are in OpenAI's form."""
        if self.records("completions"):
            self._content("completions", c.OUTPUT_MESSAGES, forms.of_answer(text, tool_calls, finish_reason))

    def chunk(self) -> None:
        """Count a chunk of the stream; the first one fixes the time to first chunk."""
        if self._first_ns is None:
            self._first_ns = time.perf_counter_ns()
        self._chunks += 1

    def usage(self, input_tokens: int, output_tokens: int, *, cached_tokens: int | None = None) -> None:
        """Record the tokens of the call (cached ones are part of the input) and add them to agent and workflow."""
        self.set(c.USAGE_INPUT_TOKENS, input_tokens).set(c.USAGE_OUTPUT_TOKENS, output_tokens)
        if cached_tokens:
            self.set(c.USAGE_CACHE_READ_INPUT_TOKENS, cached_tokens)
        if self._usage is not None:
            self._usage.add(input_tokens, output_tokens)

    def response(self, *, id: str, model: str, finish_reasons: Sequence[str] = ()) -> None:  # noqa: A002 - its name
        """Record what the provider said of its answer."""
        self.set(c.RESPONSE_ID, id).set(c.RESPONSE_MODEL, model)
        if finish_reasons:
            self.set(c.RESPONSE_FINISH_REASONS, list(finish_reasons))

    def _before_end(self) -> None:
        if self._first_ns is not None:
            self.set(c.RESPONSE_TIME_TO_FIRST_CHUNK, (self._first_ns - self._started_ns) / 1e9)
            self.set(c.STREAM_CHUNKS, self._chunks)


class ToolExecution(Recorded):
    """A span `execute_tool {name}`."""

    def arguments(self, arguments: object) -> None:
        """Record the arguments of the call, where they are allowed: text as it is, anything else as JSON."""
        self._content("tool_arguments", c.TOOL_CALL_ARGUMENTS, arguments)

    def result(self, result: object) -> None:
        """Record the result of the call, where it is allowed: text as it is, anything else as JSON."""
        self._content("tool_results", c.TOOL_CALL_RESULT, result)


class Retrieval(Recorded):
    """A span `retrieval {source}`."""

    def query(self, text: str) -> None:
        """Record what was searched for, where it is allowed."""
        self._content("retrieval", c.RETRIEVAL_QUERY_TEXT, text)

    def documents(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Record what was found, where it is allowed: an `id` and a `score` each."""
        self._content("retrieval", c.RETRIEVAL_DOCUMENTS, documents)


class CacheLookup(Recorded):
    """A span `cache_lookup {name}`."""

    def result(
        self,
        result: c.CacheResult,
        *,
        age: float | None = None,
        saved_seconds: float | None = None,
        saved_tokens: int | None = None,
    ) -> None:
        """Record how the lookup ended. Durations are real seconds; what was saved belongs to hit and coalesced."""
        self.set(c.CACHE_RESULT, result)
        for name, value in (
            (c.CACHE_AGE, age), (c.CACHE_SAVED_SECONDS, saved_seconds), (c.CACHE_SAVED_TOKENS, saved_tokens),
        ):  # fmt: skip
            if value is not None:
                self.set(name, value)


def workflow(
    name: str,
    *,
    run_id: str | None = None,
    variant: str | None = None,
    flags: Mapping[str, object] | None = None,
    links: Sequence[Link] = (),
) -> Workflow:
    """Span of a run: the entry point that coordinates agents.

    Args:
        name: of the workflow.
        run_id: identity of the run, 32 hex digits by default; give it to continue a run elsewhere.
        variant: which form of the workflow this is (a preset).
        flags: its settings, recorded as one JSON text.
        links: to other spans.
    """
    attributes: dict[str, AttributeValue | None] = {
        c.OPERATION_NAME: "invoke_workflow",
        c.WORKFLOW_NAME: name,
        c.RUN_ID: run_id,
        c.RUN_VARIANT: variant,
        c.RUN_FLAGS: json.dumps(dict(flags), sort_keys=True, default=str) if flags is not None else None,
    }
    return Workflow(c.span_name("invoke_workflow", name), attributes=attributes, links=links)


def agent(name: str, *, links: Sequence[Link] = (), step: str | None = None, role: str | None = None) -> Agent:
    """Span of an agent's invocation; `step` and `role` name the step of a graph that it is."""
    attributes = {c.OPERATION_NAME: "invoke_agent", c.AGENT_NAME: name, c.STEP_NAME: step, c.STEP_ROLE: role}
    return Agent(c.span_name("invoke_agent", name), attributes=attributes, links=links)


def plan(agent_name: str | None = None) -> Plan:
    """Span of the planning phase of an agent (default: the enclosing one); the model call that plans is its child."""
    attributes = {c.OPERATION_NAME: "plan", c.AGENT_NAME: agent_name}
    return Plan(c.span_name("plan", agent_name), attributes=attributes)


def tool(
    name: str,
    *,
    call_id: str | None = None,
    tool_type: str = "function",
    links: Sequence[Link] = (),
) -> ToolExecution:
    """Span of one tool call; `tool_type` is function, extension or datastore."""
    attributes = {c.OPERATION_NAME: "execute_tool", c.TOOL_NAME: name, c.TOOL_TYPE: tool_type, c.TOOL_CALL_ID: call_id}
    return ToolExecution(c.span_name("execute_tool", name), attributes=attributes, links=links)


def llm_call(
    model: str,
    *,
    provider: str = "openai",
    stream: bool = False,
    max_tokens: int | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    server: tuple[str, int] | None = None,
    attempt: int | None = None,
) -> ModelCall:
    """Span `chat {model}` of one request to a model; `attempt` counts from 1 where the caller retries."""
    attributes: dict[str, AttributeValue | None] = {
        c.OPERATION_NAME: "chat",
        c.PROVIDER_NAME: provider,
        c.REQUEST_MODEL: model,
        c.REQUEST_STREAM: True if stream else None,
        c.REQUEST_MAX_TOKENS: max_tokens,
        c.REQUEST_TEMPERATURE: temperature,
        c.REQUEST_SEED: seed,
        c.SERVER_ADDRESS: server[0] if server else None,
        c.SERVER_PORT: server[1] if server else None,
        c.RETRY_ATTEMPT: attempt,
    }
    return ModelCall(c.span_name("chat", model), kind=SpanKind.CLIENT, attributes=attributes)


def embeddings(model: str, *, provider: str = "openai", dimensions: int | None = None) -> ModelCall:
    """Span `embeddings {model}` of one request for embeddings."""
    attributes: dict[str, AttributeValue | None] = {
        c.OPERATION_NAME: "embeddings",
        c.PROVIDER_NAME: provider,
        c.REQUEST_MODEL: model,
        c.EMBEDDINGS_DIMENSION_COUNT: dimensions,
    }
    return ModelCall(c.span_name("embeddings", model), kind=SpanKind.CLIENT, attributes=attributes)


def retrieval(source: str, *, top_k: int | None = None) -> Retrieval:
    """Span `retrieval {source}` of a search in a data source."""
    attributes = {c.OPERATION_NAME: "retrieval", c.DATA_SOURCE_ID: source, c.RETRIEVAL_TOP_K: top_k}
    return Retrieval(c.span_name("retrieval", source), kind=SpanKind.CLIENT, attributes=attributes)


def cache_lookup(
    name: str, *, tier: str = "memory", kind: str = "exact", key_hash: str | None = None, ttl: float | None = None
) -> CacheLookup:
    """Span `cache_lookup {name}`; tell it the result. `kind` is exact or semantic; `ttl` is real seconds."""
    attributes = {
        c.CACHE_NAME: name,
        c.CACHE_TIER: tier,
        c.CACHE_KIND: kind,
        c.CACHE_KEY_HASH: key_hash,
        c.CACHE_TTL: ttl,
    }
    return CacheLookup(c.span_name(c.CACHE_LOOKUP_SPAN, name), attributes=attributes)


def step(name: str, *, role: str | None = None, links: Sequence[Link] = ()) -> Recorded:
    """Span `step {name}` of a graph's step that is neither an agent nor a tool."""
    attributes = {c.STEP_NAME: name, c.STEP_ROLE: role}
    return Recorded(c.span_name(c.STEP_SPAN, name), attributes=attributes, links=links)
