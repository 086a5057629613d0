"""Where a prediction is known to fail, found in the recording or in what the change does to it; each has a name."""

from __future__ import annotations

from collections import Counter
from statistics import correlation
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.prediction import changes as ch
from spanwise_profiling.prediction.limits import limited_by, most_at_once
from spanwise_profiling.prediction.planning import groups_of
from spanwise_profiling.prediction.result import Doubt
from spanwise_profiling.prediction.selection import names_of
from spanwise_profiling.simulation.graph import end_of, start_of
from spanwise_profiling.simulation.inferred import limits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spanwise_profiling.analysis.tree import Tree
    from spanwise_profiling.prediction.changes import Change
    from spanwise_profiling.prediction.planning import Plan
    from spanwise_profiling.runs import Run
    from spanwise_profiling.simulation.simulate import Outcome

_CUT_SHORT: Final = ("timeout", "cancel", "deadline")
_BUSY: Final = "429"
_TWICE: Final = 2
_MOST: Final = 1000
"""Calls that are compared with one another."""
_TOGETHER: Final = 0.5
_HANDED_OVER: Final = ("queue", "lock", "future", "task")
_FEW: Final = 5
_MATTERS: Final = 0.01
_SAME_QUALITY: Final = (ch.Remove, ch.Stop, ch.Output, ch.Input, ch.Model)


def doubts_of(run: Run, plan: Plan, outcome: Outcome, changes: Sequence[Change]) -> Iterator[Doubt]:
    """Yield what makes the prediction of one run doubtful."""
    tree = plan.graph.tree
    yield from _order(tree, changes)
    yield from _more_at_once(plan, outcome)
    for change, nodes in zip(changes, plan.matched, strict=True):
        if nodes:
            yield from _cut_short(tree, change, nodes)
            yield from _of_change(plan, change, nodes)
    if any("clock" in warning or "began before" in warning for warning in run.warnings):
        yield Doubt("clock-skew", "clocks of hosts are off, so that some orders of spans are guesses", widens=True)


def _of_change(plan: Plan, change: Change, nodes: Sequence[int]) -> Iterator[Doubt]:
    tree = plan.graph.tree
    match change:
        case ch.Parallel():
            yield from _reads(tree, nodes)
        case ch.Remove():
            yield from _loop(tree, change, nodes)
        case ch.Cache():
            yield from _rate(tree, change, nodes)
        case ch.Cap():
            yield from _hidden_queue(plan, change, nodes)
        case ch.Duration():
            yield from _slower(tree, change)
        case ch.Tier():
            calls = sum(kind == "chat" for kind in tree.kinds)
            text = f"{change.text}: {len(plan.cheaper)} of {calls} calls have the slack for it; the others stay"
            yield Doubt("slack", text)
        case ch.RateLimit():
            text = f"{change.text}: how the provider counts is not recorded; any window of that length is held to it"
            yield Doubt("rate-window", text)
        case _:
            pass
    if isinstance(change, _SAME_QUALITY):
        text = f"{change.text}: the answer may get worse, or another step may be taken; neither is predicted"
        yield Doubt("quality", text)


def doubts_of_few(runs: int) -> Iterator[Doubt]:
    """Yield the doubt that too few runs were looked at to refute an order that is chance."""
    if runs < _FEW:
        yield Doubt(
            "few-runs", f"{runs} run{'s' * (runs > 1)}: with {_FEW} or more, orders that are mere chance are found out"
        )


def doubts_of_order(careful: float, bold: float) -> Iterator[Doubt]:
    """Yield the doubt that it matters whether spans waited for all that had ended when they started.

    Args:
        careful: seconds after the change, if they did.
        bold: seconds if they waited for the last of these only.
    """
    if abs(careful - bold) > _MATTERS * careful:
        yield Doubt(
            "assumed-order",
            f"in every run some spans started after others had ended, and if they did not wait for these, it would be "
            f"{bold:.3g} s; the interval holds both",
        )


def _order(tree: Tree, changes: Sequence[Change]) -> Iterator[Doubt]:
    """Yield a doubt where things ran side by side and nothing recorded says what waited for what."""
    if all(isinstance(change, ch.Parallel) for change in changes):
        return
    recorded = any(kind == "wait" for kind in tree.kinds) or any(span.links for span in tree.spans)
    overlapping = any(
        most_at_once([(tree.starts[child], tree.ends[child]) for child in children if tree.kinds[child] != "wait"]) > 1
        for children in tree.children
    )
    if overlapping and not recorded:
        yield Doubt(
            "unrecorded-waits",
            "spans overlap and no wait is recorded: what passes between branches (a queue, an event) is not known; "
            "record with SPANWISE_CAUSALITY=on",
            widens=True,
        )


def _more_at_once(plan: Plan, outcome: Outcome) -> Iterator[Doubt]:
    """Yield a doubt where more model calls go on at once than ever did, so that the provider may answer slower."""
    tree = plan.graph.tree
    calls = [node for node, kind in enumerate(tree.kinds) if kind == "chat"]
    recorded = most_at_once([(tree.starts[node], tree.ends[node]) for node in calls])
    times = outcome.times
    after = most_at_once([(times[start_of(node)], times[end_of(node)]) for node in calls])
    if after <= recorded:
        return
    busy = any(tree.spans[node].is_error and _BUSY in (kinds.error_of(tree.spans[node]) or "") for node in calls)
    waited = any(
        tree.kinds[node] == "wait" and kinds.text_of(span, c.WAIT_KIND) == "rate_limit"
        for node, span in enumerate(tree.spans)
    )
    if busy or waited:
        yield Doubt(
            "rate-limit-unknown",
            f"{after} model calls at once where {recorded} were recorded, and calls were refused or held back; that "
            "limit is not known: add one (rate chat at 60/min)",
            widens=True,
        )
    elif _contended(tree, calls):
        yield Doubt(
            "contended",
            f"{after} model calls at once where at most {recorded} were recorded, and calls were slower the more went "
            "on at once",
            widens=True,
        )
    else:
        yield Doubt(
            "more-at-once",
            f"{after} model calls at once where at most {recorded} were recorded; it is assumed that each is as fast",
        )


def _hidden_queue(plan: Plan, change: ch.Cap, nodes: Sequence[int]) -> Iterator[Doubt]:
    limited = limited_by(plan.graph, nodes, "concurrency")
    if not limited.waits and not any(set(slots.members) & set(nodes) for slots in limits_of(plan.graph)):
        yield Doubt(
            "hidden-queue",
            f"{change.text}: no wait for a place is recorded; if these spans already queue inside themselves, their "
            "work is shorter than it looks",
            widens=True,
        )


def _slower(tree: Tree, change: ch.Duration) -> Iterator[Doubt]:
    """Yield a doubt where a span gets slower and another may wait for it that did not have to."""
    if change.factor <= 1 and change.seconds <= 0:
        return
    for node, releaser in enumerate(tree.releasers):
        if releaser >= 0 and kinds.text_of(tree.spans[node], c.WAIT_KIND) in _HANDED_OVER:
            yield Doubt(
                "slower-hand-over",
                f"{change.text}: slower than recorded, so that {names_of(tree, node)[0]} may be waited for where "
                "nobody had to wait before",
                widens=True,
            )
            return


def _contended(tree: Tree, calls: Sequence[int]) -> bool:
    """Whether recorded calls wrote slower the more of them went on at once."""
    points: list[tuple[float, float]] = []
    for node in calls:
        tokens = kinds.number_of(tree.spans[node], c.USAGE_OUTPUT_TOKENS)
        start, end = tree.starts[node], tree.ends[node]
        if tokens and end > start:
            shared = sum(max(0, min(end, tree.ends[other]) - max(start, tree.starts[other])) for other in calls)
            points.append((shared / (end - start), (end - start) / tokens))
    if len(points) < _FEW or len({round(one, 3) for one, _ in points}) < _TWICE or len(points) > _MOST:
        return False
    at_once, pace = zip(*points, strict=True)
    return len(set(pace)) > 1 and correlation(at_once, pace) > _TOGETHER


def _cut_short(tree: Tree, change: Change, nodes: Iterable[int]) -> Iterator[Doubt]:
    wanted = set(nodes)
    inside = [False] * len(tree.spans)
    for node, parent in enumerate(tree.parents):
        inside[node] = node in wanted or (parent >= 0 and inside[parent])
        error = (kinds.error_of(tree.spans[node]) or "").lower()
        if inside[node] and any(word in error for word in _CUT_SHORT):
            yield Doubt(
                "cut-short",
                f"{change.text}: {names_of(tree, node)[0]} was cancelled or timed out, so its full length is not "
                "known, and what follows may be another branch of the program",
                widens=True,
            )
            return


def _reads(tree: Tree, nodes: Sequence[int]) -> Iterator[Doubt]:
    """Yield a doubt for spans that are to run together though one's prompt holds another's output."""
    for group in groups_of(tree, nodes):
        owner = _owners(tree, group)
        for node, span in enumerate(tree.spans):
            sources = kinds.text_of(span, c.REQUEST_SOURCES)
            if node not in owner or sources is None:
                continue
            for source in sources.split():
                writer = owner.get(tree.numbers.get(source.partition(":")[0], -1))
                if writer is not None and writer != owner[node]:
                    one, other = names_of(tree, owner[node])[0], names_of(tree, writer)[0]
                    yield Doubt(
                        "reads-output",
                        f"a prompt of {one} holds output of {other}; run together, it must do without",
                    )
                    return


def _owners(tree: Tree, group: Sequence[int]) -> dict[int, int]:
    """Return each node at or below a member of `group`, with that member."""
    owner = {node: node for node in group}
    for node, parent in enumerate(tree.parents):
        if parent in owner and node not in owner:
            owner[node] = owner[parent]
    return owner


def _loop(tree: Tree, change: Change, nodes: Sequence[int]) -> Iterator[Doubt]:
    """Yield a doubt where one step of a loop goes and the others stay."""
    removed = set(nodes)
    for parent in {tree.parents[node] for node in nodes} - {-1}:
        going = Counter(names_of(tree, child)[0] for child in tree.children[parent] if child in removed)
        staying = Counter(
            names_of(tree, child)[0]
            for child in tree.children[parent]
            if child not in removed and tree.kinds[child] in ("agent", "chat", "step", "tool")
        )
        again = [name for name, count in staying.items() if count >= _TWICE]
        if again and max(going.values(), default=0) >= _TWICE:
            yield Doubt(
                "part-of-a-loop",
                f"{change.text}: takes a step out of a loop, and {again[0]} is still repeated; without the step the "
                "loop may end at once: remove the whole of it",
                widens=True,
            )
            return


def _rate(tree: Tree, change: ch.Cache, nodes: Sequence[int]) -> Iterator[Doubt]:
    asked = [digest for node in nodes if (digest := kinds.text_of(tree.spans[node], c.REQUEST_HASH))]
    if len(asked) < len(nodes) or change.rate is None:
        return
    possible = 1 - len(set(asked)) / len(asked)
    if change.rate > possible + 0.005:  # what rounds to the same percentage
        yield Doubt(
            "rate-above-recorded",
            f"{change.text}: within a run the recorded requests repeat in {possible:.0%} of cases; the rest must come "
            "from other runs",
        )
