"""The critical path and its buckets once more, written from docs/profile.md alone: slow, and plain to read.

Every question is answered by looking at every span again. It shares no code with the analyses that it checks, not even
what a span is. It knows nothing of attributes that say how long the loop was blocked or a span computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run

CALLS = {
    "chat": "model", "embeddings": "model", "execute_tool": "tool", "retrieval": "retrieval", "cache": "cache_lookup",
}  # fmt: skip
COURSES = {"invoke_workflow", "invoke_agent", "plan", "step"}
ADMISSION = {
    "rate_limit": "wait_rate_limit", "concurrency": "wait_concurrency", "retry_backoff": "wait_retry",
    "circuit_open": "wait_circuit", "human": "human", "connection": "connect",
}  # fmt: skip
REASON, STARTS = "spanwise.link.reason", ("waits_on", "spawned_by", "admitted_by")
ABOVE = "(above several)"
SUSPENSION = {"task": "coordination", "queue": "queue", "lock": "queue"}


class Part(NamedTuple):
    """A part of the path; times are nanoseconds since the run's start."""

    span: str
    start: int
    end: int
    bucket: str
    edge: str
    overlap: bool


class Oracle:
    """One run, answered by brute force."""

    def __init__(self, run: Run) -> None:
        self.begin, self.finish = run.start_ns, run.start_ns + run.duration_ns
        self.spans = {span.span_id: span for _, span in run.walk()}
        self.order = {name: place for place, name in enumerate(self.spans)}
        first, *others = (span.span_id for span in run.tops)
        workflows = [self.kind(name) for name in (first, *others)].count("invoke_workflow")
        self.root = first if not others or (workflows == 1 and self.kind(first) == "invoke_workflow") else ABOVE
        self.parent = {name: span.parent_id for name, span in self.spans.items()}
        self.parent |= dict.fromkeys((first, *others), self.root)
        segments = [name for name in (first, *others) if self.kind(name) == "invoke_workflow"]
        if self.root == ABOVE and segments:
            for name in others:  # a lost span is counted to the segment before it
                before = [one for one in segments if self.order[one] < self.order[name]]
                if name not in segments and before:
                    self.parent[name] = before[-1]
        if self.root == ABOVE:
            self.first = first
            self.order[ABOVE] = -1
        self.parent[self.root] = None
        self.followed: set[str] = set()
        self.limits: dict[str, int] = {}
        self.how: dict[str, tuple[str, bool]] = {}
        self.found: list[tuple[str, int, int]] = []

    def end(self, name: str) -> int:
        if name == ABOVE:
            return self.finish
        span = self.spans[name]
        return max(span.end_ns, span.start_ns)

    def start(self, name: str) -> int:
        return self.begin if name == ABOVE else self.spans[name].start_ns

    def kind(self, name: str) -> str:
        if name == ABOVE:
            return "several"
        attributes = self.spans[name].attributes
        if "gen_ai.operation.name" in attributes:
            return str(attributes["gen_ai.operation.name"])
        for kind, attribute in (("wait", "spanwise.wait.kind"), ("cache", "spanwise.cache.name")):
            if attribute in attributes:
                return kind
        return "step" if "spanwise.step.name" in attributes else "span"

    def call(self, name: str | None) -> str | None:
        """Return the call that `name` is, or is below, through waits and plain spans only."""
        while name is not None and self.kind(name) in ("span", "wait"):
            name = self.parent[name]
        return name if name is not None and self.kind(name) in CALLS else None

    def admission(self, name: str) -> str | None:
        """Return the bucket of a wait that is waited for itself; None for anything else."""
        if self.kind(name) != "wait":
            return None
        attributes = self.spans[name].attributes
        kind = attributes["spanwise.wait.kind"]
        if (kind, attributes["spanwise.wait.resource"]) == ("connection", "connection"):
            return None
        if kind == "timer" and self.call(name) is None:
            return "unknown"
        return ADMISSION.get(str(kind))

    def suspended(self, name: str) -> bool:
        return self.kind(name) == "wait" and self.admission(name) is None

    def children(self, name: str) -> list[str]:
        below = [other for other, parent in self.parent.items() if parent == name]
        return [other for other in below if self.start(other) < self.end(other)]

    def detached(self, name: str) -> bool:
        over = self.end(name) - self.end(self.parent[name] or name)
        return over > 1_000_000 and over > (self.end(name) - self.start(name)) / 20

    def releaser(self, wait: str) -> str | None:
        for link in self.spans[wait].links:
            other, reason = link.span_id, link.attributes.get("spanwise.link.reason", "waits_on")
            if other not in self.spans or reason != "waits_on" or other in (wait, self.parent[wait]):
                continue
            if self.start(other) < self.end(wait) and self.end(other) > self.start(wait):
                return other
        return None

    def latest(self, names: list[str]) -> str | None:
        """Return the one that ends last; of several the longest, of these the first in the trace."""
        return max(names, key=lambda name: (self.end(name), -self.start(name), -self.order[name]), default=None)

    def soonest(self, names: list[str]) -> str | None:
        """Return the one that ends first; of several the shortest, of these the last in the trace."""
        return min(names, key=lambda name: (self.end(name), -self.start(name), -self.order[name]), default=None)

    def last(self, names: list[str], moment: int, limit: int) -> str | None:
        """Return the clipped walk's choice: who ended at the moment, else is going, else ended last."""
        names = [name for name in names if self.start(name) < moment]
        done = self.latest([name for name in names if self.end(name) <= moment])
        if done is not None and self.end(done) == moment:
            return done
        return self.soonest([name for name in names if moment < self.end(name) <= limit]) or done

    def workers(self, parent: str) -> list[str]:
        return [name for name in self.children(parent) if not self.suspended(name) and not self.detached(name)]

    def last_wait(self, parent: str, moment: int) -> str | None:
        released = [name for name in self.children(parent) if self.suspended(name) and self.releaser(name) is not None]
        waits = [*released, *(name for name in self.children(parent) if self.admission(name) is not None)]
        return self.latest([name for name in waits if self.end(name) <= moment and name not in self.followed])

    def own(self, name: str, start: int, end: int) -> None:
        start = max(start, self.begin)
        if start < end:
            self.found.append((name, start, end))
            self.ways.append(self.how[name])

    def walk(self) -> list[Part]:
        """Return the path from its start to its end."""
        self.ways: list[tuple[str, bool]] = []
        here, moment = self.root, self.finish
        self.how[here] = ("inferred", False)
        while moment > self.begin:
            here, moment = self.step(here, moment) if moment > self.start(here) else self.leave(here, moment)
        parts = []
        for (name, start, end), (edge, overlap) in zip(reversed(self.found), reversed(self.ways), strict=True):
            for one, bucket, begin, until in self.coloured(name, start, end):
                parts.append(Part(one, begin - self.begin, until - self.begin, bucket, edge, overlap))
        return joined(parts)

    def step(self, here: str, moment: int) -> tuple[str, int]:
        first = max(self.start(here), self.begin)
        wait = self.last_wait(here, moment)
        workers = self.workers(here)
        done = self.latest([name for name in workers if self.end(name) <= moment])
        if wait is not None and self.end(wait) > first and (done is None or self.end(done) <= self.end(wait)):
            self.own(here, self.end(wait), moment)
            self.how[wait] = ("observed", False)
            if self.admission(wait) is not None:
                return wait, self.end(wait)
            self.followed.add(wait)
            return self.enter(self.releaser(wait) or "", wait, self.end(wait))
        child = self.last(workers, moment, self.limits.get(here, moment + 10**18))
        if child is None or self.end(child) <= first:
            self.own(here, first, moment)
            return here, first
        end = min(self.end(child), moment)
        self.own(here, end, moment)
        self.how[child] = ("inferred", self.how[here][1] or self.end(child) > moment)
        return child, end

    def enter(self, here: str, between: str, moment: int) -> tuple[str, int]:
        self.how[here] = ("observed", False)
        if self.end(here) > moment:
            self.limits[here] = moment
            return here, moment
        end = max(self.end(here), self.begin)
        self.own(between, end, moment)
        return here, end

    def leave(self, here: str, moment: int) -> tuple[str, int]:
        parent = self.parent[here] or ""
        self.how.setdefault(parent, ("inferred", False))
        started_by = [link.span_id for link in self.spans[here].links if link.attributes.get(REASON) in STARTS]
        if self.kind(here) == "wait":
            started_by = []
        known = [name for name in started_by if name in self.spans and name not in (here, parent)]
        known = [name for name in known if self.start(name) < moment and self.end(name) > self.begin]
        if known:
            # Of equal ones the first link counts.
            best = max(known, key=lambda name: min(self.end(name), moment))
            ended = [name for name in self.workers(parent) if self.end(name) <= moment]
            wait = self.last_wait(parent, moment)
            later = [
                name for name in [*ended, *([wait] if wait else [])] if self.end(name) > min(self.end(best), moment)
            ]
            if not later:
                return self.enter(best, parent, moment)
        return parent, moment

    def coloured(self, name: str, start: int, end: int) -> list[tuple[str, str, int, int]]:
        """Return the stretch as (span, bucket, start, end), split by the waits in it and at a call's first chunk."""
        call = self.call(name)
        if (bucket := self.admission(name)) is not None:
            return [(name, bucket, start, end)]
        if call is not None:
            return [(name, bucket, begin, until) for bucket, begin, until in self.of_call(call, start, end)]
        if self.kind(name) == "wait":
            return [(name, self.of_wait(name), start, end)]
        parts = []
        waits = [other for other in self.children(name) if self.suspended(other)]
        while (wait := self.last(waits, end, end + 10**18)) is not None and self.end(wait) > start and end > start:
            until, begin = min(self.end(wait), end), max(self.start(wait), start)
            parts += [self.uncoloured(name, until, end), (wait, self.of_wait(wait), begin, until)]
            end = begin
        return [part for part in reversed([*parts, self.uncoloured(name, start, end)]) if part[2] < part[3]]

    def uncoloured(self, name: str, start: int, end: int) -> tuple[str, str, int, int]:
        if name == ABOVE:
            return self.first, "human" if self.for_people(start, end) else "queue", start, end
        return name, "coordination" if self.kind(name) in COURSES else "unknown", start, end

    def for_people(self, start: int, end: int) -> bool:
        """Whether a wait for a person ended with what came before a gap, or began with what came after."""
        waits = [name for name in self.spans if self.admission(name) == "human"]
        return any(min(abs(self.end(name) - start), abs(self.start(name) - end)) <= 1_000_000 for name in waits)

    def of_wait(self, name: str) -> str:
        return SUSPENSION.get(str(self.spans[name].attributes["spanwise.wait.kind"]), "unknown")

    def of_call(self, call: str, start: int, end: int) -> list[tuple[str, int, int]]:
        span: SpanRecord = self.spans[call]
        first = span.attributes.get("gen_ai.response.time_to_first_chunk")
        if self.kind(call) != "chat" or not isinstance(first, float):
            return [(CALLS[self.kind(call)], start, end)]
        chunk = span.start_ns + round(first * 1e9)
        parts = [("model_prefill", start, min(chunk, end)), ("model_decode", max(chunk, start), end)]
        return [part for part in parts if part[1] < part[2]]


def joined(parts: list[Part]) -> list[Part]:
    """Return `parts` with neighbours that say the same made one."""
    found: list[Part] = []
    for part in parts:
        if found and found[-1]._replace(start=part.start, end=part.end) == part:
            found[-1] = found[-1]._replace(end=part.end)
        else:
            found.append(part)
    return found
