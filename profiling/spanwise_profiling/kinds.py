"""What a span is, read from its attributes alone, and the short words it is shown by.

Names are for people and differ between tools; attributes are the conventions. Words, not symbols, mark the kinds: they
need no legend and no colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from spanwise import conventions

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from spanwise.journal.reader import SpanRecord

Kind: TypeAlias = Literal[
    "workflow", "agent", "plan", "chat", "embeddings", "tool", "retrieval", "cache", "wait", "step", "span"
]
"""`step`: a pipeline's step that is nothing more special; `span`: all else."""

_SUMS: Final = {
    conventions.USAGE_INPUT_TOKENS: conventions.SUM_INPUT_TOKENS,
    conventions.USAGE_OUTPUT_TOKENS: conventions.SUM_OUTPUT_TOKENS,
}
_MOST: Final = 1 << 63
OPERATIONS: Final[Mapping[str, Kind]] = {
    "invoke_workflow": "workflow",
    "invoke_agent": "agent",
    "plan": "plan",
    "chat": "chat",
    "embeddings": "embeddings",
    "execute_tool": "tool",
    "retrieval": "retrieval",
}
SUBJECTS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "workflow": (conventions.WORKFLOW_NAME,),
    "agent": (conventions.AGENT_NAME,),
    "plan": (conventions.AGENT_NAME,),
    "chat": (conventions.REQUEST_MODEL, conventions.RESPONSE_MODEL),
    "embeddings": (conventions.REQUEST_MODEL, conventions.RESPONSE_MODEL),
    "tool": (conventions.TOOL_NAME,),
    "retrieval": (conventions.DATA_SOURCE_ID,),
    "cache": (conventions.CACHE_NAME,),
    "wait": (conventions.WAIT_RESOURCE, conventions.WAIT_KIND),
    "step": (conventions.STEP_NAME,),
    "span": (),
}


def kind_of(span: SpanRecord) -> Kind:
    """Return what `span` is."""
    operation = text_of(span, conventions.OPERATION_NAME)
    if operation is not None and operation in OPERATIONS:
        return OPERATIONS[operation]
    return kind_without_operation(span.attributes)


def kind_without_operation(attributes: Container[str]) -> Kind:
    """Return what a span is whose operation says nothing, by the names of its attributes."""
    if conventions.WAIT_KIND in attributes:
        return "wait"
    if conventions.CACHE_NAME in attributes or conventions.CACHE_RESULT in attributes:
        return "cache"
    return "step" if conventions.STEP_NAME in attributes else "span"


def subject_of(span: SpanRecord) -> str | None:
    """Return the name of the agent, model, tool, ... that `span` is about, as recorded."""
    for attribute in SUBJECTS[kind_of(span)]:
        if subject := text_of(span, attribute):
            return subject
    return None


def label_of(span: SpanRecord) -> str:
    """Return what `span` is called in a report: `agent risk`, `cache prices hit`; unsafe text is not yet escaped."""
    kind, subject = kind_of(span), subject_of(span)
    if subject is None:
        return span.name or "(no name)"
    if kind == "cache":
        return f"cache {subject} {text_of(span, conventions.CACHE_RESULT) or ''}".rstrip()
    return f"{kind} {subject}"


def error_of(span: SpanRecord) -> str | None:
    """Return the type of the error `span` ended in (`error` where none was recorded), or None."""
    if not span.is_error:
        return None
    return text_of(span, conventions.ERROR_TYPE) or "error"


def tokens_of(span: SpanRecord, attribute: str) -> float | None:
    """Return a count of tokens of an agent or workflow: its sum, or what older recordings have as `attribute`."""
    own = number_of(span, _SUMS[attribute])
    return number_of(span, attribute) if own is None else own


def is_attempt(span: SpanRecord) -> bool:
    """Whether `span` is one request of a model call that took several; older recordings have calls in its place."""
    return conventions.RETRY_ATTEMPT in span.attributes and conventions.OPERATION_NAME not in span.attributes


def is_retried(span: SpanRecord) -> bool:
    """Whether `span` is a failed attempt that was tried again."""
    return span.attributes.get(conventions.RETRY_SCHEDULED) is True


def text_of(span: SpanRecord, attribute: str) -> str | None:
    """Return a text attribute, or None where it is absent, empty or no text."""
    value = span.attributes.get(attribute)
    return value if isinstance(value, str) and value else None


def number_of(span: SpanRecord, attribute: str) -> float | None:
    """Return a numeric attribute, or None where it is absent, no number, or beyond all that a span can have."""
    value = span.attributes.get(attribute)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if -_MOST < value < _MOST else None
