"""The names that other tools write, mapped onto ours: the only module that knows them.

Translation adds our name beside the foreign one and takes nothing away, save that an operation gets our word for it.
What a span is comes from the operation or from the tool's own word for a kind; of several names for one thing the first
of the row that is present counts. docs/formats.md shows these very tables (a test compares them).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from spanwise import conventions as c
from spanwise_profiling import calls
from spanwise_profiling.sources import values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from spanwise.journal.reader import Attributes, AttributeValue, SpanRecord

Role: TypeAlias = Literal[
    "invoke_workflow", "invoke_agent", "plan", "chat", "embeddings", "execute_tool", "retrieval", "chain", "step"
]
"""An operation of the conventions; `chain` is a workflow where it is a root and a step below one."""

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    c.PROVIDER_NAME: ("gen_ai.system", "llm.provider", "llm.system", "langsmith.provider", "ai.model.provider"),
    c.REQUEST_MODEL: (
        "llm.request.model_name", "llm.model_name", "embedding.model_name", "llm.request.model", "langfuse.model",
        "langsmith.model", "openai_agents.model", "ai.model.id", "model_name",
    ),
    c.RESPONSE_MODEL: ("llm.response.model_name", "ai.response.model"),
    c.USAGE_INPUT_TOKENS: (
        "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens", "ai.usage.inputTokens",
        "ai.usage.promptTokens", "langsmith.usage.input_tokens", "openai_agents.usage.input_tokens",
    ),
    c.USAGE_OUTPUT_TOKENS: (
        "gen_ai.usage.completion_tokens", "llm.token_count.completion", "llm.usage.completion_tokens",
        "ai.usage.outputTokens", "ai.usage.completionTokens", "langsmith.usage.output_tokens",
        "openai_agents.usage.output_tokens",
    ),
    c.USAGE_CACHE_READ_INPUT_TOKENS: (
        "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cached_input_tokens", "gen_ai.usage.cached_tokens",
        "gen_ai.usage.cache_read_tokens", "gen_ai.usage.input_tokens.cached", "gen_ai.usage.prompt_tokens_cached",
        "gen_ai.openai.usage.prompt_tokens_cached", "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.input_tokens_details.cached_tokens", "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens", "gen_ai.usage.details.cached_tokens",
        "gen_ai.usage.details.cached_content_tokens", "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input", "llm.usage.cache_read_input_tokens",
        "ai.usage.cachedInputTokens", "ai.usage.inputTokenDetails.cacheReadTokens",
        "langsmith.usage.cache_read_input_tokens", "openai_agents.usage.cached_tokens",
    ),
    c.USAGE_CACHE_WRITE_INPUT_TOKENS: (
        "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens", "gen_ai.usage.cache_creation_tokens",
        "gen_ai.usage.cache_write_tokens", "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.details.cache_write_tokens", "gen_ai.usage.details.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write", "llm.usage.cache_creation_input_tokens",
        "ai.usage.cacheCreationInputTokens", "ai.usage.inputTokenDetails.cacheWriteTokens",
        "langsmith.usage.cache_write_input_tokens", "openai_agents.usage.cache_write_tokens",
    ),
    c.USAGE_REASONING_OUTPUT_TOKENS: (
        "gen_ai.usage.reasoning_tokens", "gen_ai.usage.reasoning_output_tokens", "gen_ai.usage.thinking_tokens",
        "gen_ai.usage.output_tokens.reasoning", "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.output_tokens_details.reasoning_tokens", "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.details.thoughts_tokens", "llm.token_count.completion_details.reasoning",
        "llm.usage.reasoning_tokens", "ai.usage.reasoningTokens", "ai.usage.outputTokenDetails.reasoningTokens",
        "langsmith.usage.reasoning_output_tokens", "openai_agents.usage.reasoning_tokens",
    ),
    c.RESPONSE_TIME_TO_FIRST_CHUNK: (
        "gen_ai.server.time_to_first_token", "langfuse.time_to_first_token", "langsmith.time_to_first_token",
        "openai_agents.time_to_first_token",
    ),
    c.RESPONSE_FINISH_REASONS: ("llm.finish_reason", "gen_ai.response.finish_reason"),
    c.REQUEST_MAX_TOKENS: ("llm.request.max_tokens", "gen_ai.request.max_output_tokens"),
    c.REQUEST_STREAM: ("llm.is_streaming", "gen_ai.is_streaming"),
    c.AGENT_NAME: ("agent.name", "agent_name", "openai_agents.agent"),
    c.TOOL_NAME: ("tool.name", "openai_agents.function", "ai.toolCall.name"),
    c.TOOL_CALL_ID: ("tool_call.id", "tool.id", "ai.toolCall.id"),
    c.WORKFLOW_NAME: ("traceloop.workflow.name", "openai_agents.workflow"),
    c.DATA_SOURCE_ID: ("db.collection.name", "db.namespace"),
}  # fmt: skip
"""Our name, and the foreign ones that mean the same."""

CONTENT: Final[Mapping[Role, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "chat": (
        (c.INPUT_MESSAGES, ("input.value", "traceloop.entity.input", "langfuse.input", "langsmith.inputs")),
        (c.OUTPUT_MESSAGES, ("output.value", "traceloop.entity.output", "langfuse.output", "langsmith.outputs")),
    ),
    "execute_tool": (
        (
            c.TOOL_CALL_ARGUMENTS,
            ("tool_arguments", "input.value", "traceloop.entity.input", "langfuse.input", "langsmith.inputs",
             "openai_agents.input"),
        ),
        (
            c.TOOL_CALL_RESULT,
            ("tool_response", "output.value", "traceloop.entity.output", "langfuse.output", "langsmith.outputs",
             "openai_agents.output"),
        ),
    ),
    "retrieval": (
        (c.RETRIEVAL_QUERY_TEXT, ("input.value", "langfuse.input", "langsmith.inputs")),
        (c.RETRIEVAL_DOCUMENTS, ("output.value", "langfuse.output", "langsmith.outputs")),
    ),
}  # fmt: skip
"""What foreign tools call by one name for all kinds of span, by what it is on each."""

ROLES: Final[Mapping[str, Mapping[str, Role]]] = {
    c.OPERATION_NAME: {
        "generate_content": "chat", "text_completion": "chat", "completion": "chat", "responses": "chat",
        "embedding": "embeddings", "search_memory": "retrieval",
    },
    "openinference.span.kind": {
        "llm": "chat", "embedding": "embeddings", "agent": "invoke_agent", "tool": "execute_tool",
        "retriever": "retrieval", "reranker": "retrieval", "chain": "chain", "prompt": "step", "guardrail": "step",
        "evaluator": "step", "decision": "step",
    },
    "traceloop.span.kind": {
        "workflow": "invoke_workflow", "agent": "invoke_agent", "tool": "execute_tool", "task": "step",
    },
    "ai.operationId": {
        "ai.generatetext.dogenerate": "chat", "ai.streamtext.dostream": "chat", "ai.generateobject.dogenerate": "chat",
        "ai.streamobject.dostream": "chat", "ai.embed.doembed": "embeddings", "ai.embedmany.doembed": "embeddings",
        "ai.toolcall": "execute_tool", "ai.generatetext": "chain", "ai.streamtext": "chain",
        "ai.generateobject": "chain", "ai.streamobject": "chain", "ai.embed": "chain", "ai.embedmany": "chain",
    },
    "llm.request.type": {
        "chat": "chat", "completion": "chat", "embedding": "embeddings", "rerank": "retrieval",
    },
    "mcp.method.name": {"tools/call": "execute_tool", "resources/read": "retrieval", "prompts/get": "step"},
    "langsmith.span.kind": {
        "llm": "chat", "embedding": "embeddings", "tool": "execute_tool", "retriever": "retrieval",
        "chain": "chain", "prompt": "step", "parser": "step",
    },
    "langfuse.observation.type": {
        "trace": "invoke_workflow", "generation": "chat", "embedding": "embeddings", "agent": "invoke_agent",
        "tool": "execute_tool", "retriever": "retrieval", "chain": "chain", "guardrail": "step", "evaluator": "step",
    },
    "openai_agents.type": {
        "trace": "invoke_workflow", "agent": "invoke_agent", "generation": "chat", "response": "chat",
        "transcription": "chat", "speech": "chat", "function": "execute_tool", "mcp_tools": "execute_tool",
        "handoff": "step", "guardrail": "step", "speech_group": "step", "custom": "step",
    },
}  # fmt: skip
"""Attribute, and what its values (in lower case) mean; the first attribute with a known value counts."""

SUBJECTS: Final[Mapping[Role, tuple[str, tuple[str, ...]]]] = {
    "invoke_workflow": (c.WORKFLOW_NAME, ("traceloop.entity.name",)),
    "invoke_agent": (c.AGENT_NAME, ("traceloop.entity.name", "graph.node.id")),
    "execute_tool": (c.TOOL_NAME, ("traceloop.entity.name",)),
    "step": (c.STEP_NAME, ("traceloop.entity.name",)),
}
"""Our name of what a span is about, and the foreign ones that mean it on spans of that kind; else the span's name."""

TOTALS: Final = (
    "gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total", "ai.usage.totalTokens",
    "openai_agents.usage.total_tokens",
)  # fmt: skip
"""All tokens of a call. They are not shown; they tell whether input and output leave something out."""

FIRST_CHUNK_EVENTS: Final = frozenset({
    "First Token Stream Event", "llm.content.completion.chunk", "gen_ai.content.completion.chunk",
    "gen_ai.first_token", "new_token",
})  # fmt: skip
"""Events at the first piece of a streamed answer."""

MODEL_PATHS: Final[Mapping[str, Role]] = {
    "/chat/completions": "chat", "/v1/completions": "chat", "/v1/responses": "chat", "/v1/messages": "chat",
    ":generateContent": "chat", ":streamGenerateContent": "chat", "/converse": "chat", "/converse-stream": "chat",
    "/invoke": "chat", "/invoke-with-response-stream": "chat", "/api/chat": "chat", "/api/generate": "chat",
    "/embeddings": "embeddings", "/api/embed": "embeddings", ":embedContent": "embeddings",
}  # fmt: skip
"""How the path of a request to a model ends."""
HTTP_METHOD: Final = ("http.request.method", "http.method")
HTTP_ADDRESS: Final = ("url.full", "http.url", "url.path", "http.target", "http.route")
DATABASE: Final = ("db.system.name", "db.system")
OPERATIONS: Final[Mapping[str, Role]] = {
    "invoke_workflow": "invoke_workflow", "invoke_agent": "invoke_agent", "plan": "plan", "chat": "chat",
    "embeddings": "embeddings", "execute_tool": "execute_tool", "retrieval": "retrieval",
}  # fmt: skip
_CLIENT: Final = 3
_CALLS: Final = frozenset({"chat", "embeddings", "execute_tool", "retrieval"})
MARKS: Final = (
    frozenset(ROLES.keys() - {c.OPERATION_NAME})
    | {name for names in NAMES.values() for name in names}
    | {name for pairs in CONTENT.values() for _, names in pairs for name in names}
    | set(TOTALS)
)
"""What only other tools write."""


def translated(records: Iterable[SpanRecord]) -> Iterator[SpanRecord]:
    """Yield `records` with our names beside the foreign ones, in the same order; each call is one call."""
    known = calls.once([_translated(record) for record in records])
    requests = _requests(known)
    for record in known:
        role = requests.get((record.trace_id, record.span_id))
        yield record if role is None else _as_request(record, role)


def _translated(record: SpanRecord) -> SpanRecord:
    attributes = record.attributes
    operation = attributes.get(c.OPERATION_NAME)
    odd = isinstance(operation, str) and operation.lower() in ROLES[c.OPERATION_NAME]
    if not odd and attributes.keys().isdisjoint(MARKS):
        return _with_error_type(record if calls.are_sound(attributes) else _recounted(record, {}))
    added: dict[str, AttributeValue] = {}
    for ours, foreign in NAMES.items():
        if ours not in calls.COUNTS:
            _add(added, attributes, ours, foreign)
    if role := role_of(attributes, is_root=record.parent_id is None):
        _add_role(added, record, role)
    for ours, foreign in CONTENT.get(role or "plan", ()):
        _add(added, attributes, ours, foreign)
    return _with_error_type(_recounted(record, added))


def _recounted(record: SpanRecord, added: Mapping[str, AttributeValue]) -> SpanRecord:
    """Return `record` with what was `added`, counts of tokens that make sense, and a first chunk within the call."""
    attributes = {**record.attributes, **added}
    told = {name: [attributes.get(one) for one in (name, *NAMES[name])] for name in calls.COUNTS}
    total = next((count for name in TOTALS if (count := values.count(attributes.get(name)))), None)
    counts = calls.counted(told, total)
    for name in calls.COUNTS:
        attributes.pop(name, None)
    first = calls.first_chunk(attributes.pop(c.RESPONSE_TIME_TO_FIRST_CHUNK, None), record.duration_ns)
    chunk = {} if first is None else {c.RESPONSE_TIME_TO_FIRST_CHUNK: first}
    return replace(record, attributes={**attributes, **counts, **chunk})


def role_of(attributes: Attributes, *, is_root: bool) -> Role | None:
    """Return what a span is by the words of other tools; None where no known one says it."""
    for mark, meanings in ROLES.items():
        word = attributes.get(mark)
        role = meanings.get(word.lower()) if isinstance(word, str) else None
        if role == "chain":
            return "invoke_workflow" if is_root else "step"
        if role is not None:
            return role
        if mark == c.OPERATION_NAME and word:
            return OPERATIONS.get(str(word))
    return None


def _add(added: dict[str, AttributeValue], attributes: Attributes, ours: str, foreign: Iterable[str]) -> None:
    if ours not in attributes and (name := next((name for name in foreign if name in attributes), None)):
        added[ours] = attributes[name]


def _add_role(added: dict[str, AttributeValue], record: SpanRecord, role: Role) -> None:
    if role != "step":
        added[c.OPERATION_NAME] = role
    if role in SUBJECTS:
        ours, foreign = SUBJECTS[role]
        if ours not in added:
            _add(added, {**record.attributes}, ours, foreign)
        # A name by the conventions has the operation before its subject.
        if ours not in {*added, *record.attributes} and record.attributes.get(c.OPERATION_NAME) != role and record.name:
            added[ours] = _subject_in(record)
    first = min((event.time_ns for event in record.events if event.name in FIRST_CHUNK_EVENTS), default=None)
    if role == "chat" and first is not None and c.RESPONSE_TIME_TO_FIRST_CHUNK not in {*added, *record.attributes}:
        added[c.RESPONSE_TIME_TO_FIRST_CHUNK] = max(0, first - record.start_ns) / 1e9


def _subject_in(record: SpanRecord) -> str:
    """Return a span's name, or what stands in it after a method of MCP: `MCP send tools/call price` is `price`."""
    method = record.attributes.get("mcp.method.name")
    return record.name.partition(f"{method} ")[2] or record.name if isinstance(method, str) else record.name


def _with_error_type(record: SpanRecord) -> SpanRecord:
    """Return `record` with the type of its exception as `error.type`, where only an event tells it."""
    if not record.is_error or c.ERROR_TYPE in record.attributes:
        return record
    types = [event.attributes.get(c.EXCEPTION_TYPE) for event in record.events if event.name == c.EXCEPTION_EVENT]
    if not types or not isinstance(types[-1], str):
        return record
    return replace(record, attributes={**record.attributes, c.ERROR_TYPE: types[-1]})


def _requests(records: list[SpanRecord]) -> dict[tuple[str, str], Role]:
    """Return what plain HTTP and database calls are, by trace and span id, save those that a known call makes."""
    spans = {(record.trace_id, record.span_id): record for record in records}
    calls: dict[tuple[str, str], Role] = {}
    for key, record in spans.items():
        role = _request_role(record)
        if role is not None and not _within_call(record, spans):
            calls[key] = role
    return calls


def _request_role(record: SpanRecord) -> Role | None:
    attributes = record.attributes
    if record.kind != _CLIENT or c.OPERATION_NAME in attributes or c.WAIT_KIND in attributes:
        return None
    if any(name in attributes for name in DATABASE):
        return "execute_tool"
    if not any(name in attributes for name in HTTP_METHOD):
        return None
    addresses = [str(attributes[name]).partition("?")[0] for name in HTTP_ADDRESS if name in attributes]
    for end, role in MODEL_PATHS.items():
        if any(address.endswith(end) for address in addresses):
            return role
    return "execute_tool"


def _within_call(record: SpanRecord, spans: Mapping[tuple[str, str], SpanRecord]) -> bool:
    seen: set[str] = set()
    above = spans.get((record.trace_id, record.parent_id or ""))
    while above is not None and above.span_id not in seen:
        if above.attributes.get(c.OPERATION_NAME) in _CALLS or c.CACHE_NAME in above.attributes:
            return True
        seen.add(above.span_id)
        above = spans.get((above.trace_id, above.parent_id or ""))
    return False


def _as_request(record: SpanRecord, role: Role) -> SpanRecord:
    tool = {c.TOOL_NAME: record.name, c.TOOL_TYPE: "extension"} if role == "execute_tool" else {}
    return replace(record, attributes={c.OPERATION_NAME: role, **tool, **record.attributes})
