"""What slow runs have that the others have not: figures by ranks, traits by how many runs have them.

Tests count runs, since a weight makes no run more certain. Everything that is known of a run is looked at, so p values
are corrected for its number (Benjamini and Hochberg, 1995). What is found goes together with being slow; it need not
be the cause.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.ranks import corrected, fisher, rank_sum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run

Measure: TypeAlias = Literal["seconds", "count", "share"]
SIGNIFICANT: Final = 0.05
_MOST_VALUES: Final = 20


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


def differences(profiles: Sequence[Profile], slow_from: float) -> list[Difference]:
    """Return what runs of at least `slow_from` seconds have more or less of, seconds first, the largest first."""
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
    traits = {f"path = {' > '.join(profile.agents_on_path)}", f"service = {run.service}"}
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
