"""Many runs as one: how long they take, where, along which paths, and what the slow tenth has that the rest has not.

A run is the unit. A run that stands for others, because traces were sampled, counts as many times as it stands for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise_profiling import kinds
from spanwise_profiling.profile import BUCKETS
from spanwise_profiling.slow_runs import Difference, differences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run

SLOW_SHARE: Final = 0.1
LEAST_RUNS: Final = 20
"""Fewer runs have no slow tenth worth the name."""
_SHOWN_PATHS: Final = 10
_THRESHOLD: Final = re.compile(r"(?:^|,)\s*ot=(?:[^,]*;)?th:(?P<digits>[0-9a-f]{1,14})(?:[;,\s]|$)")
"""A trace is sampled when 56 random bits are at least the threshold; zeros at its end are left out (OTEP 235)."""
_DIGITS: Final = 14
_EVERY: Final = 16**_DIGITS


@dataclass(frozen=True, slots=True)
class Distribution:
    """Weighted figures over runs."""

    mean: float
    p10: float
    p50: float
    p90: float
    largest: float


@dataclass(frozen=True, slots=True)
class AgentPopulation:
    """One agent over all runs; seconds are scaled, and 0 for runs without it."""

    name: str
    present: float
    """Share of runs that it worked in."""
    on_path: Distribution
    total: Distribution
    tokens: float
    """Mean of input and output tokens."""


@dataclass(frozen=True, slots=True)
class PathPopulation:
    """One way through the agents."""

    agents: tuple[str, ...]
    """In the order of the critical path; one that follows itself is named once."""
    share: float
    runs: int
    seconds: float
    """Median duration."""


@dataclass(frozen=True, slots=True)
class Population:
    """What many runs have in common, and what not."""

    runs: int
    stands_for: float
    """Sum of the weights: how many runs these stand for."""
    seconds: Distribution
    agents: tuple[AgentPopulation, ...]
    """By mean time on the path, most first."""
    budget: Mapping[str, float]
    """Mean seconds of each bucket that is not empty."""
    paths: tuple[PathPopulation, ...]
    """The most frequent ones."""
    slow_from: float | None
    """Seconds from which a run belongs to the slow tenth; None where there are too few runs to say."""
    slow: tuple[Difference, ...]
    """What the slow tenth has: seconds first, largest difference first."""


def population_of(profiles: Sequence[Profile], weights: Sequence[float] | None = None) -> Population:
    """Return what `profiles` (of at least one run) come to together.

    Args:
        profiles: of runs of one workflow, findings included where they are to be compared.
        weights: how many runs each stands for; by default what its sampling probability says, else 1.
    """
    counts = list(weights) if weights is not None else [weight_of(profile.run) for profile in profiles]
    seconds = [profile.run.seconds for profile in profiles]
    slow_from = _quantile(seconds, counts, 1 - SLOW_SHARE) if len(profiles) >= LEAST_RUNS else None
    return Population(
        runs=len(profiles),
        stands_for=sum(counts),
        seconds=_distribution(seconds, counts),
        agents=_agents(profiles, counts),
        budget=_budget(profiles, counts),
        paths=_paths(profiles, counts),
        slow_from=slow_from,
        slow=tuple(differences(profiles, slow_from)) if slow_from is not None else (),
    )


def weight_of(run: Run) -> float:
    """Return how many runs `run` stands for, by the sampling probability on its root; 1 where none is recorded.

    Known are OpenTelemetry's threshold in the trace state (`ot=th:…`), `sampling.probability` (0 to 1), Honeycomb's
    `SampleRate`, and the tags of Jaeger's probabilistic sampler.
    """
    if (threshold := _THRESHOLD.search(run.root.trace_state)) is not None:
        return _EVERY / (_EVERY - int(threshold["digits"].ljust(_DIGITS, "0"), 16))
    probability = kinds.number_of(run.root, "sampling.probability")
    if probability is None and run.root.attributes.get("sampler.type") == "probabilistic":
        probability = kinds.number_of(run.root, "sampler.param")
    if probability is not None and 0 < probability <= 1:
        return 1 / probability
    rate = kinds.number_of(run.root, "SampleRate")
    return rate if rate is not None and rate >= 1 else 1.0


def _distribution(values: Sequence[float], weights: Sequence[float]) -> Distribution:
    total = sum(weights)
    mean = sum(value * weight for value, weight in zip(values, weights, strict=True)) / total
    p10, p50, p90 = (_quantile(values, weights, share) for share in (0.1, 0.5, 0.9))
    return Distribution(mean, p10, p50, p90, max(values))


def _quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the weight lies at or below."""
    reached, wanted = 0.0, share * sum(weights) * (1 - 1e-12)
    ordered = sorted(zip(values, weights, strict=True))
    for value, weight in ordered:
        reached += weight
        if reached >= wanted:
            return value
    return ordered[-1][0]


def _agents(profiles: Sequence[Profile], weights: Sequence[float]) -> tuple[AgentPopulation, ...]:
    by_run = [{share.name: share for share in profile.agents if share.name} for profile in profiles]
    found: list[AgentPopulation] = []
    for name in sorted({name for shares in by_run for name in shares}):
        present = [(profile.run, shares.get(name)) for profile, shares in zip(profiles, by_run, strict=True)]
        tokens = [share.input_tokens + share.output_tokens if share else 0 for _, share in present]
        found.append(
            AgentPopulation(
                name=name,
                present=_mean([float(share is not None) for _, share in present], weights),
                on_path=_distribution(
                    [run.scaled(share.on_path_ns) if share else 0.0 for run, share in present], weights
                ),
                total=_distribution([run.scaled(share.total_ns) if share else 0.0 for run, share in present], weights),
                tokens=_mean(tokens, weights),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.on_path.mean, one.name)))


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def _budget(profiles: Sequence[Profile], weights: Sequence[float]) -> dict[str, float]:
    means = {
        bucket: _mean([profile.run.scaled(profile.budget_ns.get(bucket, 0)) for profile in profiles], weights)
        for bucket in BUCKETS
    }
    return {bucket: mean for bucket, mean in means.items() if mean}


def _paths(profiles: Sequence[Profile], weights: Sequence[float]) -> tuple[PathPopulation, ...]:
    ways: defaultdict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
    for profile, weight in zip(profiles, weights, strict=True):
        ways[profile.agents_on_path].append((profile.run.seconds, weight))
    total = sum(weights)
    found = [
        PathPopulation(
            agents=agents,
            share=sum(weight for _, weight in members) / total,
            runs=len(members),
            seconds=_quantile([value for value, _ in members], [weight for _, weight in members], 0.5),
        )
        for agents, members in ways.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.share, one.agents))[:_SHOWN_PATHS])
