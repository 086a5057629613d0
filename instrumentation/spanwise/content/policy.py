"""Which content may be recorded: nothing by default, then kind by kind, whoever made the span.

OpenTelemetry's variable knows four words; ours adds the kinds, since prompts are seldom as sensitive as tool results.
The attributes of other instrumentations' dialects belong to a kind, too, so that a kind that is off is off for all.
"""

from __future__ import annotations

import functools
import re
from typing import Final, Literal, cast

from spanwise import conventions as c
from spanwise.process.memo import Memo

Kind = Literal[
    "prompts", "completions", "system_instructions", "tool_definitions", "tool_arguments", "tool_results", "retrieval"
]
KINDS: Final[tuple[Kind, ...]] = (
    "prompts", "completions", "system_instructions", "tool_definitions", "tool_arguments", "tool_results", "retrieval",
)  # fmt: skip
SAME: Final = ("same",)
"""A destination's policy that is the journal's."""
_WORDS: Final[dict[str, tuple[Kind, ...]]] = {
    "none": (),
    "all": KINDS,
    "no_content": (),
    "span_only": KINDS,
    "event_only": (),  # content goes on spans only, so what is for events only has no place
    "span_and_event": KINDS,
    "true": KINDS,  # what the variable took before it had words
    "false": (),
}
_OF_ATTRIBUTE: Final[dict[str, Kind]] = {
    c.INPUT_MESSAGES: "prompts",
    c.OUTPUT_MESSAGES: "completions",
    c.SYSTEM_INSTRUCTIONS: "system_instructions",
    c.TOOL_DEFINITIONS: "tool_definitions",
    c.TOOL_CALL_ARGUMENTS: "tool_arguments",
    c.TOOL_CALL_RESULT: "tool_results",
    c.RETRIEVAL_QUERY_TEXT: "retrieval",
    c.RETRIEVAL_DOCUMENTS: "retrieval",
}
_DIALECTS: Final = (
    r"(?P<prompts>gen_ai\.prompt|gen_ai\.prompt\.(?:[0-9]+|variable)\..*|input\.value|llm\.(?:prompts|input_messages)\b.*"
    r"|traceloop\.entity\.input|gen_ai\.event\.content)"
    r"|(?P<completions>gen_ai\.completion(?:\.[0-9]+\..*)?|output\.value|llm\.(?:completions|output_messages)\b.*"
    r"|traceloop\.entity\.output)"
    r"|(?P<tool_definitions>llm\.tools\b.*|llm\.request\.functions\b.*)"
    r"|(?P<tool_arguments>tool\.parameters|tool_call\.function\.arguments)"
    r"|(?P<retrieval>retrieval\.documents\b.*|reranker\.(?:query|input_documents|output_documents)\b.*"
    r"|embedding\.(?:embeddings|text)\b.*)"
)


@functools.cache
def _dialects() -> re.Pattern[str]:
    return re.compile(_DIALECTS)  # not at import, which it would double


def _kind_of(attribute: str) -> Kind | None:
    if attribute in _OF_ATTRIBUTE:
        return _OF_ATTRIBUTE[attribute]
    match = _dialects().fullmatch(attribute)
    return cast("Kind", match.lastgroup) if match is not None else None


_kinds: Final[Memo[str, Kind | None]] = Memo(_kind_of)


def kind_of(attribute: str) -> Kind | None:
    """Return the kind of content that an attribute holds; `None` where it holds none."""
    return _kinds[attribute]


def kinds(text: str) -> tuple[Kind, ...]:
    """Return the kinds that `none`, `all`, a list with commas or a word of OpenTelemetry's variable stands for.

    Raises:
        ValueError: it has an unknown word.
    """
    words = [word.strip().lower() for word in text.split(",")]
    if len(words) == 1 and words[0] in _WORDS:
        return _WORDS[words[0]]
    if not set(words) <= set(KINDS):
        raise ValueError(text)
    return tuple(kind for kind in KINDS if kind in words)


def destination_kinds(text: str) -> tuple[str, ...]:
    """Return a destination's kinds; `same` stands for those of the journal. Raises `ValueError` as `kinds` does."""
    return SAME if text.strip().lower() in SAME else kinds(text)
