"""A change laid upon one run: which of its spans are meant, and what the simulation is to do with them."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise_profiling import kinds
from spanwise_profiling.analysis.slack import critical_nodes, slacks_of
from spanwise_profiling.analysis.walk import critical_path
from spanwise_profiling.prediction import changes as ch
from spanwise_profiling.prediction import limits
from spanwise_profiling.prediction.calls import CallTimes, tokens_of
from spanwise_profiling.prediction.selection import names_of, nothing_matched
from spanwise_profiling.runs import NANOSECONDS
from spanwise_profiling.simulation.edits import Edits, Rate, Slots
from spanwise_profiling.simulation.graph import end_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from spanwise_profiling.analysis.tree import Tree
    from spanwise_profiling.prediction.changes import Change
    from spanwise_profiling.simulation.graph import Graph

_MILLION: Final = 1_000_000
_FEWEST_TO_HEDGE: Final = 20
_BROKEN_BY: Final = frozenset({"chat", "agent"})
_ASKED_FOR: Final = frozenset({"tool", "retrieval", "embeddings", "cache"})


@dataclass(slots=True)
class Plan:
    """One run with its changes."""

    graph: Graph
    scale: float
    edits: Edits
    matched: list[list[int]] = field(default_factory=list["list[int]"])
    """Nodes that each change is about."""
    output_tokens: dict[int, float] = field(default_factory=dict[int, float])
    """Of calls that write another number of tokens."""
    input_tokens: dict[int, float] = field(default_factory=dict[int, float])
    """Of calls that read another number of tokens."""
    prices: dict[int, tuple[float, float]] = field(default_factory=dict["int", "tuple[float, float]"])
    """Of calls that another model answers: for an input and an output token."""
    cheaper: dict[int, float] = field(default_factory=dict[int, float])
    """Calls of a cheaper tier to the share of the price that they cost."""

    def nanoseconds(self, seconds: float) -> int:
        """Return the system's seconds as recorded nanoseconds."""
        return round(seconds / self.scale * NANOSECONDS)


class Planner:
    """Lays changes upon runs; knows what all runs together show of calls.

    Args:
        changes: to lay upon each run, in order.
        graphs: of all runs.

    Raises:
        InputError: a change matches nothing in any run, or two contradict each other.
    """

    def __init__(self, changes: Sequence[Change], graphs: Sequence[Graph]) -> None:
        self._changes = changes
        trees = [graph.tree for graph in graphs]
        self.matched = [[change.selection.nodes(tree) for change in changes] for tree in trees]
        for place, change in enumerate(changes):
            if not any(nodes[place] for nodes in self.matched):
                raise nothing_matched(change.selection, trees)
        _contradictions(changes, trees, self.matched)
        self._times = CallTimes(trees)
        self._pools = {
            place: _pools(change, trees, [nodes[place] for nodes in self.matched])
            for place, change in enumerate(changes)
            if isinstance(change, ch.Hedge)
        }

    @property
    def is_random(self) -> bool:
        """Whether a prediction takes several draws: which answers are there, or what a second attempt takes."""
        return any(
            isinstance(change, ch.Hedge) or (isinstance(change, ch.Cache) and change.rate is not None)
            for change in self._changes
        )

    def plan(self, number: int, graph: Graph, scale: float, found: Sequence[Slots], draw: int = 0) -> Plan:
        """Return run `number` with the changes; `found` are limits that its times show.

        Raises:
            InputError: a change cannot be predicted from what is recorded.
        """
        plan = Plan(graph, scale, Edits(), self.matched[number])
        plan.edits.slots.extend(found)
        plan.edits.together.extend([[node] for node in slots.members] for slots in found)
        chance = random.Random(f"{number}/{draw}")  # noqa: S311 - repeatable draws, nothing secret
        for place, (change, nodes) in enumerate(zip(self._changes, plan.matched, strict=True)):
            if not nodes:
                continue
            match change:
                case ch.Hedge():
                    _hedge(plan, nodes, self._pools[place], chance)
                case ch.Cache():
                    _cache(plan, change, nodes, chance)
                case ch.Output():
                    _output(plan, change, nodes, self._times)
                case ch.Input():
                    _input(plan, change, nodes, self._times)
                case _:
                    _PLAIN[type(change)](plan, change, nodes)
        _read_less(plan, self._times)
        return plan


def _contradictions(
    changes: Sequence[Change], trees: Sequence[Tree], matched: Sequence[Sequence[Sequence[int]]]
) -> None:
    """Raise where two changes are about the same spans and cannot both be made."""
    exclusive = {"output", "model"}, {"model", "tier"}, {"model", "input"}, {"cap", "rate"}
    for (first, one), (second, other) in combinations(enumerate(changes), 2):
        both = [(tree, set(nodes[first]) & set(nodes[second])) for tree, nodes in zip(trees, matched, strict=True)]
        shared = next(((tree, min(nodes)) for tree, nodes in both if nodes), None)
        alike = (one.kind == other.kind and not _add_up(one, other)) or {one.kind, other.kind} in exclusive
        gone = "remove" in (one.kind, other.kind)
        if shared is not None and (alike or gone):
            tree, node = shared
            name = names_of(tree, node)[0]
            raise InputError(f"{one.text!r} and {other.text!r} contradict each other: both are about {name}; give one")


def _add_up(one: Change, other: Change) -> bool:
    """Whether one is a factor of a duration and the other is seconds more or less, which come after it."""
    if not isinstance(one, ch.Duration) or not isinstance(other, ch.Duration):
        return False
    return bool(one.seconds) != bool(other.seconds)


def _pools(
    change: ch.Hedge, trees: Iterable[Tree], matched: Iterable[Sequence[int]]
) -> dict[str, tuple[int, list[int]]]:
    """Return the durations of the matched spans in all runs by what they are called, with the percentile before each.

    Raises:
        InputError: there are too few of a name for a percentile.
    """
    found: defaultdict[str, list[int]] = defaultdict(list)
    for tree, nodes in zip(trees, matched, strict=True):
        for node in nodes:
            found[names_of(tree, node)[0]].append(tree.ends[node] - tree.starts[node])
    for name, pool in found.items():
        if len(pool) < _FEWEST_TO_HEDGE:
            raise InputError(
                f"{change.text}: {len(pool)} spans of {name} in all runs; a percentile needs {_FEWEST_TO_HEDGE}: give "
                "more runs"
            )
    return {
        name: (round(quantiles(pool, n=1000, method="inclusive")[round(change.percentile * 10) - 1]), pool)
        for name, pool in found.items()
    }


def _duration(plan: Plan, change: ch.Duration, nodes: Sequence[int]) -> None:
    for node in nodes:
        if change.factor != 1.0:
            _scale(plan, node, change.factor)
        if change.seconds:
            plan.edits.cuts[node] = plan.edits.cuts.get(node, 0) - plan.nanoseconds(change.seconds)


def _scale(plan: Plan, node: int, factor: float) -> None:
    plan.edits.factors[node] = plan.edits.factors.get(node, 1.0) * factor


def _parallel(plan: Plan, change: ch.Parallel, nodes: Sequence[int]) -> None:
    tree = plan.graph.tree
    groups = [group for group in groups_of(tree, nodes) if len(group) > 1]
    if change.lines:
        which = {node: place for place, line in enumerate(change.lines) for node in line.nodes(tree)}
        split = [
            [[node for node in group if which.get(node) == place] for place in range(len(change.lines))]
            for group in groups
        ]
        together = [[line for line in lines if line] for lines in split]
    else:
        together = [[[node] for node in group] for group in groups]
    together = [lines for lines in together if len(lines) > 1]
    if not together:
        name = names_of(tree, nodes[0])[0]
        raise InputError(f"{change.text}: only one span ({name}) below any one parent; name at least two siblings")
    plan.edits.together.extend(together)


def groups_of(tree: Tree, nodes: Iterable[int]) -> list[list[int]]:
    """Return nodes that can start together: of one parent, and of tools those with no model's answer in between."""
    by_parent: defaultdict[int, set[int]] = defaultdict(set)
    for node in nodes:
        by_parent[tree.parents[node]].add(node)
    groups: list[list[int]] = []
    for parent, members in by_parent.items():
        group: list[int] = []
        for child in sorted(tree.children[parent] if parent >= 0 else members, key=lambda one: (tree.starts[one], one)):
            if child in members:
                group.append(child)
            elif group and tree.kinds[child] in _BROKEN_BY and tree.kinds[group[0]] in _ASKED_FOR:
                groups.append(group)
                group = []
        groups.append(group)
    return [group for group in groups if group]


def _remove(plan: Plan, _: ch.Remove, nodes: Sequence[int]) -> None:
    plan.edits.gone.update(nodes)


def _cache(plan: Plan, change: ch.Cache, nodes: Sequence[int], chance: random.Random) -> None:
    tree, hit = plan.graph.tree, plan.nanoseconds(change.hit_seconds)
    plan.edits.hit_ns.update(dict.fromkeys(nodes, hit))
    if change.rate is not None:
        # Exactly the share, as nearly as whole answers allow: a rate is a mean over runs, and not the luck of one.
        wanted = change.rate * len(nodes)
        hits = int(wanted) + (chance.random() < wanted - int(wanted))
        plan.edits.hits.update(chance.sample(list(nodes), hits))
        return
    asked = {node: kinds.text_of(tree.spans[node], c.REQUEST_HASH) for node in nodes}
    if not any(asked.values()):
        raise InputError(
            f"{change.text}: no request hash is recorded for these spans; say a rate (at 80 %), or record with "
            "SPANWISE_FINGERPRINTS=true"
        )
    plan.edits.keys.update({node: f"{names_of(tree, node)[0]}/{digest}" for node, digest in asked.items() if digest})


def _cap(plan: Plan, change: ch.Cap, nodes: Sequence[int]) -> None:
    limited = limits.limited_by(plan.graph, nodes, "concurrency")
    known = [slots for slots in plan.edits.slots if set(slots.members) & set(limited.members)]
    # A limit on what another change makes run together is new, and need not have been seen.
    new = bool(known) or bool(plan.edits.together) or len(plan.matched) > 1
    limits.check(plan.graph, limited, change, may_be_new=new)
    plan.edits.slots = [slots for slots in plan.edits.slots if slots not in known]
    plan.edits.gone.update(limited.waits)
    plan.edits.slots.append(Slots(change.capacity, limited.members))


def _rate(plan: Plan, change: ch.RateLimit, nodes: Sequence[int]) -> None:
    limited = limits.limited_by(plan.graph, nodes, "rate_limit")
    plan.edits.gone.update(limited.waits)
    plan.edits.rates.append(Rate(change.count, plan.nanoseconds(change.seconds), limited.members))


def _stop(plan: Plan, change: ch.Stop, nodes: Sequence[int]) -> None:
    by_parent: defaultdict[int, list[int]] = defaultdict(list)
    for node in sorted(nodes, key=lambda one: (plan.graph.tree.starts[one], one)):
        by_parent[plan.graph.tree.parents[node]].append(node)
    later = [node for members in by_parent.values() for node in members[change.after :]]
    plan.edits.gone.update(later)


def _output(plan: Plan, change: ch.Output, nodes: Sequence[int], times: CallTimes) -> None:
    calls = list(_calls(plan.graph.tree, nodes, change))
    for node in calls:
        span = plan.graph.tree.spans[node]
        _, tokens = tokens_of(span)
        if not tokens:
            continue
        wrote = times.writing_ns(span)
        if wrote is None:
            raise InputError(
                f"{change.text}: nothing tells how much of the calls of {names_of(plan.graph.tree, node)[0]} was "
                "writing; record streamed calls, or more of them"
            )
        wanted = tokens * change.factor if change.tokens is None else min(tokens, change.tokens)
        _lengthen(plan, node, round(wrote * (wanted / tokens - 1)))
        plan.output_tokens[node] = wanted
    if not any(node in plan.output_tokens for node in calls):
        raise InputError(f"{change.text}: no output tokens are recorded for these calls")


def _input(plan: Plan, change: ch.Input, nodes: Sequence[int], times: CallTimes) -> None:
    some = False
    for node in _calls(plan.graph.tree, nodes, change):
        span = plan.graph.tree.spans[node]
        tokens, _ = tokens_of(span)
        wanted = tokens * change.factor if change.tokens is None else min(tokens, change.tokens)
        less = times.reading_ns(span, tokens - wanted)
        if less is not None:
            some = True
            _lengthen(plan, node, -less)
        plan.input_tokens[node] = wanted
    if not some:
        raise InputError(
            f"{change.text}: nothing tells what a token of a prompt takes; record streamed calls with prompts of "
            "different lengths"
        )


def _read_less(plan: Plan, times: CallTimes) -> None:
    """Shorten the prompts that hold text of calls which write less, as far as recorded fingerprints tell."""
    tree = plan.graph.tree
    for node, span in enumerate(tree.spans) if plan.output_tokens else ():
        sources = kinds.text_of(span, c.REQUEST_SOURCES)
        if sources is None or node in plan.input_tokens:
            continue
        less = 0.0
        for source in sources.split():
            writer, _, counts = source.partition(":")
            other = tree.numbers.get(writer, -1)
            if other in plan.output_tokens:
                wrote = kinds.number_of(tree.spans[other], c.RESPONSE_NEW_CHARACTERS) or 0
                held = counts.partition(":")[0]
                share = min(1.0, int(held) / wrote) if wrote and held.isdecimal() else 0.0
                less += share * (tokens_of(tree.spans[other])[1] - plan.output_tokens[other])
        tokens, _ = tokens_of(span)
        less = min(less, tokens)
        saved = times.reading_ns(span, less)
        if less and saved is not None:
            _lengthen(plan, node, -saved)
            plan.input_tokens[node] = tokens - less


def _lengthen(plan: Plan, node: int, more: int) -> None:
    """Let the own time of a call be longer by `more`, as a factor, so that it goes together with others."""
    own = plan.graph.lags[end_of(node)]
    if own > 0:
        lasting = max(0, own + more)
        _scale(plan, node, lasting / own)


def _calls(tree: Tree, nodes: Sequence[int], change: Change) -> Iterator[int]:
    """Yield the model calls at or below nodes."""
    inside = [False] * len(tree.spans)
    wanted, some = set(nodes), False
    for node, parent in enumerate(tree.parents):
        inside[node] = node in wanted or (parent >= 0 and inside[parent])
        if inside[node] and tree.kinds[node] == "chat":
            some = True
            yield node
    if not some:
        raise InputError(f"{change.text}: matches no model call")


def _model(plan: Plan, change: ch.Model, nodes: Sequence[int]) -> None:
    for node in _calls(plan.graph.tree, nodes, change):
        tokens = kinds.number_of(plan.graph.tree.spans[node], c.USAGE_OUTPUT_TOKENS)
        if tokens is None:
            raise InputError(f"{change.text}: a call of {names_of(plan.graph.tree, node)[0]} has no output tokens")
        own = plan.graph.lags[end_of(node)]
        _lengthen(plan, node, plan.nanoseconds(change.first_seconds + tokens * change.token_seconds) - own)
        if change.price is not None:
            plan.prices[node] = change.price[0] / _MILLION, change.price[1] / _MILLION


def _tier(plan: Plan, change: ch.Tier, nodes: Sequence[int]) -> None:
    tree = plan.graph.tree
    slack = slacks_of(tree, critical_nodes(tree, (stretch.node for stretch in critical_path(tree))))
    for node in _calls(tree, nodes, change):
        if slack[node] >= (change.factor - 1) * (tree.ends[node] - tree.starts[node]):
            _scale(plan, node, change.factor)
            plan.cheaper[node] = change.price


def _hedge(plan: Plan, nodes: Sequence[int], pools: Mapping[str, tuple[int, list[int]]], chance: random.Random) -> None:
    tree = plan.graph.tree
    for node in nodes:
        patience, pool = pools[names_of(tree, node)[0]]
        length = tree.ends[node] - tree.starts[node]
        if length > patience:
            second = patience + chance.choice(pool)
            plan.edits.cuts[node] = plan.edits.cuts.get(node, 0) + max(0, length - second)


def _retry(plan: Plan, change: ch.Retry, nodes: Sequence[int]) -> None:
    tree = plan.graph.tree
    parents = {tree.parents[node] for node in nodes} | set(nodes)
    pauses = [
        node
        for node, span in enumerate(tree.spans)
        if tree.kinds[node] == "wait"
        and kinds.text_of(span, c.WAIT_KIND) == "retry_backoff"
        and (node in parents or tree.parents[node] in parents)
    ]
    if not pauses:
        raise InputError(f"{change.text}: no pause before another attempt is recorded for these spans")
    for node in pauses:
        if change.seconds is None:
            _scale(plan, node, change.factor)
        else:
            plan.edits.cuts[node] = tree.ends[node] - tree.starts[node] - plan.nanoseconds(change.seconds)


_PLAIN: Final[Mapping[type[Any], Callable[[Plan, Any, Sequence[int]], None]]] = {
    ch.Duration: _duration, ch.Parallel: _parallel, ch.Remove: _remove, ch.Cap: _cap, ch.RateLimit: _rate,
    ch.Stop: _stop, ch.Model: _model, ch.Tier: _tier, ch.Retry: _retry,
}  # fmt: skip
