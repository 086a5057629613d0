"""LangSmith over its OTLP route, with the attributes by which its pages tell agents, tools and calls apart.

Without them only model calls have a type there, agents and workflows have the names of their spans, and tokens that we
sum on agents are counted twice. Runs get their ids from span ids by LangSmith's own rule.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from spanwise import conventions as c
from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json: TypeAlias = Mapping[str, Any]

NAME: Final = "langsmith"
DEFAULT_ENDPOINT: Final = "https://api.smith.langchain.com"
_RUN_TYPES: Final[Mapping[str, str]] = {
    "chat": "llm", "text_completion": "llm", "generate_content": "llm", "embeddings": "embedding",
    "execute_tool": "tool", "retrieval": "retriever",
}  # fmt: skip
_NAMED_BY: Final[Mapping[str, str]] = {
    "invoke_workflow": c.WORKFLOW_NAME, "invoke_agent": c.AGENT_NAME, "plan": c.AGENT_NAME, "execute_tool": c.TOOL_NAME,
}  # fmt: skip
_WITH_TOKENS: Final = frozenset({"llm", "embedding"})
_USAGE: Final = "gen_ai.usage."
_METADATA: Final = "langsmith.metadata."
_SYSTEM: Final = "gen_ai.system"
_TOTAL_TOKENS: Final = "gen_ai.usage.total_tokens"
_INPUT_DETAILS: Final = "gen_ai.usage.input_token_details"
_CONVERSATION: Final = "gen_ai.conversation.id"
_ERROR: Final = 2


def address() -> str:
    """Return where spans are posted to: below `LANGSMITH_ENDPOINT`, or at LangSmith's own."""
    endpoint = os.environ.get("LANGSMITH_ENDPOINT", "").strip() or DEFAULT_ENDPOINT
    return f"{endpoint.rstrip('/')}/otel/v1/traces"


def headers(project: str) -> Mapping[str, str]:
    """Return key, project and, where the key belongs to several, workspace.

    Raises:
        InputError: `LANGSMITH_API_KEY` is not set.
    """
    key = os.environ.get("LANGSMITH_API_KEY", "").strip()
    if not key:
        raise InputError(f"LANGSMITH_API_KEY is not set; set it to send to the project {project!r}, or unset that")
    workspace = os.environ.get("LANGSMITH_WORKSPACE_ID", "").strip()
    return {"x-api-key": key, "Langsmith-Project": project} | ({"X-Tenant-Id": workspace} if workspace else {})


def translated(span: Json) -> Json:
    """Return an OTLP/JSON span as LangSmith understands it best; the given one stays as it is."""
    pairs: list[Json] = list(span.get("attributes", ()))
    values = {pair["key"]: next(iter(pair["value"].values()), None) for pair in pairs if pair.get("value")}
    operation = str(values.get(c.OPERATION_NAME, ""))
    run_type = _RUN_TYPES.get(operation, "chain")
    if run_type not in _WITH_TOKENS:
        # LangSmith adds up the tokens of model calls itself; sums of ours would be counted once more.
        pairs = [{**pair, "key": _METADATA + pair["key"]} if pair["key"].startswith(_USAGE) else pair for pair in pairs]
    about = {"langsmith.span.kind": run_type, **_about(operation, values)}
    if run_type in _WITH_TOKENS:
        about |= _tokens(values)
    pairs += [{"key": key, "value": _value(value)} for key, value in about.items() if key not in values]
    return {**span, "attributes": pairs, **_error(span, values)}


def _about(operation: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if name := values.get(_NAMED_BY.get(operation, "")):
        found["langsmith.trace.name"] = name
    if provider := values.get(c.PROVIDER_NAME):
        found[_SYSTEM] = provider
    if conversation := values.get(_CONVERSATION):
        found[_METADATA + "thread_id"] = conversation
    for attribute in (c.RUN_ID, c.RUN_VARIANT, c.AGENT_NAME, c.WORKFLOW_NAME):
        if attribute in values:
            found[_METADATA + attribute] = values[attribute]
    return found


def _tokens(values: Mapping[str, Any]) -> dict[str, Any]:
    spent = [int(values[name]) for name in (c.USAGE_INPUT_TOKENS, c.USAGE_OUTPUT_TOKENS) if name in values]
    found: dict[str, Any] = {_TOTAL_TOKENS: sum(spent)} if spent else {}
    if cached := int(values.get(c.USAGE_CACHE_READ_INPUT_TOKENS, 0)):
        found[_INPUT_DETAILS] = json.dumps({"cache_read": cached})
    return found


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
