"""Made-up runs of a made-up system, as the command line holds them once they have ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import traces

from spanwise_cli.finished import Finished
from spanwise_pipeline.runner import RunPlan, RunReport
from spanwise_pipeline.system import Outcome, Published, System

if TYPE_CHECKING:
    from spanwise.errors import SpanwiseError


@dataclass(frozen=True)
class Flags:
    """Of the made-up system."""

    quick: bool = False
    """Answers at once."""


async def _no_run(context: Any, flags: Any) -> Outcome:
    raise AssertionError("nothing runs here")


SYSTEM = System(
    name="desk",
    title="A desk of one",
    run=_no_run,
    flags=Flags,
    presets={"slow": Flags(), "fast": Flags(quick=True)},
    profile=Path("profile.yaml"),
    published={"slow": Published(200.0, 5_000, 25.0, "A")},
    targets=Published(duration_s=120.0),
)


def finished(
    preset: str = "slow",
    *,
    seed: int = 1,
    seconds: float = 180.0,
    tokens: tuple[int, int] = (4_000, 1_000),
    results: tuple[str, ...] = ("hit", "coalesced", "miss", "miss"),
    score: float = 100.0,
    grade: str = "A+",
    faults: tuple[str, ...] = (),
    answer: str = "buy",
    error: SpanwiseError | None = None,
    recorded: bool = True,
    changed: str = "",
    bound_s: float | None = 150.0,
) -> Finished:
    """Return a run of `seconds` that made one model call and looked up as often as there are `results`."""
    plan = RunPlan(SYSTEM, preset + changed, SYSTEM.presets[preset], seed, 20.0, None)
    outcome = None if error else Outcome({"decision": answer}, {}, grade, score, faults)
    report = RunReport("a" * 32, "b" * 32, outcome, error, None if error else 12.5, 0.04)
    spans = [
        traces.workflow(1, 0, seconds, name="desk"),
        traces.agent(2, 0, seconds, name="analyst", parent=1),
        traces.chat(3, 1, seconds, parent=2, tokens=tokens),
        traces.tool(4, 0, 1, parent=2),
        *(traces.cache_lookup(5 + i, 0, 1, parent=2, result=result) for i, result in enumerate(results)),
    ]
    return Finished(plan, preset, report, None if error else bound_s, traces.run_of(*spans) if recorded else None)
