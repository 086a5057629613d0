"""Which spans are calls of a model, whoever recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from spanwise import conventions as c

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span

OPERATIONS: Final = frozenset({"chat", "embeddings", "generate_content", "text_completion"})


def is_one(span: Span) -> bool:
    """Return whether a span is a call of a model that is recorded."""
    return attributes_of(span).get(c.OPERATION_NAME) in OPERATIONS


def tokens_of(span: ReadableSpan) -> tuple[int, int]:
    """Return the input and output tokens that a call told of; 0 for what it did not."""
    told = [attributes_of(span).get(name) for name in (c.USAGE_INPUT_TOKENS, c.USAGE_OUTPUT_TOKENS)]
    sent, received = (one if type(one) is int and one > 0 else 0 for one in told)
    return sent, received


def attributes_of(span: Span | ReadableSpan) -> Mapping[str, object]:
    """Return the attributes of a span; none where it does not show them."""
    attributes: object = getattr(span, "attributes", None)
    return cast("Mapping[str, object]", attributes) if isinstance(attributes, Mapping) else {}
