"""A run of the edited graph: every event as soon as what comes before it has happened, and its resources are free.

The events are taken in order of time (a discrete event simulation), so that queues are served in order of arrival and
whoever asks a question first is who makes the answer. Without an edit every event is where it was recorded.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from spanwise_profiling.simulation.graph import end_of, start_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise_profiling.simulation.edits import Edits
    from spanwise_profiling.simulation.graph import Graph


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an edited run came to."""

    times: Sequence[int]
    """Of each event of the graph, nanoseconds since 1970."""
    causes: Sequence[int]
    """Of each event the one that it came after, -1 where that was none; what made it wait in a queue, if anything."""
    skipped: frozenset[int]
    """Nodes whose answer was there, or that were removed, with all below them."""

    @property
    def duration_ns(self) -> int:
        """From the first start to the end of the whole."""
        return self.times[end_of(0)] - self.times[start_of(0)]


class StandstillError(Exception):
    """Nothing can go on: all who have a place at a limit wait for spans that wait for a place."""


def simulate(graph: Graph, edits: Edits) -> Outcome:
    """Return when everything happens with these edits.

    Raises:
        StandstillError: with these limits the run would never end.
    """
    return _Simulation(graph, edits).run()


@dataclass(slots=True)
class _Queue:
    """A resource that a start waits for: so many at once, or so many in a window."""

    count: int
    window_ns: int | None
    """None: a place is free again when who has it ends."""
    in_use: int = 0
    waiting: deque[int] = field(default_factory=deque[int])
    granted: list[int] = field(default_factory=list[int])
    """When each start was let through."""


class _Simulation:
    def __init__(self, graph: Graph, edits: Edits) -> None:
        self._graph, self._edits, self._tree = graph, edits, graph.tree
        self._before: list[Sequence[int]] = list(graph.before)
        self._lags = list(graph.lags)
        self._after: Sequence[Sequence[int]] = graph.after
        for span in edits.gone:
            self._lags[end_of(span)] = 0
        self._scale()
        self._rewire()
        count = len(self._before)
        self._times, self._causes = [0] * count, [-1] * count
        self._missing = [len(causes) for causes in self._before]
        self._done = [False] * count
        self._ready: list[tuple[int, int, int]] = []
        self._skipped: set[int] = set()
        self._makers: dict[str, int] = {}
        self._answers: defaultdict[int, list[int]] = defaultdict(list)
        self._queues: dict[int, _Queue] = {}
        for slots in edits.slots:
            self._queues.update(dict.fromkeys(slots.members, _Queue(slots.capacity, None)))
        for rate in edits.rates:
            self._queues.update(dict.fromkeys(rate.members, _Queue(rate.count, rate.window_ns)))

    def _scale(self) -> None:
        """Multiply what the scaled nodes take by themselves, and all below them; waits for a limit stay as long."""
        if not self._edits.factors:
            return
        tree, own = self._tree, self._edits.factors
        factors = [1.0] * len(tree.spans)
        for node, parent in enumerate(tree.parents):
            above = factors[parent] if parent >= 0 else 1.0
            factors[node] = above * own.get(node, 1.0)
            kept = tree.roles[node] == "admission" and node not in own
            if parent >= 0 and above != 1.0:
                self._lags[start_of(node)] = round(self._lags[start_of(node)] * above)
            if factors[node] != 1.0 and not kept:
                self._lags[end_of(node)] = round(self._lags[end_of(node)] * factors[node])

    def _rewire(self) -> None:
        """Let groups start together, and nodes after what they need; what came after them goes on doing so."""
        if not (self._edits.together or self._edits.after):
            return
        graph, rank = self._graph, self._graph.rank
        for lines in self._edits.together:
            self._start_together(lines)
        for node, needed in self._edits.after.items():
            start = start_of(node)
            dropped = set(graph.causes(start))
            parent = start_of(self._tree.parents[node]) if self._tree.parents[node] >= 0 else start
            wanted = {parent, *(end_of(other) for other in needed)}
            self._before[start] = self._earlier(wanted, rank[start])
            for follower in graph.followers(end_of(node)):
                wanted = {*graph.causes(follower), *self._before[follower], *dropped}
                self._before[follower] = self._earlier(wanted, rank[follower])
        after: list[list[int]] = [[] for _ in self._before]
        for event, earlier in enumerate(self._before):
            for cause in earlier:
                after[cause].append(event)
        self._after = after

    def _start_together(self, lines: Sequence[Sequence[int]]) -> None:
        graph = self._graph
        members = sorted((node for line in lines for node in line), key=lambda node: graph.rank[start_of(node)])
        first, ends = start_of(members[0]), {end_of(node) for node in members}
        inherited = {cause for node in members[1:] for cause in graph.causes(start_of(node))} - ends
        causes: Sequence[int] = graph.causes(first)
        for line in lines:
            for node, before in zip(line, (-1, *line), strict=False):
                start = start_of(node)
                if before >= 0:
                    parent = self._tree.parents[node]
                    needed = [end_of(before), *([start_of(parent)] if parent >= 0 else [])]
                    self._before[start] = self._earlier(needed, graph.rank[start])
                elif start != first:
                    self._before[start], self._lags[start] = causes, graph.lags[first]
        inside = {start_of(node) for node in members}
        for follower in {follower for end in ends for follower in graph.followers(end)} - inside:
            wanted = {*graph.causes(follower), *self._before[follower], *inherited, *ends}
            self._before[follower] = self._earlier(wanted, graph.rank[follower])

    def _earlier(self, events: Iterable[int], rank: int) -> list[int]:
        """Return those of `events` that were recorded before the event of this rank, so that no circle comes about."""
        return [event for event in events if self._graph.rank[event] < rank]

    def run(self) -> Outcome:
        if not (self._edits.keys or self._edits.hits or self._edits.gone or self._queues):
            self._in_order()
            return Outcome(self._times, self._causes, frozenset())
        for event, missing in enumerate(self._missing):
            if not missing:
                self._push(event)
        while self._ready:
            time, _, event = heappop(self._ready)
            if not self._done[event]:
                self._take(event, time)
        if not all(self._done):
            raise StandstillError
        return Outcome(self._times, self._causes, frozenset(self._skipped))

    def _in_order(self) -> None:
        """The quick way where nothing depends on who comes first."""
        times, spans = self._times, 2 * len(self._tree.spans)
        for event in self._graph.order:
            time, cause = self._latest(event)
            time += self._lags[event]
            if event < spans and event % 2:
                node = event // 2
                time = max(times[event - 1], time - self._edits.cuts.get(node, 0))
            times[event], self._causes[event] = time, cause

    def _latest(self, event: int) -> tuple[int, int]:
        """Return the time of the last of the events before this one, and which that is; a time of 0 for none."""
        best, cause = 0, -1
        for other in self._before[event]:
            if self._times[other] > best:
                best, cause = self._times[other], other
        return best, cause

    def _push(self, event: int) -> None:
        time, cause = self._latest(event)
        self._causes[event] = cause
        time += self._lags[event]
        if event < 2 * len(self._tree.spans) and event % 2:
            time = max(self._times[event - 1], time - self._edits.cuts.get(event // 2, 0))
        heappush(self._ready, (time, self._graph.rank[event], event))

    def _take(self, event: int, time: int) -> None:
        """Let an event that is due happen, or queue."""
        node = event // 2
        if event >= 2 * len(self._tree.spans):
            self._finish(event, time)
        elif event % 2:
            self._finish(event, time)
            self._release(node, time)
        elif self._is_answered(node, time):
            pass
        elif node in self._queues:
            self._ask(node, time)
        else:
            self._finish(event, time)

    def _finish(self, event: int, time: int) -> None:
        if self._done[event]:
            return
        self._done[event], self._times[event] = True, time
        for follower in self._after[event]:
            self._missing[follower] -= 1
            if not self._missing[follower] and not self._done[follower]:
                self._push(follower)
        for node in self._answers.pop(event, ()):
            self._skip(node, max(time, self._times[start_of(node)] + self._edits.hit_ns.get(node, 0)), event)

    def _is_answered(self, node: int, time: int) -> bool:
        """Whether a node that is due takes no making: it was removed, its answer is there, or another makes it."""
        edits = self._edits
        if node in edits.gone:
            self._begin_skip(node, time)
            self._skip(node, time, start_of(node))
            return True
        if node in edits.hits:
            self._begin_skip(node, time)
            self._skip(node, time + edits.hit_ns.get(node, 0), start_of(node))
            return True
        key = edits.keys.get(node)
        maker = self._makers.setdefault(key, node) if key is not None else node
        if maker == node:
            return False
        self._begin_skip(node, time)
        made = end_of(maker)
        if self._done[made]:
            self._skip(node, max(self._times[made], time + edits.hit_ns.get(node, 0)), start_of(node))
        else:
            self._answers[made].append(node)
        return True

    def _begin_skip(self, node: int, time: int) -> None:
        self._skipped.add(node)
        self._finish(start_of(node), time)

    def _skip(self, node: int, time: int, cause: int) -> None:
        """End a node that takes no making, and let all below it have happened."""
        begin, below = self._times[start_of(node)], list(self._tree.children[node])
        while below:
            other = below.pop()
            below.extend(self._tree.children[other])
            self._skipped.add(other)
            self._causes[start_of(other)] = self._causes[end_of(other)] = start_of(node)
            self._finish(start_of(other), begin)
            self._finish(end_of(other), begin)
        self._causes[end_of(node)] = cause
        heappush(self._ready, (time, self._graph.rank[end_of(node)], end_of(node)))

    def _ask(self, node: int, time: int) -> None:
        """Let a node start when its resource lets it, in order of arrival."""
        queue = self._queues[node]
        if queue.window_ns is not None:
            due = queue.granted[-queue.count] + queue.window_ns if len(queue.granted) >= queue.count else time
            queue.granted.append(max(time, due))
            self._finish(start_of(node), max(time, due))
        elif queue.in_use < queue.count:
            queue.in_use += 1
            self._finish(start_of(node), time)
        else:
            queue.waiting.append(node)

    def _release(self, node: int, time: int) -> None:
        queue = self._queues.get(node)
        if queue is None or queue.window_ns is not None or node in self._skipped:
            return
        if queue.waiting:
            following = queue.waiting.popleft()
            self._causes[start_of(following)] = end_of(node)
            self._finish(start_of(following), time)
        else:
            queue.in_use -= 1
