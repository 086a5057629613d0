"""Spans with the attributes that LangSmith's ingestion is documented to read.

The table is at docs.langchain.com/langsmith/trace-with-opentelemetry. What is not in it is sent as metadata, for which
there is a documented name: it is shown, can be searched for, and comes back from the API. Without the rest only model
calls have a type there, agents have the names of their spans, tools neither input nor output, and tokens that we sum on
agents are counted twice. Runs get their ids from span ids by LangSmith's own rule.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from spanwise import conventions as c
from spanwise.process.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json: TypeAlias = Mapping[str, Any]

_RUN_TYPES: Final[Mapping[str, str]] = {
    "chat": "llm", "text_completion": "llm", "generate_content": "llm", "completion": "llm", "responses": "llm",
    "embeddings": "embedding", "embedding": "embedding", "execute_tool": "tool", "retrieval": "retriever",
    "search_memory": "retriever",
}  # fmt: skip
_NAMED_BY: Final[Mapping[str, str]] = {
    "invoke_workflow": c.WORKFLOW_NAME, "invoke_agent": c.AGENT_NAME, "plan": c.AGENT_NAME, "execute_tool": c.TOOL_NAME,
}  # fmt: skip
_WITH_TOKENS: Final = frozenset({"llm", "embedding"})
_USAGE: Final = "gen_ai.usage."
_METADATA: Final = "langsmith.metadata."
_KIND: Final = "langsmith.span.kind"
_SYSTEM: Final = "gen_ai.system"
_TOTAL_TOKENS: Final = "gen_ai.usage.total_tokens"
_INPUT_DETAILS: Final = "gen_ai.usage.input_token_details"
_CONVERSATION: Final = "gen_ai.conversation.id"
_DOCUMENT: Final = "retrieval.documents.{}.document."
_OTHER_KINDS: Final = frozenset({
    "openinference.span.kind", "traceloop.span.kind", "traceloop.llm.request.type", "llm.request.type",
})  # fmt: skip
"""What other tools say of a kind of span; LangSmith understands it itself."""
_READ: Final = frozenset({
    c.OPERATION_NAME, _SYSTEM, c.INPUT_MESSAGES, c.OUTPUT_MESSAGES, c.TOOL_DEFINITIONS, c.RESPONSE_MODEL,
    "gen_ai.prompt", "gen_ai.completion", "input.value", "output.value", "tool.name", "tools", "tool_arguments",
    "metadata", "prompt", "all_messages_events", "events",
    *(f"gen_ai.request.{name}" for name in (
        "model", "temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty", "seed",
        "stop_sequences", "top_k", "encoding_formats",
    )),
    *(f"gen_ai.usage.{name}" for name in (
        "input_tokens", "output_tokens", "total_tokens", "prompt_tokens", "completion_tokens", "input_token_details",
        "output_token_details", "details.reasoning_tokens",
    )),
})  # fmt: skip
_READ_BELOW: Final = (
    "langsmith.", "gen_ai.prompt.", "gen_ai.completion.", "traceloop.", "openinference.", "llm.",
    "retrieval.documents.",
)  # fmt: skip
_CONTENT: Final[Mapping[str, Mapping[str, str]]] = {
    "tool": {c.TOOL_NAME: c.TOOL_NAME, c.TOOL_CALL_ARGUMENTS: "input.value", c.TOOL_CALL_RESULT: "output.value"},
    "retriever": {c.RETRIEVAL_QUERY_TEXT: "input.value", c.RETRIEVAL_DOCUMENTS: ""},
}
"""Names by type of run; what has an empty one is sent in another form."""
_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
_REASONING_THERE: Final = "gen_ai.usage.details.reasoning_tokens"
_ERROR: Final = 2


def translated(span: Json) -> Json:
    """Return an OTLP/JSON span as LangSmith understands it best; the given one stays as it is."""
    pairs: list[Json] = span.get("attributes", [])
    values = {pair["key"]: next(iter(pair["value"].values()), None) for pair in pairs if pair.get("value")}
    operation = str(values.get(c.OPERATION_NAME, ""))
    run_type = _run_type(operation, values)
    about = _about(span, operation, values) | ({_KIND: run_type} if run_type else {})
    if run_type in _WITH_TOKENS:
        about |= _of_call(values)
    elif run_type == "retriever":
        about |= _found(values.get(c.RETRIEVAL_DOCUMENTS))
    names = _names_there[run_type]
    sent: list[Json] = [
        pair if name == pair["key"] else {**pair, "key": name} for pair in pairs if (name := names[pair["key"]])
    ]
    sent += [{"key": key, "value": _value(value)} for key, value in about.items() if key not in values]
    return {**span, "attributes": _with_system(sent, values), **_error(span, values)}


def _run_type(operation: str, values: Mapping[str, Any]) -> str:
    """Return the type of a run; none where another tool says the kind of the span, which LangSmith reads itself."""
    if stated := values.get(_KIND):
        return str(stated).lower()
    if not operation and not _OTHER_KINDS.isdisjoint(values):
        return ""
    return _RUN_TYPES.get(operation, "chain")


def _names_of(run_type: str) -> Memo[str, str]:
    """Return what LangSmith calls each attribute of a run of some type; what is called nothing is not sent."""
    names: Memo[str, str] = Memo(lambda key: key if not run_type or _is_read(run_type, key) else _METADATA + key)
    names.update(_CONTENT.get(run_type, {}))
    return names


def _is_read(run_type: str, key: str) -> bool:
    # LangSmith adds up the tokens of model calls itself; sums of ours would be counted once more.
    named = key in _READ and (run_type in _WITH_TOKENS or not key.startswith(_USAGE))
    return named or key.startswith(_READ_BELOW)


_names_there: Final[Memo[str, Memo[str, str]]] = Memo(_names_of, most=64)


def _about(span: Json, operation: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if trace_id := span.get("traceId"):
        found[_METADATA + c.TRACE_ID] = trace_id
    if name := values.get(_NAMED_BY.get(operation, "")):
        found["langsmith.trace.name"] = name
    if provider := values.get(c.PROVIDER_NAME):
        found[_SYSTEM] = provider
    if conversation := values.get(_CONVERSATION):
        found[_METADATA + "thread_id"] = conversation
    if operation:
        # The type of a run does not tell an agent from a workflow.
        found[_METADATA + c.OPERATION_NAME] = operation
    return found


def _of_call(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what LangSmith needs of a model's call to name the model, count its tokens and price them."""
    spent = [_count(values[name]) for name in (c.USAGE_INPUT_TOKENS, c.USAGE_OUTPUT_TOKENS) if name in values]
    found: dict[str, Any] = {_TOTAL_TOKENS: sum(spent)} if spent else {}
    if model := values.get(c.RESPONSE_MODEL) or values.get(c.REQUEST_MODEL):
        found[_METADATA + "ls_model_name"] = model
    if cached := _count(values.get(c.USAGE_CACHE_READ_INPUT_TOKENS)):
        found[_INPUT_DETAILS] = json.dumps({"cache_read": cached})
    if reasoning := _count(values.get(_REASONING)):
        found[_REASONING_THERE] = reasoning
    return found


def _count(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):  # a program can set anything
        return 0


def _found(documents: Any) -> dict[str, Any]:
    """Return what a retrieval found in the form in which LangSmith shows documents."""
    if not isinstance(documents, str):
        return {}
    try:
        listed = msgspec.json.decode(documents, type=list[dict[str, Any]])
    except msgspec.MsgspecError:  # it was cut, or is of another form
        return {"output.value": documents}
    found: dict[str, Any] = {}
    for number, about in enumerate(listed):
        found[_DOCUMENT.format(number) + "content"] = str(about.get("content", about.get("id", "")))
        found[_DOCUMENT.format(number) + "metadata"] = json.dumps({k: v for k, v in about.items() if k != "content"})
    return found


def _with_system(pairs: list[Json], values: Mapping[str, Any]) -> list[Json]:
    """Return `pairs` with the system's instructions as the first message: LangSmith reads them from nowhere else."""
    parts, messages = values.get(c.SYSTEM_INSTRUCTIONS), values.get(c.INPUT_MESSAGES)
    if not (isinstance(parts, str) and isinstance(messages, str) and parts[:1] == messages[:1] == "["):
        return pairs
    system = f'[{{"role":"system","parts":{parts}}}'
    rest = messages[1:].lstrip()
    whole = f"{system}{rest}" if rest.startswith("]") else f"{system},{rest}"
    replaced = [pair for pair in pairs if pair["key"] not in {c.INPUT_MESSAGES, _METADATA + c.SYSTEM_INSTRUCTIONS}]
    return [*replaced, {"key": c.INPUT_MESSAGES, "value": {"stringValue": whole}}]


def _value(value: Any) -> dict[str, Any]:
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}


def _error(span: Json, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the events with an exception among them for a span that failed: LangSmith reads errors from there."""
    status: Json = span.get("status", {})
    events: list[Json] = list(span.get("events", ()))
    if status.get("code") != _ERROR or any(event.get("name") == c.EXCEPTION_EVENT for event in events):
        return {}
    kind = str(values.get(c.ERROR_TYPE, "error"))
    said = {c.EXCEPTION_TYPE: kind, c.EXCEPTION_MESSAGE: status.get("message") or kind}
    pairs = [{"key": key, "value": {"stringValue": text}} for key, text in said.items()]
    event = {"name": c.EXCEPTION_EVENT, "timeUnixNano": span.get("endTimeUnixNano", 0), "attributes": pairs}
    return {"events": [*events, event]}
