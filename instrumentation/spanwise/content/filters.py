"""What a destination gets of what was recorded: a filter over names and attributes, and a content policy of its own."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise.content.policy import SAME, kind_of
from spanwise.content.rebuilt import rebuilt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

NAME: Final = "name"
_HEAVIEST: Final = 3 * 2**20
"""Most characters of a request: a receiver over gRPC takes 4 MiB."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A span matches where its name, or an attribute of it, has that form."""

    attribute: str
    pattern: re.Pattern[str]

    def matches(self, span: ReadableSpan) -> bool:
        """Whether `span` has what the rule is about, in its form."""
        if self.attribute == NAME:
            return self.pattern.match(span.name) is not None
        value = (span.attributes or {}).get(self.attribute)
        return value is not None and self.pattern.match(_text(value)) is not None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def rule(text: str) -> Rule:
    """Return the rule that `name=wait *` or `attribute=form` stands for; `*` and `?` are wildcards.

    Raises:
        ValueError: one side of the equals sign is missing.
    """
    attribute, equals, form = (part.strip() for part in text.partition("="))
    if not (attribute and equals and form):
        raise ValueError(text)
    return Rule(attribute, re.compile(fnmatch.translate(form)))


class Outlet:
    """The way to one destination.

    Args:
        content: kinds of content that it gets, or `SAME`.
        drop: rules; a span that matches one of them does not get there.
    """

    def __init__(self, content: Sequence[str] = SAME, drop: Sequence[str] = ()) -> None:
        self._kinds = None if tuple(content) == SAME else frozenset(content)
        self._rules = tuple(rule(text) for text in drop)

    def admitted(self, spans: tuple[ReadableSpan, ...]) -> tuple[ReadableSpan, ...]:
        """Return what of `spans` gets there, without the content that does not."""
        if self._rules:
            spans = tuple(span for span in spans if not any(rule.matches(span) for rule in self._rules))
        return spans if self._kinds is None else tuple(self._stripped(span) for span in spans)

    def _stripped(self, span: ReadableSpan) -> ReadableSpan:
        kinds = self._kinds or frozenset[str]()
        attributes = span.attributes or {}
        kept = {
            name: value for name, value in attributes.items() if (kind_of(name) or "") in kinds or not kind_of(name)
        }
        return span if len(kept) == len(attributes) else rebuilt(span, attributes=kept)


def portions(spans: tuple[ReadableSpan, ...]) -> Iterator[tuple[ReadableSpan, ...]]:
    """Yield `spans` in requests that a receiver takes; a span that is too large alone is one."""
    begin, weight = 0, 0
    for position, span in enumerate(spans):
        own = sum(len(value) for value in (span.attributes or {}).values() if isinstance(value, str))
        if weight + own > _HEAVIEST and position > begin:
            yield spans[begin:position]
            begin, weight = position, 0
        weight += own
    if begin < len(spans):
        yield spans[begin:]
