"""What to change next: the findings of a profile said as changes, simulated alone and the best of them in pairs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final, TypeAlias

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise_profiling import kinds
from spanwise_profiling.advice import advised
from spanwise_profiling.analysis import profile_of
from spanwise_profiling.prediction.language import change_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.prediction.predict import Recorded
    from spanwise_profiling.prediction.result import Prediction
    from spanwise_profiling.profile import Confidence, Finding

_PAIRED: Final = 6
"""So many of the best changes are tried in pairs."""
_LEAST_SHARE: Final = 0.0005
_HALF: Final = 0.5
_MEANS_SOMETHING: Final = frozenset("=,*?[]'\"\\ \t\n!")


_Texts: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Changes to make next."""

    texts: tuple[str, ...]
    """Those that are to be made together."""
    why: str
    """Titles of the findings that they come from."""
    confidence: Confidence
    """That they can be made; of two, of the less sure one."""
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Suggested:
    """What comes of looking for the best next change."""

    singles: tuple[Suggestion, ...]
    """By saving, the most first."""
    pair: Suggestion | None
    """The best two together; None where no two save more than the best one."""


def suggested(recorded: Recorded) -> Suggested:
    """Return the best next change and the best pair, from the findings of the run in the middle."""
    run = recorded.middle
    profile = advised(profile_of(run), [other for other in recorded.runs if other is not run])
    spans = {span.span_id: span for _, span in run.walk()}
    found = {texts: finding for finding in reversed(profile.findings) for texts in _texts(finding, spans)}
    tried = [_tried(recorded, [(texts, finding)]) for texts, finding in found.items()]
    least = _LEAST_SHARE * recorded.seconds
    singles = sorted((one for one in tried if one and _saving(one) > least), key=lambda one: -_saving(one))
    best = singles[:_PAIRED]
    both = [[(one.texts, found[one.texts]) for one in pair] for pair in combinations(best, 2)]
    pairs = [pair for two in both if (pair := _tried(recorded, two)) is not None]
    pair = max(pairs, key=_saving, default=None)
    worth = pair is not None and _saving(pair) > _saving(singles[0]) + least
    return Suggested(tuple(singles), pair if worth else None)


def _saving(suggestion: Suggestion) -> float:
    return suggestion.prediction.median.saving


def _tried(recorded: Recorded, changes: Sequence[tuple[_Texts, Finding]]) -> Suggestion | None:
    """Return what changes come to; None where that cannot be predicted, or two contradict each other."""
    texts = tuple(text for each, _ in changes for text in each)
    try:
        prediction = recorded.predict([change_of(text) for text in texts])
    except InputError:
        return None
    order: tuple[Confidence, ...] = ("low", "medium", "high")
    confidence = order[min(order.index(finding.confidence) for _, finding in changes)]
    return Suggestion(texts, "; ".join(finding.title for _, finding in changes), confidence, prediction)


def _texts(finding: Finding, spans: Mapping[str, SpanRecord]) -> Iterator[_Texts]:
    """Yield a finding as changes, in words that can be typed; those of one tuple are made together."""
    evidence = [spans[one.span_id] for one in finding.evidence if one.span_id in spans]
    say = _SAID.get(finding.id)
    if evidence and say is not None:
        yield from say(_Spans(spans, sorted(evidence, key=lambda span: (span.start_ns, span.span_id))))


@dataclass(frozen=True, slots=True)
class _Spans:
    """What a finding is about, and the run that it is in."""

    all: Mapping[str, SpanRecord]
    evidence: Sequence[SpanRecord]

    def selected(self, evidence: Sequence[SpanRecord] | None = None) -> str | None:
        """Return words that select spans like the evidence: their kind, and their steps or names unless it is all."""
        chosen = self.evidence if evidence is None else evidence
        kind = kinds.kind_of(chosen[0])
        ids = {span.span_id for span in chosen}
        if all(span_id in ids for span_id, span in self.all.items() if kinds.kind_of(span) == kind):
            return kind
        steps = _written([kinds.text_of(span, c.STEP_NAME) for span in chosen])
        if steps is not None:
            return f"{kind} step={steps}"
        names = _written([kinds.subject_of(span) or span.name for span in chosen])
        return None if names is None else f"{kind} name={names}"

    def agents(self) -> str | None:
        """Return words that select the model calls of the agents of the evidence."""
        agents = _written([kinds.text_of(span, c.AGENT_NAME) for span in self.evidence])
        return None if agents is None else f"chat agent={agents}"

    def rounds(self) -> Iterator[list[SpanRecord]]:
        """Yield the evidence by rounds: who has had a turn begins the next one."""
        turn: dict[str, SpanRecord] = {}
        for span in self.evidence:
            name = kinds.subject_of(span) or span.name
            if name in turn and kinds.kind_of(span) == "agent":
                yield list(turn.values())
                turn = {}
            turn[name if kinds.kind_of(span) == "agent" else span.span_id] = span
        yield list(turn.values())


def _parallel(found: _Spans) -> Iterator[_Texts]:
    rounds = [found.selected(turn) for turn in found.rounds() if len(turn) > 1]
    said = tuple(f"parallel {selection}" for selection in rounds if selection is not None)
    if said and len(said) == len(rounds):
        yield said


def _limit(found: _Spans) -> Iterator[_Texts]:
    waits = [span for span in found.evidence if kinds.text_of(span, c.WAIT_KIND) == "concurrency"]
    names = _written([kinds.subject_of(span) for span in waits])
    if names is not None:
        yield from ((f"cap wait name={names} at {places}",) for places in (4, 8, 16))


def _retry(found: _Spans) -> Iterator[_Texts]:
    calls = [span for span in found.evidence if kinds.kind_of(span) != "wait"]
    if calls and (selection := found.selected(calls)):
        yield (f"retry {selection} after x{_HALF:g}",)


def _with_selection(before: str, after: str = "") -> Callable[[_Spans], Iterator[_Texts]]:
    def say(found: _Spans) -> Iterator[_Texts]:
        if selection := found.selected():
            yield (f"{before} {selection}{after}",)

    return say


def _of_agents(verb: str) -> Callable[[_Spans], Iterator[_Texts]]:
    def say(found: _Spans) -> Iterator[_Texts]:
        if selection := found.agents():
            yield (f"{verb} {selection} x{_HALF:g}",)

    return say


_SAID: Final[Mapping[str, Callable[[_Spans], Iterator[_Texts]]]] = {
    "sequential-calls": _parallel,
    "duplicate-calls": _with_selection("cache"),
    "straggler": _with_selection("hedge", " after p95"),
    "low-limit": _limit,
    "retry-storm": _retry,
    "unused-output": _of_agents("output"),
    "uncached-prefix": _of_agents("input"),
    "repeated-context": _of_agents("input"),
    "growing-context": _of_agents("input"),
    "idle-critic": _with_selection("remove"),
    "unread-tool-result": _with_selection("remove"),
}
"""Finding to the changes that it calls for; of the others, no verb says what is to be done."""


def _written(names: Sequence[str | None]) -> str | None:
    """Return names as a list that a selection reads; None where one is missing or means something there."""
    known = list(dict.fromkeys(name for name in names if name))
    unsafe = not known or not all(names) or any(_MEANS_SOMETHING & set(name) for name in known)
    return None if unsafe else ",".join(known)
