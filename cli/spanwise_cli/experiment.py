"""Runs of reference systems as the command line does them: planned, recorded, read back from the record, bounded.

Durations, tokens and counts are read from what was recorded, so that the figures that are shown are the ones that can
be looked at. `systems run` and the demo share this.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import spanwise
from spanwise.config import strict_yaml
from spanwise.config.settings import masked, resolve
from spanwise.errors import InputError, SpanwiseError, UnavailableError, nearest
from spanwise.recording.telemetry import paused
from spanwise_profiling.load import load_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from spanwise_pipeline.provider.profile import Profile
    from spanwise_pipeline.runner import RunPlan, RunReport
    from spanwise_pipeline.system import Published, System
    from spanwise_profiling.runs import Run

_TRUE: Final = frozenset({"true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})
_WRITE_SECONDS: Final = 10.0
_PATIENCE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Experiment:
    """What the user asked for."""

    system: System
    presets: tuple[str, ...]
    overrides: dict[str, bool]
    runs: int = 1
    speed: float = 1.0
    seed: int = 1
    base_url: str | None = None


class Watcher(Protocol):
    """Whoever shows how runs get on."""

    def begin(self, preset: str, plan: RunPlan) -> Callable[[str, float], None]:
        """Note that a run begins; the function returned is told each agent that finished a text, and when."""
        ...

    def end(self) -> None:
        """Note that the run has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Finished:
    """One run: what was planned, what was reported, what was recorded."""

    plan: RunPlan
    preset: str
    report: RunReport
    run: Run | None
    """None where nothing was recorded."""
    bound_s: float | None
    """Longest path through the step graph at simulated durations; none for endpoints that are not simulated."""

    @property
    def published(self) -> Published | None:
        """What its authors published for exactly this preset."""
        return self.plan.system.published.get(self.plan.variant)

    def document(self) -> dict[str, Any]:
        """Return the run as `systems run --json` shows it."""
        run, outcome, error = self.run, self.report.outcome, self.report.error
        totals = run.totals if run is not None else None
        return {
            "run_id": self.report.run_id,
            "trace_id": self.report.trace_id,
            "preset": self.preset,
            "flags": {field.name: getattr(self.plan.flags, field.name) for field in fields(self.plan.flags)},
            "seed": self.plan.seed,
            "duration_s": run.seconds if run is not None else None,
            "published_s": self.published.duration_s if self.published is not None else None,
            "bound_s": self.bound_s,
            "tokens": {
                "input": totals.input_tokens if totals else 0,
                "output": totals.output_tokens if totals else 0,
                "total": totals.tokens if totals else 0,
            },
            "tokens_per_s": run.tokens_per_second if run is not None else None,
            "agents": totals.agents if totals else 0,
            "tool_calls": totals.tool_calls if totals else 0,
            "llm_calls": totals.llm_calls if totals else 0,
            "retries": totals.retries if totals else 0,
            "cache": {
                "lookups": totals.cache_lookups if totals else 0,
                "hits": totals.cache_hits if totals else 0,
            },
            "first_result_s": self.report.first_result_s,
            "client_cpu_share": self.report.client_cpu_share,
            "quality": {"grade": outcome.grade, "score": outcome.score} if outcome is not None else None,
            "answer_sha256": self.report.answer_sha256,
            "error": str(error) if error is not None else None,
        }


def parse_overrides(system: System, settings: Iterable[str]) -> dict[str, bool]:
    """Return flags from `FLAG=VALUE` texts; raises `InputError` with the nearest flag."""
    known = {field.name for field in fields(system.flags)}
    overrides: dict[str, bool] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if name not in known:
            raise InputError(f"--set {text}: unknown flag {name!r} of {system.name}; {nearest(name, known)}")
        if not equals or value.lower() not in _TRUE | _FALSE:
            raise InputError(f"--set {text}: give {name}=true or {name}=false")
        overrides[name] = value.lower() in _TRUE
    return overrides


def check_presets(system: System, presets: Sequence[str]) -> tuple[str, ...]:
    """Return `presets`, or all of the system's when none is given; raises `InputError` with the nearest name."""
    for preset in presets:
        if preset not in system.presets:
            raise InputError(f"unknown preset {preset!r} of {system.name}; {nearest(preset, system.presets)}")
    return tuple(presets) or tuple(system.presets)


def plans_of(experiment: Experiment) -> list[tuple[str, RunPlan]]:
    """Return each run to do with its preset: presets in turn within a seed, so that slow drifts hit all alike."""
    from spanwise_pipeline.provider.profile import Profile  # noqa: PLC0415 - an extra, and slow to import
    from spanwise_pipeline.runner import RunPlan  # noqa: PLC0415 - likewise

    profile: Profile | None = None
    if experiment.base_url is None:
        profile = strict_yaml.load(experiment.system.profile, Profile)
    plans: list[tuple[str, RunPlan]] = []
    for i in range(experiment.runs):
        for preset in experiment.presets:
            flags = replace(experiment.system.presets[preset], **experiment.overrides)
            changed = [f"{name}={str(value).lower()}" for name, value in sorted(experiment.overrides.items())]
            plan = RunPlan(
                system=experiment.system,
                variant=",".join([preset, *changed]),
                flags=flags,
                seed=experiment.seed + i,
                speed=experiment.speed,
                profile=profile,
                base_url=experiment.base_url,
                api_key=os.environ.get("OPENAI_API_KEY", "simulated") if experiment.base_url else "simulated",
            )
            plans.append((preset, plan))
    return plans


def check_endpoint(experiment: Experiment) -> bool:
    """Return whether the endpoint is a simulated provider; raises where its speed is not the experiment's."""
    if experiment.base_url is None:
        return True
    import asyncio  # noqa: PLC0415 - only for an endpoint of the user's

    from spanwise_pipeline.runner import simulated_speed  # noqa: PLC0415 - an extra

    stated = asyncio.run(simulated_speed(experiment.base_url))
    if stated is None and experiment.speed != 1:
        raise InputError(
            f"--speed {experiment.speed:g}: {experiment.base_url} is no simulated provider and runs in real time; "
            "leave --speed out"
        )
    if stated is not None and stated != experiment.speed:
        raise InputError(
            f"--speed {experiment.speed:g}: the provider at {experiment.base_url} runs at speed {stated:g}; "
            f"use --speed {stated:g}, or start it with --speed {experiment.speed:g}"
        )
    return stated is not None


@contextmanager
def recording(
    system: str, *, journal: Path, speed: float, endpoint: str | None = None
) -> Generator[spanwise.Telemetry]:
    """Record into `journal` inside the block, and say afterwards when something was lost.

    What the endpoint did not take is no failure of the run: `undelivered` says it once the block has ended.

    Raises:
        UnavailableError: the journal cannot be written, or its disk filled up.
    """
    resolved = resolve({})
    named = resolved["service_name"].source != "default"
    telemetry = spanwise.configure(
        service_name=None if named else system,
        journal_dir=journal,
        endpoint=endpoint,
        time_scale=speed,
        causality="on" if resolved["causality"].source == "default" else None,
        fingerprints=True if resolved["fingerprints"].source == "default" else None,
    )
    try:
        yield telemetry
    finally:
        settle(telemetry)
        spanwise.shutdown()
        lost = sum(telemetry.ledger().dropped.values())
        problem = telemetry.write_error
    if lost:
        reason = problem.strerror if problem is not None and problem.strerror else "see spanwise ledger"
        raise UnavailableError(
            f"{journal}: {lost} spans were not recorded ({reason}); what was written before is kept; free the disk or "
            "name another folder with --journal"
        )


def settle(telemetry: spanwise.Telemetry) -> None:
    """Wait until every ended span is written, but not long for a destination that does not take them."""
    deadline = time.monotonic() + _WRITE_SECONDS
    while not telemetry.flush(_PATIENCE) and telemetry.ledger().buffered and time.monotonic() < deadline:
        pass


def undelivered(telemetry: spanwise.Telemetry) -> Iterator[str]:
    """Yield a line for each destination that did not take every span, with the remedy."""
    for name, fates in telemetry.ledger().destinations.items():
        shown = masked(telemetry.settings.endpoint or "") if name == "otlp" else name
        if fates["pending"]:
            mend = "start the receiver, or mend SPANWISE_ENDPOINT" if name == "otlp" else "mend LANGSMITH_API_KEY"
            yield (
                f"{shown}: {fates['pending']:,} spans were not delivered (they are kept; see: spanwise ledger); {mend} "
                f"(spanwise doctor says more), then: spanwise export --all --to {name}"
            )
        if fates["set_aside"]:
            yield f"{shown}: {fates['set_aside']:,} spans cannot be sent there (they are kept; see: spanwise ledger)"


def execute(
    experiment: Experiment,
    *,
    telemetry: spanwise.Telemetry,
    watcher: Watcher,
    simulated: bool = True,
) -> Generator[Finished]:
    """Run everything, yielding each run as it ends; `watcher` is told what happens meanwhile.

    `simulated` is what `check_endpoint` said, which is to be asked before anything is recorded.
    """
    from spanwise_pipeline.runner import run_blocking  # noqa: PLC0415 - an extra

    for preset, planned in plans_of(experiment):
        plan = replace(planned, simulated=simulated, publish=watcher.begin(preset, planned))
        report = run_blocking(plan)
        watcher.end()
        settle(telemetry)
        yield Finished(
            plan, preset, report, _recorded(telemetry, report.run_id), _bound(plan) if report.error is None else None
        )


def _recorded(telemetry: spanwise.Telemetry, run_id: str) -> Run | None:
    path = telemetry.journal_path
    written = path is not None and path.exists() and path.stat().st_size
    runs = load_runs(path) if path is not None and written else []
    return next((run for run in reversed(runs) if run.run_id == run_id), None)


def _bound(plan: RunPlan) -> float | None:
    if plan.profile is None:
        return None
    from spanwise_pipeline.bound import bound_of  # noqa: PLC0415 - an extra

    with paused():
        return bound_of(plan.system, plan.flags, plan.profile, plan.seed)[0]


def first_error(finished: Iterable[Finished]) -> SpanwiseError | None:
    """Return the first run's error, if any run failed."""
    return next((run.report.error for run in finished if run.report.error is not None), None)
