"""The instructions that a prompt may hold, one a line, and the error that quotes a line that almost is one.

A line whose first words are an instruction's is one. A malformed one is refused and not guessed at, so that prompts are
mended where they are wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from spanwise_pipeline.provider import expressions
from spanwise_pipeline.provider.facts import without_period

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterable

MAX_WORDS: Final = 2000


class MalformedInstructionError(ValueError):
    """A line that begins as an instruction and does not go on as one; the message quotes it."""


@dataclass(frozen=True, slots=True)
class State:
    """`State a, b.`: say these facts; no names means every fact of the prompt."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compute:
    """`Compute name: EXPR.`: say a number made from facts."""

    name: str
    expression: ast.expr


@dataclass(frozen=True, slots=True)
class Conclude:
    """`Conclude name: VALUE if COND; else VALUE.`: say the first value whose condition holds."""

    name: str
    cases: tuple[tuple[str, ast.expr], ...]
    otherwise: str


@dataclass(frozen=True, slots=True)
class Majority:
    """`Conclude name: majority of a, b.`: say the most frequent value."""

    name: str
    names: tuple[str, ...]


Step: TypeAlias = State | Compute | Conclude | Majority


@dataclass(slots=True)
class Instructions:
    """Everything that a prompt asks for, in order."""

    title: str | None = None
    words: int = 0
    """Words of prose for each fact."""
    json: int | None = None
    """Words of prose after a JSON object, where the answer is to be one."""
    tools: list[str] = field(default_factory=list[str])
    steps: list[Step] = field(default_factory=list[Step])

    @property
    def any_text(self) -> bool:
        """Whether anything but tool calls is asked for."""
        return bool(self.steps) or self.title is not None or self.json is not None


_LINE: Final = re.compile(
    r"[ \t]*(?:[-*][ \t]+)?"
    r"(?P<verb>Title:|State |Compute |Conclude |Use about |Answer in JSON|Call the tools? )(?P<rest>.*)"
)
_WORDS: Final = re.compile(r"(\d+) words for each fact")
_WORDS_AFTER_JSON: Final = re.compile(r"(?:, then about (\d+) words)?")


def parse(texts: Iterable[str], *, strict: bool = True) -> Instructions:
    """Return the instructions of `texts`; raises `MalformedInstructionError`, or skips the line where not `strict`."""
    found = Instructions()
    for text in texts:
        for line in text.splitlines():
            if match := _LINE.fullmatch(line):
                try:
                    _add(found, match["verb"].strip(), without_period(match["rest"]))
                except ValueError as error:
                    if strict:
                        raise MalformedInstructionError(f"Malformed instruction {line.strip()!r}: {error}.") from None
    return found


def _add(found: Instructions, verb: str, rest: str) -> None:
    if verb == "Title:":
        found.title = _title(rest)
    elif verb == "State":
        found.steps.append(State(() if rest == "every fact" else _names(rest)))
    elif verb == "Compute":
        name, text = _named(rest)
        found.steps.append(Compute(name, expressions.parse(text)))
    elif verb == "Conclude":
        found.steps.append(_conclude(*_named(rest)))
    elif verb == "Use about":
        found.words = _word_count(rest)
    elif verb == "Answer in JSON":
        found.json = _words_after_json(rest)
    else:
        found.tools.extend(_tool_names(rest))


def _title(rest: str) -> str:
    if not rest:
        raise ValueError("the title's text must follow")
    return rest


def _named(rest: str) -> tuple[str, str]:
    name, colon, text = rest.partition(":")
    if not colon or not expressions.is_name(name):
        raise ValueError("a fact's name and a colon must follow")
    return name, text.strip()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not expressions.is_name(name):
            raise ValueError(f"{name!r} is no fact's name (small letters, digits, underscores)")
    return names


def _tool_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(f"{name!r} is no tool's name")
    return names


def _word_count(rest: str) -> int:
    match = _WORDS.fullmatch(rest)
    if not match or int(match[1]) > MAX_WORDS:
        raise ValueError(f"it reads 'Use about N words for each fact', N at most {MAX_WORDS}")
    return int(match[1])


def _words_after_json(rest: str) -> int:
    match = _WORDS_AFTER_JSON.fullmatch(rest)
    if not match or int(match[1] or 0) > MAX_WORDS:
        raise ValueError(f"it reads 'Answer in JSON' or 'Answer in JSON, then about N words', N at most {MAX_WORDS}")
    return int(match[1] or 0)


def _conclude(name: str, text: str) -> Conclude | Majority:
    if text.startswith("majority of "):
        return Majority(name, _names(text.removeprefix("majority of ")))
    *cases, last = (part.strip() for part in text.split(";"))
    if not cases or not last.startswith("else "):
        raise ValueError("it reads 'VALUE if CONDITION; ...; else VALUE'")
    return Conclude(name, tuple(_case(case) for case in cases), _value(last.removeprefix("else ")))


def _case(text: str) -> tuple[str, ast.expr]:
    value, found, condition = text.partition(" if ")
    if not found:
        raise ValueError(f"{text!r} lacks ' if '")
    return _value(value), expressions.parse(condition)


def _value(text: str) -> str:
    value = text.strip().strip("\"'")
    if not value:
        raise ValueError("a value is empty")
    return value
