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
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry.trace import Link, SpanKind

from spanwise import conventions as c
from spanwise.helpers.base import AttributeValue, SpanHelper, harmless
from spanwise.helpers.model_call import ModelCall
from spanwise.helpers.returning import Returning
from spanwise.otel.values import clean, text
from spanwise.recording import scope as scopes
from spanwise.recording.lazy_span import outside
from spanwise.recording.scope import with_span
from spanwise.recording.tracer import bits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context


V = TypeVar("V")
_CLIENT: Final = SpanKind.CLIENT


class _Enclosing(SpanHelper):
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
            self.set(c.SUM_INPUT_TOKENS, self._usage.input_tokens)
            self.set(c.SUM_OUTPUT_TOKENS, self._usage.output_tokens)


class Workflow(_Enclosing):
    """A span `invoke_workflow {name}`: one run."""

    def _begin(self, context: Context) -> None:
        context = outside(context)
        # an outermost one gets a run id of its own
        if c.RUN_ID not in self._attributes and scopes.of(context).workflow is None:
            self._attributes = {**self._attributes, c.RUN_ID: f"{bits(128):032x}"}
        super()._begin(context)

    def _inside(self, context: Context) -> Context:
        return super()._inside(outside(context))

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


class Plan(SpanHelper):
    """A span `plan {agent}`."""

    def _begin(self, context: Context) -> None:
        if c.AGENT_NAME not in self._attributes:  # it is named after the enclosing agent where it names none
            self._name = c.span_name("plan", scopes.of(context).agent)
        super()._begin(context)


class ToolExecution(Returning):
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


class Retrieval(Returning):
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


class CacheLookup(SpanHelper):
    """A span `cache_lookup {name}`."""

    def answered(self, *, tier: str, kind: str) -> None:
        """Record which tier answered, and whether the inputs were the same (exact) or meant the same (semantic)."""
        self.set(c.CACHE_TIER, tier).set(c.CACHE_KIND, kind)

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
    plain = clean(flags)
    return json.dumps(plain, sort_keys=True, default=str) if type(plain) is dict else text(flags)


def workflow(
    name: str,
    *,
    run_id: str | None = None,
    variant: str | None = None,
    flags: Mapping[str, object] | None = None,
    seed: int | None = None,
    task: str | None = None,
    links: Sequence[Link] = (),
) -> Workflow:
    """Span of a run: the entry point that coordinates agents.

    Args:
        name: of the workflow.
        run_id: identity of the run, 32 hex digits by default; give it to continue a run elsewhere.
        variant: which form of the workflow this is (a preset).
        flags: its settings, recorded as one JSON text.
        seed: of everything random in the run; `spanwise compare` pairs runs of the same seed and task.
        task: name of the input that the run works on.
        links: to other spans.
    """
    name = text(name)
    attributes: dict[str, AttributeValue | None] = {
        c.OPERATION_NAME: "invoke_workflow",
        c.WORKFLOW_NAME: name,
        c.RUN_ID: run_id,
        c.RUN_VARIANT: variant,
        c.RUN_FLAGS: _as_json(flags) if flags is not None else None,
        c.RUN_SEED: seed,
        c.RUN_TASK: task,
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
) -> ModelCall:
    """Span `chat {model}` of one call of a model; where it may take several requests, see `ModelCall.attempt`."""
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
    if type(server) is tuple and len(server) == 2:  # noqa: PLR2004 - anything else is no address
        attributes[c.SERVER_ADDRESS], attributes[c.SERVER_PORT] = server
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


def step(name: str, *, role: str | None = None, links: Sequence[Link] = ()) -> SpanHelper:
    """Span `step {name}` of a graph's step that is neither an agent nor a tool."""
    name = text(name)
    attributes = {c.STEP_NAME: name}
    if role is not None:
        attributes[c.STEP_ROLE] = role
    return SpanHelper(c.span_name(c.STEP_SPAN, name), attributes=attributes, links=links)
