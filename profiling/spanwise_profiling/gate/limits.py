"""Absolute limits over recorded runs: what is measured, what is allowed, and by how much it was missed.

A run that failed counts like any other, because its seconds and tokens were spent too; a run without an end does not
count. Whether runs may fail at all is a check of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import mean
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from spanwise_profiling.gate.measures import MEASURES, RATIOS
from spanwise_profiling.gate.result import Check
from spanwise_profiling.render.numbers import seconds as in_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from spanwise_profiling.gate.result import CheckKind, Outcome
    from spanwise_profiling.profile import Profile, Share

Over: TypeAlias = Literal["each", "share", "mean", "ratio"]
_MOST_PARTS: Final = 4
_ROUNDING: Final = 1e-9
_BY_AGENT: Final[Mapping[str, Callable[[Share], int]]] = {
    "model_calls": lambda share: share.calls,
    "tokens": lambda share: share.input_tokens + share.output_tokens,
    "input_tokens": lambda share: share.input_tokens,
    "output_tokens": lambda share: share.output_tokens,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What runs may take at most, or have to reach at least."""

    name: str
    """What a check of it is called, such as `run.tokens`."""
    measure: str
    """A key of `MEASURES`, or of `RATIOS` where `over` is `ratio`."""
    bound: float
    least: bool = False
    """Whether `bound` is what has to be reached, not what may be taken."""
    over: Over = "each"
    """`each`: no value may break it. `share`: at most `allowed` of the values may. `mean`: their mean may not.
    `ratio`: what is measured is a share over all runs."""
    allowed: float = 0.0
    subject: str | None = None
    """The cache, agent, tool or model that is meant; all of them where it is `None`."""
    fewest: int = 1
    """With fewer values (of a ratio: a smaller denominator) nothing can be said."""
    optional: bool = False
    """Whether a run without anything of the kind, such as one without caches, is left alone."""
    place: str | None = None
    """Where the limit is written."""


def check_limits(limits: Sequence[Limit], profiles: Sequence[Profile]) -> list[Check]:
    """Return a check for each limit; none for an optional one that there is nothing to measure for.

    Args:
        limits: of one workflow.
        profiles: runs of that workflow that have ended; at least one.
    """
    checks = [_check(limit, profiles) for limit in limits]
    return [check for check in checks if check is not None]


def check_failures(profiles: Sequence[Profile]) -> Check:
    """Return a check that no run ended in an error."""
    failed = [one for one in profiles if one.run.error is not None]
    types = ", ".join(sorted({one.run.error or "" for one in failed}))
    text = f"{len(failed)} of {len(profiles)} runs ended in an error" + (f" ({types})" if failed else "")
    outcome: Outcome = "fail" if failed else "pass"
    return Check("failures", profiles[0].run.workflow, "failures", outcome, text, float(len(failed)), 0.0)


def where_the_time_went(profile: Profile) -> tuple[str, ...]:
    """Return the agents (without agents, the buckets) with most of a run's critical path, a line each."""
    run = profile.run
    parts = [(share.name, share.on_path_ns, _mostly(share)) for share in profile.agents if share.name]
    if not parts:
        parts = [(bucket, spent, "") for bucket, spent in profile.budget_ns.items() if spent]
    parts.sort(key=lambda part: (-part[1], part[0]))
    lines = [f"run {run.run_id[:12]} took {in_seconds(run.seconds)}:"]
    for name, spent, mostly in parts[:_MOST_PARTS]:
        part = 100 * spent / run.duration_ns if run.duration_ns else 0.0
        lines.append(f"{name}: {in_seconds(run.scaled(spent))} ({part:.0f} %) of the critical path{mostly}")
    return tuple(lines)


def _details(measure: str, profile: Profile) -> tuple[str, ...]:
    """Return what the worst run spent of the measure, and on what."""
    if measure == "seconds":
        return where_the_time_went(profile)
    value = _BY_AGENT.get(measure)
    parts = [] if value is None else [(value(share), share.name) for share in profile.agents if share.name]
    parts.sort(key=lambda part: (-part[0], part[1]))
    title = MEASURES[measure].title
    return tuple(f"{name}: {spent:,} {title}" for spent, name in parts[:_MOST_PARTS] if spent)


def _mostly(share: Share) -> str:
    bucket, spent = max(share.budget_ns.items(), key=lambda item: item[1], default=("", 0))
    return f", mostly {bucket}" if spent else ""


def _check(limit: Limit, profiles: Sequence[Profile]) -> Check | None:
    return _check_ratio(limit, profiles) if limit.over == "ratio" else _check_values(limit, profiles)


def _check_ratio(limit: Limit, profiles: Sequence[Profile]) -> Check | None:
    ratio = RATIOS[limit.measure]
    parts = [ratio.parts(one, limit.subject) for one in profiles]
    above, below = (sum(part[place] for part in parts) for place in (0, 1))
    of = f" of {limit.subject}" if limit.subject else ""
    if not below and limit.optional:
        return None
    if below < limit.fewest:
        text = f"{ratio.title}{of}: {below:g} {ratio.of}, and it takes {limit.fewest} to judge; record more runs"
        return _made(limit, profiles, "inconclusive", text)
    found = above / below
    word = "at least" if limit.least else "at most"
    text = f"{ratio.title}{of}: {100 * found:.3g} % of {below:g} {ratio.of}; {word} {100 * limit.bound:.3g} %"
    return _made(limit, profiles, "fail" if _breaks(limit, found) else "pass", text, value=found)


def _check_values(limit: Limit, profiles: Sequence[Profile]) -> Check | None:
    measure = MEASURES[limit.measure]
    found = [(one, measure.values(one, limit.subject)) for one in profiles]
    unknown = sum(values is None for _, values in found)
    known = [(value, one) for one, values in found for value in values or ()]
    title = measure.title + (f" of {limit.subject}" if limit.subject else "")
    if unknown:
        text = f"{title}: not known of {unknown} of {len(profiles)} runs{_remedy(limit)}"
        return _made(limit, profiles, "inconclusive", text)
    if not known and limit.optional:
        return None
    if len(known) < limit.fewest:
        text = f"{title}: {len(known)} {measure.of}s, and it takes {limit.fewest} to judge; record more runs"
        return _made(limit, profiles, "inconclusive", text)
    broken = [value for value, _ in known if _breaks(limit, value)]
    worst, profile = (min if limit.least else max)(known, key=lambda pair: pair[0])
    average = mean(value for value, _ in known)
    shown = average if limit.over == "mean" else worst
    fails = {
        "each": bool(broken),
        "share": len(broken) > limit.allowed * len(known) + _ROUNDING,
        "mean": _breaks(limit, average),
    }[limit.over]
    allowed = f"{'at least' if limit.least else 'at most'} {quantity(limit.bound, measure.unit)}"
    text = f"{title}: {quantity(shown, measure.unit)}{_of_what(limit, len(broken), len(known), measure.of)}; {allowed}"
    details = _details(limit.measure, profile) if fails else ()
    return _made(limit, profiles, "fail" if fails else "pass", text, value=shown, unit=measure.unit, details=details)


def _of_what(limit: Limit, broken: int, known: int, of: str) -> str:
    if limit.over == "mean":
        return f" on average over {known} {of}s"
    worst = " in the worst of" if known > 1 else " in"
    over = f", {broken} are {'under' if limit.least else 'over'} it" if broken and known > 1 else ""
    share = f" ({100 * limit.allowed:.3g} % may be)" if limit.over == "share" and broken and known > 1 else ""
    return f"{worst} {known} {of if known == 1 else of + 's'}{over}{share}"


def _remedy(limit: Limit) -> str:
    return "; give prices of all models with --prices FILE" if limit.measure == "cost" else ""


def _breaks(limit: Limit, value: float) -> bool:
    return value < limit.bound - _ROUNDING if limit.least else value > limit.bound + _ROUNDING


def _made(
    limit: Limit,
    profiles: Sequence[Profile],
    outcome: Outcome,
    text: str,
    *,
    value: float | None = None,
    unit: str = "",
    details: tuple[str, ...] = (),
) -> Check:
    kind: CheckKind = "budget"
    return Check(
        limit.name, profiles[0].run.workflow, kind, outcome, text, value, limit.bound, unit, limit.place, details
    )


def quantity(value: float, unit: str) -> str:
    """Return a number with its unit, as people read it."""
    if unit == "s":
        return in_seconds(value)
    shown = f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
    return f"{shown} {unit}".rstrip()


def undecided(check: Check) -> Check:
    """Return a check about seconds that is shown and does not decide."""
    return replace(check, outcome="inconclusive", text=f"{check.text}; does not decide: counts decide alone",
                   decides=False)  # fmt: skip


def ended(profiles: Sequence[Profile]) -> Iterator[Profile]:
    """Yield the runs that have an end."""
    return (one for one in profiles if one.run.state == "ended")
