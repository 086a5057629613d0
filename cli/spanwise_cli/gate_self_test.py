"""Whether a gate can tell, here and now: equal runs that have to pass, and a planted slowdown that has to fail.

Three kinds of runs are made in turn on a simulated provider: two that are the same, and one whose model is slower. The
gate judges them as it judges anybody's. Drawing from the same runs again and again then says how often it would be
wrong: equal pairs with their sides exchanged by chance for false alarms, pairs with the slowdown for power.
"""

from __future__ import annotations

import asyncio
import math
import random
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import stdev
from typing import TYPE_CHECKING, Any, Final

import spanwise
from spanwise.errors import UnavailableError
from spanwise_pipeline import Clock, ModelClient
from spanwise_pipeline.experiment import recording
from spanwise_pipeline.provider.profile import Model, Profile
from spanwise_pipeline.provider_process import ProviderProcess
from spanwise_profiling.comparison import judge
from spanwise_profiling.gate import GateResult, Rules, check_regression
from spanwise_profiling.load import load_runs
from spanwise_profiling.profiled import measured
from spanwise_profiling.render.gate import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise_profiling.comparison.statistics import Estimate
    from spanwise_profiling.gate.result import Outcome
    from spanwise_profiling.profile import Profile as RunProfile

WORKFLOW: Final = "gate self-test"
_EQUAL, _ALSO_EQUAL, _SLOWER, _LONGER = "equal", "also equal", "slower", "one call more"
_DRAWS: Final = 500
_FALSE_ALARMS: Final = 0.05
_POWER: Final = 0.8
_QUESTION: Final = "Say something about the weather in two or three sentences."


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What a self-test found."""

    pairs: int
    slowdown: float
    """What was planted, as a share."""
    noise: float
    """Standard deviation of the ratio between two equal runs, as a share."""
    detectable: float
    """The smallest change that would show in four of five comparisons of as many runs."""
    equal_runs: Outcome
    """The gate's verdict on equal runs; they have to pass."""
    planted: Outcome
    """Its verdict on the slowdown, which has to fail."""
    one_call_more: Outcome
    """Its verdict on one run with a model call more against one without, which has to fail."""
    false_alarms: float
    """Share of draws from equal runs that fail."""
    power: float
    """Share of draws from runs with the slowdown that fail."""

    @property
    def passed(self) -> bool:
        """Whether the gate can tell what it was asked to tell."""
        told = self.planted == self.one_call_more == "fail" and self.power >= _POWER
        return told and self.equal_runs != "fail" and self.false_alarms <= _FALSE_ALARMS

    def lines(self) -> Iterator[str]:
        """Yield what people read, the verdict first."""
        yield "The gate can tell" if self.passed else f"The gate CANNOT tell a slowdown of {self.slowdown:.0%} here"
        yield f"  runs              {self.pairs} of each kind, in turn, on a simulated provider"
        yield f"  noise floor       {100 * self.noise:.2f} % between two equal runs"
        yield f"  detectable        a change of {100 * self.detectable:.2f} % would show in four of five comparisons"
        yield f"  equal runs        {self.equal_runs} (has to pass)"
        yield f"  one call more     {self.one_call_more} (has to fail, after one run of each)"
        yield f"  slowdown of {self.slowdown:<5.0%} {self.planted} (has to fail)"
        yield f"  false-alarm rate  {self.false_alarms:.1%} of {_DRAWS} draws (at most {_FALSE_ALARMS:.0%})"
        yield f"  power             {self.power:.1%} of {_DRAWS} draws (at least {_POWER:.0%})"
        if not self.passed:
            yield "  Make more runs with --runs N, or run it where less else is running."

    def document(self) -> dict[str, Any]:
        """Return the same as plain JSON values."""
        verdict = "pass" if self.passed else "fail"
        return {"schema": SCHEMA, "verdict": verdict, "exit_code": int(not self.passed), "self_test": asdict(self)}


def self_test(*, pairs: int, slowdown: float, speed: float, rules: Rules) -> SelfTest:
    """Make runs, judge them, and return what that says.

    Args:
        pairs: how many runs of each kind.
        slowdown: what to plant, as a share of the model's time.
        speed: of the simulated provider.
        rules: what counts as worse.

    Raises:
        UnavailableError: the provider cannot be started, or runs were not recorded.
    """
    with tempfile.TemporaryDirectory(prefix="spanwise-gate-") as folder:
        journal = Path(folder) / "journal"
        with recording("gate-self-test", journal=journal, speed=speed):
            asyncio.run(_make(pairs, slowdown, speed))
        made = measured(load_runs(journal))
    by_kind = {kind: [one for one in made if one.run.variant == kind] for kind in (_EQUAL, _ALSO_EQUAL, _SLOWER)}
    longer = [one for one in made if one.run.variant == _LONGER]
    if not longer or any(len(found) != pairs for found in by_kind.values()):
        raise UnavailableError("gate --self-test: not all runs were recorded; run it again with -v")
    equal, also_equal, slower = by_kind.values()
    _, estimate = judge(_seconds(equal), _seconds(also_equal), paired=True, margin=rules.margin)
    ratios = [math.log(b / a) for a, b in zip(_seconds(equal), _seconds(also_equal), strict=True)]
    return SelfTest(
        pairs=pairs,
        slowdown=slowdown,
        noise=stdev(ratios),
        detectable=math.expm1(estimate.detectable),
        equal_runs=_verdict(equal, also_equal, rules),
        planted=_verdict(equal, slower, rules),
        one_call_more=_verdict(equal[:1], longer, rules),
        false_alarms=_share_that_fails(equal, also_equal, rules, exchanged=True),
        power=_share_that_fails(equal, slower, rules, exchanged=False),
    )


async def _make(pairs: int, slowdown: float, speed: float) -> None:
    steady = Model(time_to_first_token_s=0.5, time_per_token_s=0.05, sigma=0.1)
    slower = Model(
        time_to_first_token_s=steady.time_to_first_token_s * (1 + slowdown),
        time_per_token_s=steady.time_per_token_s * (1 + slowdown),
        sigma=steady.sigma,
    )
    profile = Profile(name="gate-self-test", models={"steady": steady, "slower": slower}, strict_models=True)
    kinds = [(_EQUAL, "steady", 2), (_ALSO_EQUAL, "steady", 2), (_SLOWER, "slower", 2)]
    async with ProviderProcess(profile, speed) as provider:
        for seed in range(pairs):
            client = ModelClient(
                base_url=provider.base_url, api_key="simulated", clock=Clock(speed), seed=seed, label_requests=True
            )
            await client.chat(model="steady", messages=[{"role": "user", "content": _QUESTION}])  # opens the connection
            turn = seed % len(kinds)
            for kind, model, calls in [*kinds[turn:], *kinds[:turn], *([(_LONGER, "steady", 3)] if not seed else [])]:
                await _run(client, kind, model, calls, seed)
            await client.close()


async def _run(client: ModelClient, kind: str, model: str, calls: int, seed: int) -> None:
    with spanwise.workflow(WORKFLOW, variant=kind, seed=seed):
        for place in range(calls):
            with spanwise.agent(("forecaster", "editor", "editor")[place]):
                await client.chat(model=model, messages=[{"role": "user", "content": _QUESTION}], max_tokens=60)


def _verdict(baseline: Sequence[RunProfile], head: Sequence[RunProfile], rules: Rules) -> Outcome:
    checks, _ = check_regression(WORKFLOW, baseline, head, rules)
    return GateResult(tuple(checks), {}).verdict


def _share_that_fails(
    first: Sequence[RunProfile], second: Sequence[RunProfile], rules: Rules, *, exchanged: bool
) -> float:
    """Return the share of draws that would fail: with sides exchanged by chance, or with pairs drawn again."""
    draw = random.Random(1)  # noqa: S311 - draws runs, and no secrets
    pairs = list(zip(_seconds(first), _seconds(second), strict=True))
    fails = 0
    for _ in range(_DRAWS):
        if exchanged:
            drawn = [pair if draw.random() < 0.5 else pair[::-1] for pair in pairs]  # noqa: PLR2004 - a coin
        else:
            drawn = draw.choices(pairs, k=len(pairs))
        change, estimate = judge([a for a, _ in drawn], [b for _, b in drawn], paired=True, margin=rules.margin)
        fails += change == "more" and _above_zero(estimate)
    return fails / _DRAWS


def _above_zero(estimate: Estimate) -> bool:
    return math.isfinite(estimate.low) and estimate.low > 0


def _seconds(profiles: Sequence[RunProfile]) -> list[float]:
    return [one.run.seconds for one in profiles]
