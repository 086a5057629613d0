"""Files as Langfuse's page downloads them, and as PyTorch and Chrome write them, made up by a seeded draw.

Langfuse's forms are those of its page's code: version 3 writes `trace` (with its observations, scores and metadata as
JSON in a text) beside `observations`; version 4 writes `observations` (with objects as metadata) beside `scores`.
Values are invented. Each file comes with what it holds, so that a test can compare.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

LANGFUSE_FILES: Final = 20
MODELS: Final = ("gpt-4o", "gpt-4.1-mini", "claude-sonnet-4-5-20250929", "claude-haiku-4-5", "an-own-model")
_BEGIN: Final = datetime(2026, 3, 1, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a file holds."""

    agents: int
    tools: int
    calls: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    seconds: float


class _Langfuse:
    """Draws one trace."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.version = 3 + seed % 2
        self.by_opentelemetry = seed % 4 < 2
        self.trace_id = f"{self.draw.getrandbits(128):032x}"
        self.observations: list[dict[str, Any]] = []
        self.calls: list[tuple[int, int, int]] = []
        self.kinds: list[str] = []
        self.now = 0.0

    def document(self) -> tuple[dict[str, Any], Holding]:
        for number in range(self.draw.randint(1, 4)):
            self._agent(f"agent_{number}")
        count = self.kinds.count
        sent, made, cached = (sum(one) for one in zip(*self.calls, strict=True))
        holding = Holding(count("AGENT"), count("TOOL"), len(self.calls), sent, made, cached, self.now)
        self.draw.shuffle(self.observations)
        if self.version == 4:
            return {"observations": self.observations, "scores": []}, holding
        trace = {
            "id": self.trace_id, "projectId": "p", "name": "desk", "timestamp": self._time(0), "environment": "default",
            "tags": [], "bookmarked": False, "release": None, "version": None, "userId": None, "sessionId": "s",
            "public": False, "input": None, "output": None, "metadata": json.dumps({"attributes": {"team": "x"}}),
            "scores": [], "latency": self.now, "observations": self.observations,
        }  # fmt: skip
        return {"trace": trace, "observations": self.observations}, holding

    def _agent(self, name: str) -> None:
        begin, agent = self.now, self._observation("AGENT", name, None)
        for _ in range(self.draw.randint(1, 3)):
            self._call(agent["id"])
            if self.draw.random() < 0.6:
                self._lasting(self._observation("TOOL", "search", agent["id"]), self.draw.uniform(0.05, 0.9))
        agent["startTime"], agent["endTime"] = self._time(begin), self._time(self.now)

    def _call(self, parent: str) -> None:
        call = self._observation("GENERATION", "chat", parent)
        plain, cached, made = (self.draw.randint(20, 4_000), self.draw.choice((0, 0, 1_024)), self.draw.randint(1, 900))
        call["model"] = self.draw.choice(MODELS)
        call["completionStartTime"] = self._time(self.now + 0.25)
        details = {"input": plain, "output": made, "total": plain + cached + made}
        form = self.draw.randrange(3)
        if form == 0 and not cached:  # older servers
            call |= {"usageDetails": {}, "inputUsage": plain, "outputUsage": made, "totalUsage": plain + made}
        else:
            call["usageDetails"] = {**details, **({"input_cached_tokens": cached} if cached else {})}
        if self.by_opentelemetry:
            self._describe(call, {"gen_ai.usage.input_tokens": str(plain), "gen_ai.usage.output_tokens": str(made)})
        self.calls.append((plain + cached, made, cached))
        self._lasting(call, self.draw.uniform(0.3, 6.0))

    def _observation(self, kind: str, name: str, parent: str | None) -> dict[str, Any]:
        self.kinds.append(kind)
        one: dict[str, Any] = {
            "id": f"{self.draw.getrandbits(64):016x}", "traceId": self.trace_id, "projectId": "p", "type": kind,
            "parentObservationId": parent, "name": name, "environment": "default", "level": "DEFAULT",
            "statusMessage": None, "version": None, "model": None, "modelParameters": None, "completionStartTime": None,
            "promptId": None, "usageDetails": {}, "costDetails": {}, "inputUsage": 0, "outputUsage": 0, "totalUsage": 0,
            "toolDefinitions": {}, "toolCalls": [], "input": None, "output": None, "metadata": {},
        }  # fmt: skip
        if self.version == 4:
            one |= {"traceName": "desk", "sessionId": None, "tags": [], "providedUsageDetails": {}}
        if self.by_opentelemetry and kind != "GENERATION":
            one["type"] = "SPAN"
            self._describe(
                one, {"openinference.span.kind": kind, "tool.name" if kind == "TOOL" else "agent.name": name}
            )
        elif self.version != 4:
            one["metadata"] = "{}"
        self.observations.append(one)
        return one

    def _describe(self, one: dict[str, Any], attributes: dict[str, Any]) -> None:
        metadata = {"attributes": attributes, "resourceAttributes": {"service.name": "desk"}, "scope": {"name": "x"}}
        one["metadata"] = metadata if self.version == 4 else json.dumps(metadata)

    def _lasting(self, one: dict[str, Any], seconds: float) -> None:
        one["startTime"] = self._time(self.now)
        self.now = round(self.now + seconds, 3)
        one["endTime"] = self._time(self.now)

    def _time(self, seconds: float) -> str:
        return (_BEGIN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def langfuse(seed: int) -> tuple[str, Holding]:
    """Return the text of a download, and what it holds."""
    document, holding = _Langfuse(seed).document()
    return json.dumps(document, indent=2), holding


def pytorch() -> str:
    """Return a trace as PyTorch's profiler exports it: operators on a thread, kernels on a stream, and its marker."""
    work = [
        {"ph": "X", "cat": "cpu_op", "name": f"aten::op{n}", "pid": 7, "tid": 7, "ts": 1e6 + n * 100.5, "dur": 90.25}
        for n in range(50)
    ]
    kernels = [
        {"ph": "X", "cat": "kernel", "name": f"kernel{n}", "pid": 0, "tid": 7, "ts": 1e6 + n * 100.5 + 30, "dur": 50}
        for n in range(50)
    ]
    names = [{"ph": "M", "name": "thread_name", "pid": 7, "tid": 7, "args": {"name": "thread 7 (python)"}}]
    marker = {"ph": "X", "cat": "Trace", "name": "PyTorch Profiler (0)", "pid": "Spans", "tid": "PyTorch Profiler",
              "ts": 1e6, "dur": 50 * 100.5}  # fmt: skip
    other = [{"ph": "i", "s": "g", "name": "Record Window End", "pid": "", "tid": "", "ts": 1e6 + 6_000}]
    document = {"schemaVersion": 1, "deviceProperties": [], "displayTimeUnit": "ms",
                "baseTimeNanoseconds": 1_772_359_200_000_000_000}  # fmt: skip
    return json.dumps({**document, "traceEvents": [*names, *work, *kernels, marker, *other], "traceName": "trace.json"})


def chrome() -> str:
    """Return a trace that Chrome was stopped in: an array of lines without its end."""
    lines = ["["]
    for n in range(100):
        begin = {"name": f"task{n}", "cat": "toplevel", "pid": 1, "tid": 1 + n % 3, "ts": n * 1_000}
        lines += [json.dumps({**begin, "ph": "B"}) + ",", json.dumps({**begin, "ph": "E", "ts": n * 1_000 + 900}) + ","]
    return "\n".join(lines) + "\n"


def write_all(folder: Path) -> dict[Path, Holding | None]:
    """Write all files to `folder`; returns what those hold that have tokens."""
    written: dict[Path, Holding | None] = {}
    for seed in range(LANGFUSE_FILES):
        text, holding = langfuse(seed)
        path = folder / f"langfuse-{seed:02d}.json"
        path.write_text(text, encoding="utf-8")
        written[path] = holding
    for name, text in (("pytorch.pt.trace.json", pytorch()), ("chrome-stopped.json", chrome())):
        (folder / name).write_text(text, encoding="utf-8")
        written[folder / name] = None
    return written
