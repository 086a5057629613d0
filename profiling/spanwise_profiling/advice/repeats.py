"""What was asked twice: within a run, or again in a later run of the same process, found by the hash of the question.

Attempts of one call that are tried again are not repeats. The first asking stays; what came later could have had its
answer, or waited for it where it was not there yet.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.advice.saving import saving_of
from spanwise_profiling.advice.words import counted, listed, short
from spanwise_profiling.profile import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.advice.view import View
    from spanwise_profiling.kinds import Kind
    from spanwise_profiling.runs import Run

DUPLICATE: Final = "duplicate-calls"
AGAIN: Final = "repeated-runs"
_ASKING: Final[tuple[Kind, ...]] = ("chat", "embeddings", "tool", "retrieval")
_FEW: Final = 3
"""So many repeats are told of even where they cost the run no time: they load, or are billed by, somebody else."""
_SHARE: Final = 0.01
"""Runs that are cold by intention repeat small things."""
_HERE: Final = "give it a Cache: callers that ask while the answer is being made share it, those after get it"


def duplicates(view: View) -> Iterator[Finding]:
    """Yield a finding where calls of one run asked what had been asked before."""
    later: list[tuple[SpanRecord, SpanRecord]] = []
    for first, *others in _same(view).values():
        later.extend((first, other) for other in others)
    later = _outermost(view, later)
    if not later:
        return
    cuts = {other.span_id: min(other.duration_ns, max(0, other.end_ns - first.end_ns)) for first, other in later}
    finding = Finding(
        id=DUPLICATE,
        title=f"Ask once for what {counted(len(later), 'call')} asked again",
        why=f"The same question had been asked before in this run: {_names(view, later)}.",
        fix="a cache by what is asked; who asks meanwhile waits for the first",
        evidence=view.evidence((other for _, other in later), "the same question as before"),
        saves_ns=_saving(view, cuts),
        confidence="high" if all(view.kinds[one.span_id] == "retrieval" for one, _ in later) else "medium",
        here=_HERE,
        elsewhere="cache by what is asked, and let those who ask at the same time wait for the first (single flight)",
    )
    if view.matters(finding.saves_ns) or len(later) >= _FEW:
        yield finding


def between_runs(view: View, earlier: Sequence[Run]) -> Iterator[Finding]:
    """Yield a finding where calls asked what an earlier run of the same process and variant had asked."""
    known = _asked_before(view.run, earlier)
    repeats = [span for span in _asking(view) if _question(view, span) in known]
    again = [two for _, two in _outermost(view, [(span, span) for span in repeats])]
    if not again:
        return
    finding = Finding(
        id=AGAIN,
        title=f"Keep {counted(len(again), 'answer')} from one run to the next",
        why=f"An earlier run had asked the same: {_names(view, [(one, one) for one in again])}.",
        fix="keep answers by a hash of their inputs, for as long as they hold",
        evidence=view.evidence(again, "an earlier run asked the same"),
        saves_ns=_saving(view, {span.span_id: span.duration_ns for span in again}),
        confidence="low" if any(view.kinds[span.span_id] == "chat" for span in again) else "medium",
        here="give what is made of the same inputs a Cache that outlives the run",
        elsewhere="keep answers by a hash of their inputs for as long as they may be used again",
    )
    if view.matters(finding.saves_ns, _SHARE):
        yield finding


def missed(view: View) -> Iterator[Finding]:
    """Yield a finding for each cache that made a value again which it had made before in this run."""
    seen: set[tuple[str, str]] = set()
    again: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    for lookup in sorted(view.of_kind("cache"), key=lambda span: (span.start_ns, span.span_id)):
        name, key = kinds.text_of(lookup, c.CACHE_NAME), kinds.text_of(lookup, c.CACHE_KEY_HASH)
        if name is None or key is None or kinds.text_of(lookup, c.CACHE_RESULT) not in ("miss", "stale"):
            continue
        if (name, key) in seen:
            again[name].append(lookup)
        seen.add((name, key))
    for name, lookups in again.items():
        finding = _missed(view, name, lookups)
        if view.matters(finding.saves_ns):
            yield finding


def _missed(view: View, name: str, lookups: Sequence[SpanRecord]) -> Finding:
    made = [span for lookup in lookups for span in _made_after(view, lookup)]
    return Finding(
        id="missed-cache",
        title=f"Keep what cache {short(name)} made",
        why=f"It made {counted(len(lookups), 'value')} again that it had made before in this run.",
        fix="more capacity, a longer time to live, or a key without what changes",
        evidence=view.evidence([*lookups, *made]),
        saves_ns=_saving(view, {span.span_id: span.duration_ns for span in made}),
        confidence="high",
        here="give the Cache a greater capacity or ttl, and let its inputs name only what the value depends on",
        elsewhere="raise capacity or time to live; look for what does not belong into the key",
    )


def _made_after(view: View, lookup: SpanRecord) -> Iterator[SpanRecord]:
    """Yield what followed a lookup below the same span, up to the next lookup: the making of the value."""
    for span in view.children(view.parents[lookup.span_id]):
        if span.start_ns < lookup.end_ns or span.span_id == lookup.span_id:
            continue
        if view.kinds[span.span_id] == "cache":
            return
        yield span


def _asking(view: View) -> Iterator[SpanRecord]:
    for span in view.of_kind(*_ASKING):
        first = (kinds.number_of(span, c.RETRY_ATTEMPT) or 1) == 1
        if first and not span.is_error and kinds.text_of(span, c.REQUEST_HASH):
            yield span


def _question(view: View, span: SpanRecord) -> tuple[str, str]:
    return view.kinds[span.span_id], kinds.text_of(span, c.REQUEST_HASH) or ""


def _same(view: View) -> dict[tuple[str, str], list[SpanRecord]]:
    asked: defaultdict[tuple[str, str], list[SpanRecord]] = defaultdict(list)
    for span in sorted(_asking(view), key=lambda span: (span.start_ns, span.span_id)):
        asked[_question(view, span)].append(span)
    return asked


def _asked_before(run: Run, earlier: Sequence[Run]) -> set[tuple[str, str]]:
    known: set[tuple[str, str]] = set()
    for other in earlier:
        same = (other.workflow, other.variant, other.root.resource) == (run.workflow, run.variant, run.root.resource)
        if same and other.start_ns + other.duration_ns <= run.start_ns:
            known |= {
                (kinds.kind_of(span), digest)
                for _, span in other.walk()
                if (digest := kinds.text_of(span, c.REQUEST_HASH)) and not span.is_error
            }
    return known


def _outermost(view: View, pairs: Sequence[tuple[SpanRecord, SpanRecord]]) -> list[tuple[SpanRecord, SpanRecord]]:
    """Return the pairs whose second is not below another second: a repeated tool repeats what it reads."""
    ids = {later.span_id for _, later in pairs}
    return [(first, later) for first, later in pairs if not any(one in ids for one in _above(view, later.span_id))]


def _above(view: View, span_id: str) -> Iterator[str]:
    while span_id := view.parents[span_id]:
        yield span_id


def _saving(view: View, cuts: dict[str, int]) -> int:
    return min(saving_of(view, cuts=cuts), sum(view.path_ns[span_id] for span_id in cuts))


def _names(view: View, pairs: Iterable[tuple[SpanRecord, SpanRecord]]) -> str:
    names: dict[str, int] = {}
    for _, later in sorted(pairs, key=lambda pair: -view.path_ns[pair[1].span_id]):
        kind = view.kinds[later.span_id]
        name = f"{kind} {view.label(later)}" + (f" of {view.agents[later.span_id]}" if kind == "chat" else "")
        names[name] = names.get(name, 0) + 1
    return listed(f"{name} ({number})" if number > 1 else name for name, number in names.items())
