"""Runs a system once, cold and recorded: own provider process, own connections and caches, one workflow span.

The system knows nothing of this. What went wrong is told in one line that says what to do about it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httpx2
import openai

import spanwise
from spanwise import conventions as c
from spanwise.errors import InputError, SpanwiseError, UnavailableError
from spanwise.recording.run_attributes import load_what_works_out
from spanwise_pipeline.calls.wire import warm_up
from spanwise_pipeline.clock import Clock
from spanwise_pipeline.provider_process import ProviderProcess
from spanwise_pipeline.resources import Resources
from spanwise_pipeline.system import SystemContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from spanwise_pipeline.provider.profile import Profile
    from spanwise_pipeline.system import Outcome, System


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What to run."""

    system: System
    variant: str
    """Preset, and what was set differently."""
    flags: Any
    seed: int
    speed: float
    profile: Profile | None
    """Of the simulated provider to start; none where `base_url` is given."""
    base_url: str | None = None
    api_key: str = "simulated"
    simulated: bool = True
    """Whether the endpoint is a simulated provider, which gets labels and a seed."""
    publish: Callable[[str, float], None] = field(default=lambda _agent, _seconds: None)
    """Told an agent's name and the system seconds since the start whenever one has finished a text."""
    redis: str | None = None
    """Address of the Redis for the system's shared stores; without one they are in memory."""
    keep: Path | None = None
    """Folder below which the system's folder stays after the run; without one it is removed."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run came to, besides what was recorded of it."""

    run_id: str
    trace_id: str
    outcome: Outcome | None
    error: SpanwiseError | None
    first_result_s: float | None
    """System seconds to the first published text."""
    client_cpu_share: float
    """CPU time of this process over wall time, while the system ran."""
    answer_s: float | None = None
    """System seconds to the answer; background steps may go on after it."""

    @property
    def answer_sha256(self) -> str | None:
        """Hash of the answer's canonical JSON."""
        return answer_hash(self.outcome.answer) if self.outcome is not None else None


def answer_hash(answer: Mapping[str, Any]) -> str:
    """Return SHA-256 over the canonical JSON of an answer."""
    canonical = json.dumps(dict(answer), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


async def run_once(plan: RunPlan) -> RunReport:
    """Run the plan; a run that failed has its `error`, only Ctrl-C and faults of our own are raised."""
    if plan.profile is None:
        assert plan.base_url is not None
        return await _recorded(plan, plan.base_url, None)
    async with ProviderProcess(plan.profile, plan.speed) as provider:
        return await _recorded(plan, provider.base_url, provider)


async def _recorded(plan: RunPlan, base_url: str, provider: ProviderProcess | None) -> RunReport:
    warm_up()
    load_what_works_out()
    clock = Clock(plan.speed)
    began, cpu_began = time.perf_counter(), time.process_time()
    first: list[float] = []

    def publish(agent: str, _text: str) -> None:
        seconds = (time.perf_counter() - began) * plan.speed
        first.append(seconds)
        plan.publish(agent, seconds)

    outcome: Outcome | None = None
    answer_s: float | None = None
    error: SpanwiseError | None = None
    span = spanwise.workflow(
        plan.system.name, variant=plan.variant, flags=asdict(plan.flags), seed=plan.seed if plan.simulated else None
    )
    try:
        async with _resources(plan, clock) as resources:
            began, cpu_began = time.perf_counter(), time.process_time()
            context = SystemContext(
                base_url=base_url,
                api_key=plan.api_key,
                clock=clock,
                seed=plan.seed if plan.simulated else None,
                label_requests=plan.simulated,
                publish=publish,
                resources=resources,
            )
            began, cpu_began = time.perf_counter(), time.process_time()  # making resources is no part of the run
            with span:
                span.set(c.RUN_LOAD, round(os.getloadavg()[0] / (os.cpu_count() or 1), 2))
                async with resources.background:
                    outcome = await plan.system.run(context, plan.flags)
                    answer_s = (time.perf_counter() - began) * plan.speed
                    span.grade(outcome.grade, outcome.score)
    except Exception as problem:  # noqa: BLE001 - any fault of a run becomes its report; the span has its type
        error = _explain(problem, base_url, provider)
    wall = time.perf_counter() - began
    return RunReport(
        run_id=span.run_id,
        trace_id=f"{span.context.trace_id:032x}",
        outcome=outcome,
        error=error,
        first_result_s=first[0] if first else None,
        client_cpu_share=(time.process_time() - cpu_began) / wall,
        answer_s=answer_s,
    )


def _resources(plan: RunPlan, clock: Clock) -> Resources:
    return Resources(
        plan.system.name,
        plan.system.needs(plan.flags),
        clock=clock,
        redis=plan.redis,
        keep=plan.keep,
        label=f"{plan.variant}-seed{plan.seed}",
    )


def _explain(problem: BaseException, base_url: str, provider: ProviderProcess | None) -> SpanwiseError:
    cause = _root(problem)
    if provider is not None and provider.exit_code is not None:
        return UnavailableError(
            f"the simulated provider ended in the middle of the run (exit code {provider.exit_code}); "
            "what was recorded is kept; run again"
        )
    if isinstance(cause, openai.AuthenticationError):
        return InputError(f"{base_url}: the API key was refused (401); set OPENAI_API_KEY to a valid one")
    if isinstance(cause, openai.APIConnectionError | httpx2.TransportError):
        return UnavailableError(f"{base_url}: not reachable ({_last_words(cause)}); start it or check --base-url")
    if isinstance(cause, openai.APIStatusError):
        return UnavailableError(f"{base_url}: answered {cause.status_code}: {cause.message}; see --help for --base-url")
    if isinstance(cause, SpanwiseError):
        return cause
    return SpanwiseError(f"the run failed: {type(cause).__name__}: {cause}; look at it with: spanwise show last")


def _root(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", problem)
        problem = group.exceptions[0]
    return problem


def _last_words(problem: BaseException) -> str:
    while problem.__cause__ is not None:
        problem = problem.__cause__
    return str(problem) or type(problem).__name__


async def simulated_speed(base_url: str) -> float | None:
    """Return the speed that a simulated provider states, or none where the endpoint is not one.

    Raises:
        UnavailableError: nothing answers at `base_url`.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise InputError(f"--base-url {base_url!r}: give an address such as http://127.0.0.1:8400/v1")
    address = f"{parts.scheme}://{parts.netloc}/simulation"
    try:
        async with httpx2.AsyncClient(timeout=10.0) as client:
            answer = await client.get(address)
    except httpx2.TransportError as problem:
        reason = str(problem) or type(problem).__name__
        raise UnavailableError(f"{base_url}: not reachable ({reason}); start it or check --base-url") from None
    try:
        return float(answer.json()["speed"]) if answer.is_success else None
    except (ValueError, KeyError, TypeError):
        return None


def run_blocking(plan: RunPlan) -> RunReport:
    """Run the plan on an event loop of its own."""
    return asyncio.run(run_once(plan))
