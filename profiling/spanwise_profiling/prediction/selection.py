"""Which spans a change is about: words such as `tool`, `market_data`, `agent=*_analyst`, all of which must hold.

A bare word is a kind of span, or the name of an agent, tool, model, source, cache, limit, step or span. `agent=`,
`role=` and `step=` also hold for all that is below such a span. Of a matching span, what is below it is not matched
once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, get_args

from spanwise import conventions as c
from spanwise.errors import InputError, nearest
from spanwise_profiling import kinds
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise_profiling.analysis.tree import Tree

_KINDS: Final = get_args(kinds.Kind)
_FIELDS: Final = ("kind", "name", "agent", "step", "role")


@dataclass(frozen=True, slots=True)
class Term:
    """One word: a field, and the patterns of which its value must match one, or none."""

    field: str
    """`any` for a bare word; else one of `_FIELDS`, or the name of an attribute (which has a dot)."""
    patterns: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Words that all hold for each span that is meant, or several such sets of words of which one has to hold."""

    choices: tuple[tuple[Term, ...], ...]
    text: str

    def nodes(self, tree: Tree) -> list[int]:
        """Return the nodes that match, in tree order, but none below another."""
        facts = _Facts(tree)
        found: list[int] = []
        inside = [False] * len(tree.spans)
        for node, parent in enumerate(tree.parents):
            if parent >= 0 and inside[parent]:
                inside[node] = True
            elif (node or not tree.made_up) and self._holds(facts, node):
                inside[node] = True
                found.append(node)
        return found

    def _holds(self, facts: _Facts, node: int) -> bool:
        return any(all(facts.holds(term, node) for term in terms) for terms in self.choices)


def selection_of(words: Sequence[str]) -> Selection:
    """Return what `words` select.

    Raises:
        InputError: a word is not understood.
    """
    return Selection((tuple(_term(word) for word in words),), " ".join(words))


def either_of(selections: Sequence[Selection]) -> Selection:
    """Return what selects all that one of `selections` does."""
    return Selection(
        tuple(terms for one in selections for terms in one.choices), " | ".join(one.text for one in selections)
    )


def _term(word: str) -> Term:
    field, equals, values = word.partition("=")
    if not equals:
        return Term("kind", (word,)) if word in _KINDS else Term("any", _patterns(word, word))
    negated = field.endswith("!")
    field = field.removesuffix("!")
    if field not in _FIELDS and "." not in field:
        raise InputError(f"{word}: unknown field {field!r}; {nearest(field, _FIELDS)}, or an attribute's name")
    patterns = _patterns(values, word)
    if field == "kind":
        for pattern in patterns:
            if pattern not in _KINDS:
                raise InputError(f"{word}: no kind of span; {nearest(pattern, _KINDS)}")
    return Term(field, patterns, negated)


def _patterns(values: str, word: str) -> tuple[str, ...]:
    patterns = tuple(value for value in values.split(",") if value)
    if not patterns:
        raise InputError(f"{word!r}: names nothing; write a name, or several with commas between them")
    return patterns


class _Facts:
    """What terms ask of the nodes of one tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._above: dict[str, list[str]] = {}

    def holds(self, term: Term, node: int) -> bool:
        values = self._values(term.field, node)
        return term.negated != any(fnmatchcase(value, pattern) for value in values for pattern in term.patterns)

    def _values(self, field: str, node: int) -> Iterable[str]:
        span = self._tree.spans[node]
        if field == "kind":
            return (self._tree.kinds[node],)
        if field in ("any", "name"):
            return names_of(self._tree, node)
        if field in ("agent", "step", "role"):
            return (self._inherited(field)[node],)
        value = span.attributes.get(field, span.resource.get(field))
        values = value if isinstance(value, tuple | list) else () if value is None else (value,)
        return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]

    def _inherited(self, field: str) -> list[str]:
        if field not in self._above:
            self._above[field] = inherited(self._tree, field)
        return self._above[field]


def names_of(tree: Tree, node: int) -> tuple[str, ...]:
    """Return what a span may be called by: its subject, its step's name, the kind of limit it waited at, its own."""
    span = tree.spans[node]
    called = (kinds.subject_of(span), kinds.text_of(span, c.STEP_NAME), kinds.text_of(span, c.WAIT_KIND), span.name)
    return tuple(dict.fromkeys(name for name in called if name))


def inherited(tree: Tree, field: str) -> list[str]:
    """Return for each node the nearest `agent`, `step` or `role` at or above it; empty where there is none."""
    found: list[str] = []
    for node, parent in enumerate(tree.parents):
        span, own = tree.spans[node], None
        if field == "agent":
            own = (kinds.subject_of(span) or span.name) if tree.kinds[node] == "agent" else None
        elif node or not tree.made_up:
            own = kinds.text_of(span, c.STEP_NAME if field == "step" else c.STEP_ROLE)
        found.append(own or (found[parent] if parent >= 0 else ""))
    return found


def nothing_matched(selection: Selection, trees: Iterable[Tree]) -> InputError:
    """Return the error for a selection that matches nothing in `trees`, with the names that are near."""
    known: dict[str, set[str]] = {"any": set(), "agent": set(), "step": set(), "role": set(), "kind": set()}
    for tree in trees:
        for node in range(len(tree.spans)):
            known["any"].update(names_of(tree, node)[:1])
            known["kind"].add(tree.kinds[node])
        for field in ("agent", "step", "role"):
            known[field].update(name for name in inherited(tree, field) if name)
    for term in (term for terms in selection.choices for term in terms):
        names = known["any" if term.field == "name" else term.field] if term.field in (*known, "name") else set[str]()
        met = any(fnmatchcase(name, pattern) for name in names for pattern in term.patterns)
        if names and not met and not term.negated:
            shown = printable(nearest(term.patterns[0], names))
            return InputError(f"{selection.text}: matches no span of these runs; {shown}")
    return InputError(f"{selection.text}: matches no span of these runs; each word alone does, all together do not")
