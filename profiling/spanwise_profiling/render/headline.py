"""The sentences at the head and the foot of a profile: what dominated, the biggest win, and how sure all of it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanwise_profiling.render.budget import per_cent, share_of
from spanwise_profiling.render.numbers import count, rough, seconds
from spanwise_profiling.render.usage_texts import amount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spanwise_profiling.profile import Blind, Bucket, Confidence, Finding, Profile

SURE: Final[Mapping[Confidence, str]] = {"high": "sure", "medium": "likely", "low": "you judge"}
"""How sure a finding is, in words."""
_TIMES: Final[Mapping[str, tuple[Bucket, ...]]] = {
    "model time": ("model_prefill", "model_decode", "model"),
    "tools and data": ("tool", "retrieval", "cache_lookup"),
    "waiting for limits": ("wait_rate_limit", "wait_concurrency", "queue"),
    "retries and open circuits": ("wait_retry", "wait_circuit"),
    "opening connections": ("connect",),
    "a blocked event loop": ("loop_blocked",),
    "computing here": ("cpu", "gc"),
    "time between steps": ("coordination",),
    "waiting for a person": ("human",),
    "time of which nothing is recorded": ("unknown",),
}
_MOST: Final = 0.5
_LITTLE: Final = 1.05
_MUCH: Final = 1.5


def title_of(profile: Profile) -> str:
    """Return what the run was: name, length, calls, tokens and cost; what it names is not yet safe to print."""
    run, totals = profile.run, profile.run.totals
    figures = [count(totals.llm_calls, "model call")] if totals.llm_calls else []
    figures += [count(totals.tool_calls, "tool call")] if totals.tool_calls and not totals.llm_calls else []
    figures += [count(totals.tokens, "token")] if totals.tokens else []
    if profile.usage is not None and profile.usage.total.calls and profile.usage.total.cost is not None:
        figures.append(f"{amount(profile.usage.total.cost)} {profile.usage.currency}")
    figures += [count(totals.errors, "error")] if totals.errors else []
    figures += [f"grade {run.grade}"] if run.grade else []
    return f"{run.title}  {seconds(run.seconds)}" + (f"   {', '.join(figures)}" if figures else "")


def dominated(profile: Profile) -> str:
    """Return a sentence on what most of the run was, and how much of it overlapped."""
    run = profile.run
    if not run.duration_ns:
        return "It took no time."
    sums = [(what, sum(profile.budget_ns.get(bucket, 0) for bucket in of)) for what, of in _TIMES.items()]
    (first, most), (second, next_most), *_ = sorted(sums, key=lambda pair: -pair[1])
    what = f"{share_of(most, profile)} is {first}"
    if most < _MOST * run.duration_ns and next_most:
        what += f" and {share_of(next_most, profile)} {second}"
    return f"{what}, and {_overlap(profile.parallelism)}."


def _overlap(parallelism: float) -> str:
    if parallelism >= _MUCH:
        return f"{parallelism:.1f} things ran at once"
    return f"{'almost nothing' if parallelism < _LITTLE else 'little'} overlapped ({parallelism:.2f}x parallel)"


def biggest_win(profile: Profile) -> str:
    """Return a sentence with the first finding; of a run without findings, how many rules had looked."""
    if not profile.findings:
        return nothing_found(profile)
    finding = profile.findings[0]
    order = finding.title[:1].lower() + finding.title[1:]
    win = "Worth a look" if finding.confidence == "low" else "Biggest win"
    return f"{win}: {order}, about {rough(profile.run.scaled(finding.saves_ns))} less ({share(profile, finding)})."


def share(profile: Profile, finding: Finding) -> str:
    """Return which part of the run a finding could save, as per cent."""
    return per_cent(finding.saves_ns / profile.run.duration_ns if profile.run.duration_ns else 0.0)


def nothing_found(profile: Profile) -> str:
    """Return a sentence for a run without findings: how many rules had looked, and that others could not."""
    blind = sum(len(one.rules) for one in profile.blind)
    if not profile.rules:
        return "Nothing to change was looked for."
    if blind:
        return f"Nothing to change was found by the {profile.rules - blind} of {profile.rules} rules that could run."
    return f"Nothing to change was found; all {profile.rules} rules ran."


def path_certainty(profile: Profile) -> str:
    """Return a sentence on how sure the path is."""
    if profile.doubt_ns:
        doubt = share_of(profile.doubt_ns, profile)
        return f"Path: in doubt for {doubt}: siblings overlapped, and the one that ended last is taken."
    if any(segment.edge == "observed" for segment in profile.path):
        return "Path: certain, by recorded waits where anything overlapped."
    return "Path: certain, nothing overlapped."


def rules_that_ran(profile: Profile) -> Iterator[str]:
    """Yield sentences on how many rules could run, and what those that could not need."""
    blind = sum(len(one.rules) for one in profile.blind)
    if profile.rules and not blind:
        yield f"All {profile.rules} rules ran."
    elif profile.rules:
        needs = ", ".join(map(_need, profile.blind))
        yield f"{profile.rules - blind} of {profile.rules} rules ran; {needs}."


def _need(blind: Blind) -> str:
    needs = "needs" if len(blind.rules) == 1 else "need"
    return f"{len(blind.rules)} {needs} {blind.lacks} ({blind.remedy})"


def unknown_prices(profile: Profile) -> Iterator[str]:
    """Yield a sentence on the models whose price is not known."""
    usage = profile.usage
    if usage is None or not usage.total.calls or usage.total.cost is not None:
        return
    names = [model.name or "(no name)" for model in usage.models if model.cost is None]
    who = names[0] if len(names) == 1 else f"{len(names)} models"
    yield f"Price of {who} unknown (--prices FILE)."
