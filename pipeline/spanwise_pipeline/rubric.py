"""How good an answer is, made from what the prompts ask for: no formula is written a second time.

A task's prompt says which facts to state and how to compute others. Replaying the tasks in order on the true facts
gives what each section must say; a section is checked for its title, and for each fact's value and explanation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise_pipeline.provider import facts
from spanwise_pipeline.provider.prompt import Message, Prompt
from spanwise_pipeline.provider.reply import reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TOLERANCE: Final = 6e-5
_GRADES: Final = ((100.0, "A+"), (95.0, "A"), (90.0, "A-"), (80.0, "B"), (70.0, "C"), (60.0, "D"))
_NEXT_FACT: Final = re.compile(r"^[a-z][a-z0-9_]* (?:=|is not known)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Task:
    """What an agent is to write."""

    title: str
    states: tuple[str, ...]
    """Facts to pass on."""
    derives: tuple[str, ...] = ()
    """`Compute` and `Conclude` lines, in order."""

    def lines(self) -> list[str]:
        """Return the task's lines of a prompt."""
        return [f"Title: {self.title}", f"State {', '.join(self.states)}.", *self.derives]


@dataclass(frozen=True, slots=True)
class Grade:
    """What a rubric says of an answer."""

    grade: str
    score: float
    """0 to 100: the share of checks that hold."""
    faults: tuple[str, ...]
    """The checks that do not hold."""


def facts_of(text: str) -> dict[str, str]:
    """Return the facts `name = value` that a text states, in order."""
    return facts.parse([text])


def expected_facts(tasks: Iterable[Task], known: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return what each task must state, by title and fact, when `known` and what tasks before it stated are known."""
    told = dict(known)
    expected: dict[str, dict[str, str]] = {}
    for task in tasks:
        lines = [f"{name} = {value}" for name, value in told.items()]
        answer = reply(Prompt("", (Message("user", "\n".join([*lines, *task.lines()])),)))
        expected[task.title] = facts_of(answer.text)
        told |= expected[task.title]
    return expected


def grade_sections(
    sections: Mapping[str, str], expected: Mapping[str, Mapping[str, str]], *, least_words: int
) -> Grade:
    """Grade an answer.

    Args:
        sections: its texts by title.
        expected: what they must state, of `expected_facts`.
        least_words: words that each fact needs as its explanation.
    """
    faults: list[str] = []
    checks = 0
    for title, right in expected.items():
        text = sections.get(title, "")
        checks += 1 + 2 * len(right)
        if not text.startswith(f"## {title}\n"):
            faults.append(f"{title}: the section is missing")
        for name, value in right.items():
            faults += _faults(title, text, name, value, least_words)
    score = 100.0 * (checks - len(faults)) / checks
    letter = next((letter for least, letter in _GRADES if score >= least), "F")
    return Grade(letter, round(score, 2), tuple(faults))


def _faults(title: str, text: str, name: str, value: str, least_words: int) -> list[str]:
    stated = facts_of(text).get(name)
    if stated is None:
        return [f"{title}: {name} is missing", f"{title}: {name} is not explained"]
    faults: list[str] = []
    if not _equal(stated, value):
        faults.append(f"{title}: {name} is {stated}, must be {value}")
    after = re.split(rf"^{name} = .*$", text, maxsplit=1, flags=re.MULTILINE)[-1]
    if len(_NEXT_FACT.split(after, maxsplit=1)[0].split()) < least_words:
        faults.append(f"{title}: {name} is not explained")
    return faults


def _equal(stated: str, expected: str) -> bool:
    one, other = facts.number(stated), facts.number(expected)
    return abs(one - other) <= _TOLERANCE if one is not None and other is not None else stated == expected
