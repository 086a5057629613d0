"""Many runs as one: how long they take, where, along which paths, and what the slow tenth has that the rest has not.

A run is the unit. A run that stands for others, because traces were sampled, counts as many times as it stands for;
tests of difference count runs, since a weight makes no run more certain. What the slow tenth has is looked for over
all figures and attributes at once, so p values are corrected for their number (Benjamini and Hochberg, 1995).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.profile import BUCKETS
from spanwise_profiling.ranks import corrected, fisher, rank_sum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run

Measure: TypeAlias = Literal["seconds", "count", "share"]
SLOW_SHARE: Final = 0.1
LEAST_RUNS: Final = 20
"""Fewer runs have no slow tenth worth the name."""
SIGNIFICANT: Final = 0.05
_MOST_VALUES: Final = 20
_SHOWN_PATHS: Final = 10
_MOST_AGENTS: Final = 30
"""Of a path's signature; what comes after is left out."""


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
class Difference:
    """Something that the slow tenth has more or less of than the rest."""

    measure: Measure
    name: str
    """`agent x`, `bucket y`, `path a > b`, `attribute = value`, `finding z`, ..."""
    slow: float
    """Mean over the slow tenth; for `share`, the part of its runs that have it."""
    rest: float
    p: float
    """Corrected for the number of things that were looked at."""


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
        slow=tuple(_differences(profiles, slow_from)) if slow_from is not None else (),
    )


def weight_of(run: Run) -> float:
    """Return how many runs `run` stands for, by the sampling probability on its root; 1 where none is recorded.

    Known are `sampling.probability` (0 to 1), Honeycomb's `SampleRate`, and the tags of Jaeger's probabilistic sampler.
    """
    probability = kinds.number_of(run.root, "sampling.probability")
    if probability is None and run.root.attributes.get("sampler.type") == "probabilistic":
        probability = kinds.number_of(run.root, "sampler.param")
    if probability is not None and 0 < probability <= 1:
        return 1 / probability
    rate = kinds.number_of(run.root, "SampleRate")
    return rate if rate is not None and rate >= 1 else 1.0


def path_of(profile: Profile) -> tuple[str, ...]:
    """Return the agents along the critical path, one that follows itself once; of a run without agents, its kinds."""
    names: list[str] = []
    for segment in profile.path:
        name = segment.agent or ("" if profile.agents and any(one.name for one in profile.agents) else segment.bucket)
        if name and (not names or names[-1] != name):
            names.append(name)
    return tuple(names[:_MOST_AGENTS])


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
        ways[path_of(profile)].append((profile.run.seconds, weight))
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


def _differences(profiles: Sequence[Profile], slow_from: float) -> list[Difference]:
    is_slow = [profile.run.seconds >= slow_from for profile in profiles]
    if all(is_slow):
        return []
    compared = [*_figures(profiles, is_slow), *_traits(profiles, is_slow)]
    ps = corrected([one.p for one in compared])
    kept = [
        Difference(one.measure, one.name, one.slow, one.rest, p)
        for one, p in zip(compared, ps, strict=True)
        if p < SIGNIFICANT
    ]
    order: tuple[Measure, ...] = ("seconds", "share", "count")
    return sorted(kept, key=lambda one: (order.index(one.measure), -abs(one.slow - one.rest), one.name))


def _figures(profiles: Sequence[Profile], is_slow: Sequence[bool]) -> Iterable[Difference]:
    tables: list[tuple[Measure, list[Mapping[str, float]]]] = [
        ("seconds", [_seconds(profile) for profile in profiles]),
        ("count", [_counts(profile.run) for profile in profiles]),
    ]
    for measure, rows in tables:
        for name in sorted({name for row in rows for name in row}):
            slow = [row.get(name, 0.0) for row, one in zip(rows, is_slow, strict=True) if one]
            rest = [row.get(name, 0.0) for row, one in zip(rows, is_slow, strict=True) if not one]
            yield Difference(measure, name, sum(slow) / len(slow), sum(rest) / len(rest), rank_sum(slow, rest))


def _seconds(profile: Profile) -> dict[str, float]:
    run = profile.run
    agents = {f"agent {share.name}": run.scaled(share.on_path_ns) for share in profile.agents if share.name}
    return agents | {f"bucket {name}": run.scaled(length) for name, length in profile.budget_ns.items() if length}


def _counts(run: Run) -> dict[str, float]:
    totals = run.totals
    return {
        "model calls": totals.llm_calls,
        "tool calls": totals.tool_calls,
        "retries": totals.retries,
        "errors": totals.errors,
        "cache misses": totals.cache_lookups - totals.cache_hits,
        "input tokens": totals.input_tokens,
        "output tokens": totals.output_tokens,
    }


def _traits(profiles: Sequence[Profile], is_slow: Sequence[bool]) -> Iterable[Difference]:
    traits = [_traits_of(profile) for profile in profiles]
    values = Counter(
        trait.partition(" = ")[0] for trait in {trait for one in traits for trait in one} if " = " in trait
    )
    slow_runs, runs = sum(is_slow), len(profiles)
    for trait in sorted({trait for one in traits for trait in one}):
        if values[trait.partition(" = ")[0]] > _MOST_VALUES:
            continue  # an identity, not a trait
        having = sum(trait in one for one in traits)
        slow = sum(trait in one for one, slow in zip(traits, is_slow, strict=True) if slow)
        p = fisher(slow, slow_runs, having - slow, runs - slow_runs)
        yield Difference("share", trait, slow / slow_runs, (having - slow) / (runs - slow_runs), p)


def _traits_of(profile: Profile) -> set[str]:
    run = profile.run
    traits = {f"path = {' > '.join(path_of(profile))}", f"service = {run.service}"}
    traits |= {f"finding {finding.id}" for finding in profile.findings}
    for name, value in run.root.attributes.items():
        if isinstance(value, str | bool) and name not in (c.RUN_ID, c.RUN_FLAGS):
            traits.add(f"{name} = {value}")
    for _, span in run.walk():
        if error := kinds.error_of(span):
            traits.add(f"error {error}")
        if kinds.kind_of(span) == "chat":
            traits.add(f"model {kinds.subject_of(span)}")
    return traits
