"""The reply: a pure function of the request.

Facts are read from every message, instructions from the system's and the user's. What the prompt lost, the reply lacks:
it says so in place of a value, and gives no prose for it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from spanwise_pipeline.provider import expressions, facts, instructions
from spanwise_pipeline.provider.instructions import MalformedInstructionError
from spanwise_pipeline.provider.prompt import Answer, Prompt, Tool, ToolCall
from spanwise_pipeline.provider.prose import prose
from spanwise_pipeline.provider.schema import SchemaFiller, plain_number
from spanwise_pipeline.provider.tokens import compact, cut, tokens

if TYPE_CHECKING:
    from spanwise_pipeline.provider.instructions import Instructions, Step

_INSTRUCTING: Final = ("system", "developer", "user")
_QUOTED_WORDS: Final = 12
_QUOTED_FACTS: Final = 5
MAX_WORDS_IN_ALL: Final = 50_000
"""Most words of prose in one reply: they take about half a second."""


def reply(prompt: Prompt, *, strict: bool = True) -> Answer:
    """Return the answer to `prompt`; raises `MalformedInstructionError` for a line that almost is an instruction."""
    known = facts.parse(message.text for message in prompt.messages)
    wanted = instructions.parse((m.text for m in prompt.messages if m.role in _INSTRUCTING), strict=strict)
    if calls := _calls(prompt, wanted, known):
        return Answer("", calls, "tool_calls")
    return _truncated(_text(prompt, wanted, known), prompt.max_tokens)


def _truncated(text: str, limit: int | None) -> Answer:
    if limit is None or tokens(text) <= limit:
        return Answer(text)
    return Answer(cut(text, limit), finish_reason="length")


def _calls(prompt: Prompt, wanted: Instructions, known: dict[str, str]) -> tuple[ToolCall, ...]:
    chosen = _chosen(prompt, wanted)
    if not prompt.parallel_tool_calls:
        chosen = chosen[:1]
    return tuple(_call(prompt, position, tool, known) for position, tool in enumerate(chosen))


def _chosen(prompt: Prompt, wanted: Instructions) -> list[Tool]:
    offered = {tool.name: tool for tool in prompt.tools}
    if prompt.tool_choice == "none" or not offered:
        return []
    if prompt.tool_choice.startswith("="):
        return [offered[prompt.tool_choice[1:]]]
    answered = _answered(prompt)
    names = [name for name in dict.fromkeys(wanted.tools) if name in offered and name not in answered]
    if not names and prompt.tool_choice == "required":
        names = [next((name for name in offered if name not in answered), next(iter(offered)))]
    return [offered[name] for name in names]


def _answered(prompt: Prompt) -> set[str]:
    names = {call["id"]: call["function"]["name"] for message in prompt.messages for call in message.tool_calls}
    return {names[m.tool_call_id] for m in prompt.messages if m.tool_call_id is not None and m.tool_call_id in names}


def _call(prompt: Prompt, position: int, tool: Tool, known: dict[str, str]) -> ToolCall:
    arguments = compact(SchemaFiller({"type": "object", **tool.parameters}, known).fill())
    history = compact([[m.role, m.text, m.tool_calls] for m in prompt.messages])
    digest = hashlib.sha256(f"{history}\n{position}\n{tool.name}\n{arguments}".encode()).hexdigest()
    return ToolCall(f"call_{digest[:24]}", tool.name, arguments)


@dataclass(slots=True)
class _Statements:
    """What the reply says: facts in order, and names that it cannot say; results are facts for later steps."""

    known: dict[str, str]
    prompt_names: tuple[str, ...]
    said: dict[tuple[str, str | None], None] = field(default_factory=dict[tuple[str, str | None], None])
    """In order, each once."""

    def say(self, name: str, value: str | None) -> None:
        self.said[name, value] = None

    def conclude(self, name: str, value: str | None) -> None:
        if value is None:
            self.known.pop(name, None)
        else:
            self.known[name] = value
        self.say(name, value)

    def run(self, step: Step) -> None:
        if isinstance(step, instructions.State):
            for name in step.names or self.prompt_names:
                self.say(name, self.known.get(name))
        else:
            self.conclude(step.name, _result(step, self.known))


def _result(
    step: instructions.Compute | instructions.Conclude | instructions.Majority, known: dict[str, str]
) -> str | None:
    try:
        if isinstance(step, instructions.Compute):
            return facts.format_number(expressions.compute(step.expression, known))
        if isinstance(step, instructions.Majority):
            return _majority(step, known)
        # Every condition is looked at, so that a lost fact shows even where an earlier case holds.
        outcomes = [(value, expressions.holds(condition, known)) for value, condition in step.cases]
    except expressions.UnknownValueError:
        return None
    return next((value for value, true in outcomes if true), step.otherwise)


def _majority(step: instructions.Majority, known: dict[str, str]) -> str | None:
    if any(name not in known for name in step.names):
        return None
    return Counter(known[name] for name in step.names).most_common(1)[0][0]


def _text(prompt: Prompt, wanted: Instructions, known: dict[str, str]) -> str:
    statements = _Statements(dict(known), tuple(known))
    for step in wanted.steps:
        statements.run(step)
    if prompt.output.kind != "text":
        return compact(_json(prompt, statements))
    if wanted.json is not None:
        answer = compact(_json(prompt, statements))
        return f"{answer}\n\n{prose('', answer, wanted.json)}" if wanted.json else answer
    if not wanted.any_text:
        return _generic(prompt, known)
    if wanted.words * len(statements.said) > MAX_WORDS_IN_ALL:
        raise MalformedInstructionError(
            f"The reply would have {wanted.words} words for each of {len(statements.said)} facts; "
            f"the simulation writes at most {MAX_WORDS_IN_ALL} in all."
        )
    lines = [f"## {wanted.title}"] if wanted.title else []
    for name, value in statements.said:
        lines.extend(_statement(name, value, wanted.words))
    return "\n".join(lines)


def _statement(name: str, value: str | None, words: int) -> list[str]:
    if value is None:
        return [f"{name} is not known."]
    return [f"{name} = {value}", prose(name, value, words)] if words else [f"{name} = {value}"]


def _json(prompt: Prompt, statements: _Statements) -> object:
    if prompt.output.schema is not None:
        return SchemaFiller(prompt.output.schema, statements.known).fill()
    said = list(statements.said) or list(statements.known.items())
    return {name: None if value is None else plain_number(value) for name, value in said}


def _generic(prompt: Prompt, known: dict[str, str]) -> str:
    if known:
        some = ", ".join(f"{name} is {value}" for name, value in list(known.items())[:_QUOTED_FACTS])
        return f"The request gives {len(known)} facts: {some}."
    last = next((m.text for m in reversed(prompt.messages) if m.role == "user"), "")
    quoted = " ".join(last.split()[:_QUOTED_WORDS])
    return f'This is a simulated answer to: "{quoted}".' if quoted else "This is a simulated answer."
