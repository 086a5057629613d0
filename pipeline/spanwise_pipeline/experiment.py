"""Experiments: runs of reference systems, planned preset by preset and seed by seed, recorded, and bounded.

`spanwise systems run` and the demo are built on this. What a run came to is read from its recording, by whoever shows
it: this module only runs.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import spanwise
from spanwise.config import strict_yaml
from spanwise.config.settings import resolve
from spanwise.errors import InputError, SpanwiseError, UnavailableError, nearest
from spanwise.recording.telemetry import paused
from spanwise_pipeline.bound import bound_of
from spanwise_pipeline.flags import parse_setting, show_value
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.runner import RunPlan, run_blocking, simulated_speed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

    from spanwise_pipeline.runner import RunReport
    from spanwise_pipeline.system import Published, System

_WRITE_SECONDS: Final = 10.0
_PATIENCE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Experiment:
    """What the user asked for."""

    system: System
    presets: tuple[str, ...]
    overrides: dict[str, Any]
    runs: int = 1
    speed: float = 1.0
    seed: int = 1
    base_url: str | None = None
    redis: str | None = None
    """Address of a Redis for the system's shared stores."""
    keep: Path | None = None
    """Folder below which the folders of the runs stay."""


class Watcher(Protocol):
    """Whoever shows how runs get on."""

    def begin(self, preset: str, plan: RunPlan) -> Callable[[str, float], None]:
        """Note that a run begins; the function returned is told each agent that finished a text, and when."""
        ...

    def end(self) -> None:
        """Note that the run has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Executed:
    """One run: what was planned and what was reported."""

    plan: RunPlan
    preset: str
    report: RunReport
    bound_s: float | None
    """Longest path through the step graph at simulated durations; `None` for an endpoint that is not simulated."""

    @property
    def published(self) -> Published | None:
        """What its authors published for exactly this preset."""
        return self.plan.system.published.get(self.plan.variant)


def parse_overrides(system: System, settings: Iterable[str]) -> dict[str, Any]:
    """Return flags from `FLAG=VALUE` texts; raises `InputError` with the flag's type and the nearest flag."""
    return dict(parse_setting(system.flags, text, system=system.name) for text in settings)


def check_presets(system: System, presets: Sequence[str]) -> tuple[str, ...]:
    """Return the names of `presets`, or all of the system's when none is given.

    Raises:
        InputError: no preset and no alias has that name; says the nearest one.
    """
    known = {name: name for name in system.presets} | dict(system.aliases)
    for preset in presets:
        if preset not in known:
            raise InputError(f"unknown preset {preset!r} of {system.name}; {nearest(preset, known)}")
    return tuple(known[preset] for preset in presets) or tuple(system.presets)


def plans_of(experiment: Experiment) -> list[tuple[str, RunPlan]]:
    """Return each run to do with its preset: presets in turn within a seed, so that slow drifts hit all alike."""
    profile: Profile | None = None
    if experiment.base_url is None:
        profile = strict_yaml.load(experiment.system.profile, Profile)
    plans: list[tuple[str, RunPlan]] = []
    for i in range(experiment.runs):
        for preset in experiment.presets:
            flags = replace(experiment.system.presets[preset], **experiment.overrides)
            changed = [f"{name}={show_value(value)}" for name, value in sorted(experiment.overrides.items())]
            plan = RunPlan(
                system=experiment.system,
                variant=",".join([preset, *changed]),
                flags=flags,
                seed=experiment.seed + i,
                speed=experiment.speed,
                profile=profile,
                base_url=experiment.base_url,
                api_key=os.environ.get("OPENAI_API_KEY", "simulated") if experiment.base_url else "simulated",
                redis=experiment.redis,
                keep=experiment.keep,
            )
            plans.append((preset, plan))
    return plans


def check_endpoint(experiment: Experiment) -> bool:
    """Return whether the endpoint is a simulated provider; raises where its speed is not the experiment's."""
    if experiment.base_url is None:
        return True
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


def check_redis(url: str) -> None:
    """Ask the Redis at `url` for an answer.

    Raises:
        InputError: `url` is no address of a Redis.
        UnavailableError: nothing answers there, or the client library is not installed.
    """
    try:
        asyncio.run(_ask_redis(url))
    except ModuleNotFoundError as missing:
        raise UnavailableError(f"--redis: {missing}") from None
    except ValueError as problem:
        raise InputError(f"--redis: {problem}; give an address such as redis://127.0.0.1:6379/0") from None


async def _ask_redis(url: str) -> None:
    from spanwise_pipeline.caches.redis_store import RedisStore  # noqa: PLC0415 - an extra

    store = RedisStore(url)
    from redis.exceptions import RedisError  # noqa: PLC0415 - likewise

    try:
        await store.get("spanwise")
    except (RedisError, OSError) as problem:
        place = urlsplit(url)  # without the password that it may have
        raise UnavailableError(
            f"--redis: no Redis answers at {place.hostname or place.path}:{place.port or 6379} ({problem}); "
            "start it, or leave --redis and SPANWISE_REDIS_URL out"
        ) from None
    finally:
        await store.close()


@contextmanager
def recording(
    system: str, *, journal: Path, speed: float, endpoint: str | None = None
) -> Generator[spanwise.Telemetry]:
    """Record into `journal` inside the block, and say afterwards when something was lost.

    Spans that the endpoint did not take are no failure of the run: the ledger counts them.

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
        integrations="none" if resolved["integrations"].source == "default" else None,  # systems record themselves
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


def execute(
    experiment: Experiment,
    *,
    telemetry: spanwise.Telemetry,
    watcher: Watcher,
    simulated: bool = True,
) -> Generator[Executed]:
    """Run everything, yielding each run as it ends; `watcher` is told what happens meanwhile.

    `simulated` is what `check_endpoint` said, which is to be asked before anything is recorded.
    """
    for preset, planned in plans_of(experiment):
        plan = replace(planned, simulated=simulated, publish=watcher.begin(preset, planned))
        report = run_blocking(plan)
        watcher.end()
        settle(telemetry)
        yield Executed(plan, preset, report, _bound(plan) if report.error is None else None)


def _bound(plan: RunPlan) -> float | None:
    if plan.profile is None:
        return None
    with paused():
        return bound_of(plan.system, plan.flags, plan.profile, plan.seed).seconds


def first_error(finished: Iterable[Executed]) -> SpanwiseError | None:
    """Return the first run's error, if any run failed."""
    return next((run.report.error for run in finished if run.report.error is not None), None)
