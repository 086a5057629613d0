"""What a destination gets of what was recorded: a filter over names and attributes, and a content policy of its own.

It works on spans as they are in the journal (OTLP/JSON, parsed), so that it holds for what is sent from memory, from
the journal, and by `spanwise export` alike.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise import conventions as c
from spanwise.content.policy import SAME, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAME: Final = "name"


@dataclass(frozen=True, slots=True)
class Rule:
    """A span matches where its name, or an attribute of it, has that form."""

    attribute: str
    pattern: re.Pattern[str]

    def matches(self, span: Mapping[str, Any]) -> bool:
        """Whether `span` has what the rule is about, in its form."""
        if self.attribute == NAME:
            return self.pattern.match(span.get("name", "")) is not None
        return any(
            self.pattern.match(_text(pair.get("value", {}))) is not None
            for pair in span.get("attributes", ())
            if pair["key"] == self.attribute
        )


def _text(value: Mapping[str, Any]) -> str:
    for one in value.values():
        if isinstance(one, bool):
            return str(one).lower()
        if isinstance(one, dict):
            return ",".join(map(_text, cast("Mapping[str, Any]", one).get("values", ())))
        return str(one)
    return ""


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
        waits: whether waits get there, each as a span.
        translate: rewrites what is left of a span for a destination that speaks a dialect of its own.
    """

    def __init__(
        self,
        content: Sequence[str] = SAME,
        drop: Sequence[str] = (),
        translate: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
        *,
        waits: bool = True,
    ) -> None:
        self.waits = waits
        """Whether it lets waits through."""
        self._kinds = None if tuple(content) == SAME else frozenset(content)
        self._rules = tuple(rule(text) for text in drop)
        self._translate = translate

    def admitted(self, span: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return what of `span` gets there, without the content that does not; none where nothing of it does."""
        if any(rule.matches(span) for rule in self._rules) or (not self.waits and is_wait(span)):
            return None
        if self._kinds is not None:
            span = self._stripped(span, self._kinds)
        return span if self._translate is None else self._translate(span)

    def _stripped(self, span: Mapping[str, Any], kinds: frozenset[str]) -> Mapping[str, Any]:
        kept = _kept(span, kinds)
        events = [_kept(event, kinds) for event in span.get("events", ())]
        return {**kept, "events": events} if events else kept


def is_wait(span: Mapping[str, Any]) -> bool:
    """Whether a span as it is in the journal is a wait, whatever record it stands in."""
    return any(pair.get("key") == c.WAIT_KIND for pair in span.get("attributes", ()))


def _kept(holder: Mapping[str, Any], kinds: frozenset[str]) -> Mapping[str, Any]:
    """Return a span or an event without the attributes that hold content of other `kinds`."""
    pairs: Sequence[Any] = holder.get("attributes", ())
    kept = [pair for pair in pairs if (kind_of(pair["key"]) or "") in kinds or not kind_of(pair["key"])]
    return holder if len(kept) == len(pairs) else {**holder, "attributes": kept}
