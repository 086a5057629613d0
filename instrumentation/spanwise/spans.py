"""The span helpers: each is a context manager and a decorator, for plain and async code alike.

    with spanwise.agent("risk") as span: ...

    @spanwise.tool("prices")
    async def prices(ticker: str) -> list[float]: ...

The name of the enclosing workflow and agent reaches every span below, and tokens of model calls are summed on them.
What they are told of content is recorded only where the settings allow it (`spanwise.content`). An exception passes
through unchanged; by default its type is what the span keeps of it.
"""

from __future__ import annotations

import json
import time
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from spanwise import conventions as c
from spanwise import fingerprints
from spanwise import scope as scopes
from spanwise.content import messages as forms
from spanwise.context import SPAN_KEY
from spanwise.recorded import AttributeValue, Recorded, harmless
from spanwise.scope import with_span
from spanwise.span_maker import bits
from spanwise.streams import AsyncStream, Stream
from spanwise.values import text

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence


T = TypeVar("T")
V = TypeVar("V")
_CLIENT: Final = SpanKind.CLIENT
_SETTINGS: Final = (c.REQUEST_MODEL, c.REQUEST_SEED, c.REQUEST_TEMPERATURE, c.REQUEST_MAX_TOKENS)


class _Enclosing(Recorded):
    """A workflow or an agent: its name reaches the spans below, whose tokens are summed on it."""

    _announced = True
    _usage: scopes.Usage | None = None

    def _inside(self, context: Context) -> Context:
        inner = self._scope(scopes.of(context))
        self._usage = inner.usage
        return with_span(context, self._span, inner)

    def _scope(self, outer: scopes.Scope) -> scopes.Scope:
        raise NotImplementedError

    def _before_end(self) -> None:
        if self._usage is not None and self._usage.calls:
            self.set(c.USAGE_INPUT_TOKENS, self._usage.input_tokens)
            self.set(c.USAGE_OUTPUT_TOKENS, self._usage.output_tokens)


class Workflow(_Enclosing):
    """A span `invoke_workflow {name}`: one run."""

    def _begin(self, context: Context) -> None:
        # an outermost one gets a run id of its own
        if c.RUN_ID not in self._attributes and scopes.of(context).workflow is None:
            self._attributes = {**self._attributes, c.RUN_ID: f"{bits(128):032x}"}
        super()._begin(context)

    def _scope(self, outer: scopes.Scope) -> scopes.Scope:
        run_id = self._attributes.get(c.RUN_ID)
        return outer.below_workflow(str(self._attributes[c.WORKFLOW_NAME]), None if run_id is None else text(run_id))

    @property
    def run_id(self) -> str:
        """Identity of the run; empty before entering."""
        return str(self._attributes.get(c.RUN_ID, ""))

    @harmless
    def grade(self, grade: str, score: float) -> None:
        """Record how good the answer of the run is."""
        self.set(c.QUALITY_GRADE, grade).set(c.QUALITY_SCORE, float(score))


class Agent(_Enclosing):
    """A span `invoke_agent {name}`."""

    def _scope(self, outer: scopes.Scope) -> scopes.Scope:
        return outer.below_agent(str(self._attributes[c.AGENT_NAME]))


class Plan(Recorded):
    """A span `plan {agent}`."""

    def _begin(self, context: Context) -> None:
        if c.AGENT_NAME not in self._attributes:  # it is named after the enclosing agent where it names none
            self._name = c.span_name("plan", scopes.of(context).agent)
        super()._begin(context)


class _Returning(Recorded):
    """A span of something that returns text: a hash of what was asked and of what came back, if no more of it."""

    def _fingerprints(self) -> bool:
        return self._hashes and self._span.is_recording()

    def _asked(self, name: str, value: object) -> None:
        if self._fingerprints() and (digest := fingerprints.of_value(name, value)) is not None:
            self.set(c.REQUEST_HASH, digest)

    def _returned(self, text: str, *more: object) -> None:
        if not self._fingerprints():
            return
        if (digest := fingerprints.of_value(text, more) if more else fingerprints.of_text(text)) is not None:
            self.set(c.RESPONSE_HASH, digest)
        usage = self._above.usage
        new = usage.texts.written(self.context.span_id, text) if usage is not None else None
        if new is not None:
            self.set(c.RESPONSE_NEW_CHARACTERS, new)


class ModelCall(_Returning):
    """A span of a model call; a stream's chunks are told to it one by one, or it reads the stream itself."""

    chunks = 0
    """How many were read so far, without those that took a number from `further`."""
    further: Iterator[int] = iter(())
    """Numbers chunks from 1 where no code of Python's runs between them."""
    _output_tokens = 0
    _first_ns = 0
    _streamed = False
    _instructions = ""

    def start(self) -> Self:
        """Start the span without making it current; end it with `end`, or let its stream do so."""
        super().start()
        self._started_ns = time.perf_counter_ns()
        return self

    def _inside(self, context: Context) -> Context:
        self._started_ns = time.perf_counter_ns()  # after the start: no chunk may seem to come after the end
        return Context({**context, SPAN_KEY: self._span})

    @harmless
    def instructions(self, text: str) -> None:
        """Record instructions that are sent beside the messages, where they are allowed; before `input`."""
        self._instructions = text
        self.content("system_instructions", c.SYSTEM_INSTRUCTIONS, [{"type": "text", "content": text}])

    def input(self, messages: Sequence[forms.Message], *, tools: Sequence[Mapping[str, Any]] = ()) -> None:
        """Record what is sent, where prompts are allowed; instructions among the messages need their own kind.

        Hashes of it are recorded where the settings allow them (`spanwise.fingerprints`).

        Args:
            messages: in OpenAI's form or that of the GenAI conventions.
            tools: definitions of the tools on offer.
        """
        guard = self._guard
        if self._hashes or (guard is not None and guard.kinds):
            self._tell_input(messages, tools)

    @harmless
    def _tell_input(self, messages: Sequence[forms.Message], tools: Sequence[Mapping[str, Any]]) -> None:
        if self._hashes and self._span.is_recording():
            self._compared(messages, tools)
        if tools:
            self.content("tool_definitions", c.TOOL_DEFINITIONS, tools)
        if not self.records("prompts"):
            return
        whole = self.records("system_instructions")
        sent = [one for one in messages if whole or one.get("role") not in forms.INSTRUCTING]
        self.content("prompts", c.INPUT_MESSAGES, forms.in_convention(sent))

    def _compared(self, messages: Sequence[forms.Message], tools: Sequence[Mapping[str, Any]]) -> None:
        told = [{"role": "system", "content": self._instructions}] if self._instructions else []
        settings = {name: self._attributes.get(name) for name in _SETTINGS}
        request = fingerprints.of_request(settings, [*told, *messages], tools)
        if request is None:
            return
        self.set(c.REQUEST_HASH, request.hash)
        if request.prefixes:
            self.set(c.REQUEST_PREFIX_HASHES, " ".join(request.prefixes))
        if (usage := self._above.usage) is not None:
            self.set(c.REQUEST_SOURCES, " ".join(usage.texts.read(request.texts)))

    def output(self, text: str, *, tool_calls: Sequence[forms.Message] = (), finish_reason: str = "") -> None:
        """Record the answer, where completions are allowed; `tool_calls` are in OpenAI's form."""
        guard = self._guard
        if self._hashes or (guard is not None and guard.kinds):
            self._tell_output(text, tool_calls, finish_reason)

    @harmless
    def _tell_output(self, text: str, tool_calls: Sequence[forms.Message], finish_reason: str) -> None:
        if self._hashes:
            self._returned(text, *tool_calls)
        if self.records("completions"):
            self.content("completions", c.OUTPUT_MESSAGES, forms.of_answer(text, tool_calls, finish_reason))

    def chunk(self) -> None:
        """Count a chunk of the stream; the first one fixes the time to first chunk."""
        if not self.chunks:
            self._first_ns = time.perf_counter_ns()
        self.chunks += 1

    def yielded(self) -> None:
        """Count a value of a decorated generator as a chunk."""
        self._streamed = True
        self.chunk()

    def usage(self, input_tokens: int, output_tokens: int, *, cached_tokens: int | None = None) -> None:
        """Record the tokens of the call (cached ones are part of the input) and add them to agent and workflow."""
        told = {c.USAGE_INPUT_TOKENS: input_tokens, c.USAGE_OUTPUT_TOKENS: output_tokens}
        try:  # `harmless` by hand, here and below: it is one more call
            if cached_tokens:
                told[c.USAGE_CACHE_READ_INPUT_TOKENS] = cached_tokens
            self._span.set_attributes(told)
            self._output_tokens = output_tokens
            if (usage := self._above.usage) is not None:
                usage.add(input_tokens, output_tokens)
        except Exception:  # noqa: BLE001
            return

    @overload
    def stream(self, source: Iterable[T], on_chunk: Callable[[T], object] | None = None) -> Stream[T]: ...

    @overload
    def stream(self, source: AsyncIterable[T], on_chunk: Callable[[T], object] | None = None) -> AsyncStream[T]: ...

    def stream(
        self, source: Iterable[T] | AsyncIterable[T], on_chunk: Callable[[T], object] | None = None
    ) -> Stream[T] | AsyncStream[T]:
        """Return `source` with its chunks counted and its first one timed; it is read as it was.

        Inside `with`, the block ends the span. A call that was begun with `start` is ended by its stream: exhausted,
        closed, collected, cancelled or failed, with what is known by then.

        Args:
            source: what the provider's client returned; its other attributes can still be reached.
            on_chunk: called with each chunk before the reader gets it: the place to call `usage` and `response`.
        """
        self._streamed = True
        if type(self.further) is not count:
            self.further = count(1)
        end = None if self._token is not None else self.end
        if hasattr(type(source), "__aiter__"):  # what `AsyncIterable` asks, too, from Python
            return AsyncStream(source, self, end, on_chunk)
        return Stream(source, self, end, on_chunk)

    def response(self, *, id: str, model: str, finish_reasons: Sequence[str] = ()) -> None:  # noqa: A002 - its name
        """Record what the provider said of its answer."""
        told: dict[str, AttributeValue] = {c.RESPONSE_ID: id, c.RESPONSE_MODEL: model}
        try:
            if finish_reasons:
                told[c.RESPONSE_FINISH_REASONS] = tuple(finish_reasons)
            self._span.set_attributes(told)
        except Exception:  # noqa: BLE001
            return

    def _before_end(self) -> None:
        if not self.chunks:
            return
        self.chunks += next(self.further, 1) - 1
        told: dict[str, AttributeValue] = {
            c.RESPONSE_TIME_TO_FIRST_CHUNK: (self._first_ns - self._started_ns) / 1e9,
            c.STREAM_CHUNKS: self.chunks,
        }
        if self._streamed and self._output_tokens:
            seconds = (time.perf_counter_ns() - self._started_ns) / 1e9
            told[c.STREAM_TOKENS_PER_SECOND] = self._output_tokens / seconds
        self._span.set_attributes(told)


class ToolExecution(_Returning):
    """A span `execute_tool {name}`."""

    @harmless
    def arguments(self, arguments: object) -> None:
        """Record the arguments of the call, where they are allowed: text as it is, anything else as JSON."""
        self._asked(self._name, arguments)
        self.content("tool_arguments", c.TOOL_CALL_ARGUMENTS, arguments)

    @harmless
    def result(self, result: object) -> None:
        """Record the result of the call, where it is allowed: text as it is, anything else as JSON."""
        if isinstance(result, str):
            self._returned(result)
        self.content("tool_results", c.TOOL_CALL_RESULT, result)


class Retrieval(_Returning):
    """A span `retrieval {source}`."""

    @harmless
    def query(self, text: str) -> None:
        """Record what was searched for, where it is allowed."""
        self._asked(self._name, text)
        self.content("retrieval", c.RETRIEVAL_QUERY_TEXT, text)

    @harmless
    def documents(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Record what was found, where it is allowed: an `id` and a `score` each."""
        self.content("retrieval", c.RETRIEVAL_DOCUMENTS, documents)


class CacheLookup(Recorded):
    """A span `cache_lookup {name}`."""

    @harmless
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


def _given(attributes: Mapping[str, V | None]) -> dict[str, V]:
    return {key: value for key, value in attributes.items() if value is not None}


def _as_json(flags: Mapping[str, object]) -> str:
    try:
        return json.dumps(dict(flags), sort_keys=True, default=str)
    except Exception:  # noqa: BLE001 - values of the host are any code: they cost the span this detail
        return text(flags)


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
    name = text(name)
    attributes: dict[str, AttributeValue | None] = {
        c.OPERATION_NAME: "invoke_workflow",
        c.WORKFLOW_NAME: name,
        c.RUN_ID: run_id,
        c.RUN_VARIANT: variant,
        c.RUN_FLAGS: _as_json(flags) if flags is not None else None,
    }
    return Workflow(c.span_name("invoke_workflow", name), attributes=_given(attributes), links=links)


def agent(name: str, *, links: Sequence[Link] = (), step: str | None = None, role: str | None = None) -> Agent:
    """Span of an agent's invocation; `step` and `role` name the step of a graph that it is."""
    name = text(name)
    attributes = {c.OPERATION_NAME: "invoke_agent", c.AGENT_NAME: name}
    if step is not None or role is not None:
        attributes |= _given({c.STEP_NAME: step, c.STEP_ROLE: role})
    return Agent(c.span_name("invoke_agent", name), attributes=attributes, links=links)


def plan(agent_name: str | None = None) -> Plan:
    """Span of the planning phase of an agent (default: the enclosing one); the model call that plans is its child."""
    agent_name = agent_name if agent_name is None else text(agent_name)
    attributes = {c.OPERATION_NAME: "plan", c.AGENT_NAME: agent_name}
    return Plan(c.span_name("plan", agent_name), attributes=_given(attributes))


def tool(
    name: str,
    *,
    call_id: str | None = None,
    tool_type: str = "function",
    links: Sequence[Link] = (),
) -> ToolExecution:
    """Span of one tool call; `tool_type` is function, extension or datastore."""
    name = text(name)
    attributes = {c.OPERATION_NAME: "execute_tool", c.TOOL_NAME: name, c.TOOL_TYPE: tool_type}
    if call_id is not None:
        attributes[c.TOOL_CALL_ID] = call_id
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
    # This runs between two calls of a client whose own work leaves nothing of it in the processor's cache: the less of
    # the program it touches, the faster it is.
    if type(model) is not str:
        model = text(model)
    attributes: dict[str, AttributeValue] = {
        c.OPERATION_NAME: "chat",
        c.PROVIDER_NAME: provider,
        c.REQUEST_MODEL: model,
    }
    if stream is True:
        attributes[c.REQUEST_STREAM] = True
    if max_tokens is not None:
        attributes[c.REQUEST_MAX_TOKENS] = max_tokens
    if temperature is not None:
        attributes[c.REQUEST_TEMPERATURE] = temperature
    if seed is not None:
        attributes[c.REQUEST_SEED] = seed
    if server is not None:
        attributes[c.SERVER_ADDRESS], attributes[c.SERVER_PORT] = server[0], server[1]
    if attempt is not None:
        attributes[c.RETRY_ATTEMPT] = attempt
    return ModelCall(f"chat {model}" if model else "chat", kind=_CLIENT, attributes=attributes)


def embeddings(model: str, *, provider: str = "openai", dimensions: int | None = None) -> ModelCall:
    """Span `embeddings {model}` of one request for embeddings."""
    model = text(model)
    attributes: dict[str, AttributeValue | None] = {
        c.OPERATION_NAME: "embeddings",
        c.PROVIDER_NAME: provider,
        c.REQUEST_MODEL: model,
        c.EMBEDDINGS_DIMENSION_COUNT: dimensions,
    }
    return ModelCall(c.span_name("embeddings", model), kind=_CLIENT, attributes=_given(attributes))


def retrieval(source: str, *, top_k: int | None = None) -> Retrieval:
    """Span `retrieval {source}` of a search in a data source."""
    source = text(source)
    attributes = {c.OPERATION_NAME: "retrieval", c.DATA_SOURCE_ID: source, c.RETRIEVAL_TOP_K: top_k}
    return Retrieval(c.span_name("retrieval", source), kind=_CLIENT, attributes=_given(attributes))


def cache_lookup(
    name: str, *, tier: str = "memory", kind: str = "exact", key_hash: str | None = None, ttl: float | None = None
) -> CacheLookup:
    """Span `cache_lookup {name}`; tell it the result. `kind` is exact or semantic; `ttl` is real seconds."""
    name = text(name)
    attributes = {
        c.CACHE_NAME: name,
        c.CACHE_TIER: tier,
        c.CACHE_KIND: kind,
        c.CACHE_KEY_HASH: key_hash,
        c.CACHE_TTL: ttl,
    }
    return CacheLookup(c.span_name(c.CACHE_LOOKUP_SPAN, name), attributes=_given(attributes))


def step(name: str, *, role: str | None = None, links: Sequence[Link] = ()) -> Recorded:
    """Span `step {name}` of a graph's step that is neither an agent nor a tool."""
    name = text(name)
    attributes = {c.STEP_NAME: name}
    if role is not None:
        attributes[c.STEP_ROLE] = role
    return Recorded(c.span_name(c.STEP_SPAN, name), attributes=attributes, links=links)
