"""What an ablation came to: for each flag, what it saves alone and what its absence costs, beside what was claimed.

Runs pair by seed. An effect is the typical difference of two runs of a pair (Hodges and Lehmann's estimate), as a share
of the first one's duration.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal

from rich.table import Table

from spanwise import conventions as c
from spanwise_pipeline.flags import flags_of, show_value
from spanwise_profiling.comparison.statistics import paired

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spanwise_cli.finished import Finished
    from spanwise_pipeline.ablation import Ablation, Switch
    from spanwise_pipeline.system import Claim

Verdict = Literal["holds", "less", "more", "unclear"]
_ENOUGH: Final = 5
"""Fewer pairs have no interval of 90 %."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one flag changes, of runs that pair by seed; seconds and tokens are without the flag less with it."""

    saves_share: float
    """Of the duration without the flag."""
    low: float | None
    """Lower end of the 90 % interval of `saves_share`; `None` for fewer than five pairs."""
    high: float | None
    saves_s: float
    bound_share: float | None
    """The same share on the virtual clock, where only simulated durations count."""
    bound_low: float | None
    bound_high: float | None
    tokens: float
    """How many more tokens the run takes with the flag."""
    untold: int
    """Calls of both sides whose stream was left before it told its tokens."""
    same_answer: bool


@dataclass(frozen=True, slots=True)
class Ablated:
    """A flag with its effects."""

    switch: Switch
    claim: Claim | None
    alone: Effect
    """Switched on in the first preset."""
    in_all: Effect
    """Switched on as the last flag of the last preset."""

    @property
    def verdict(self) -> Verdict | None:
        """Whether what was claimed holds for the flag alone."""
        return None if self.claim is None else judged(self.alone, self.claim)


class Results:
    """The runs of an ablation that ended well, by preset and switch."""

    def __init__(self, ablation: Ablation, finished: Iterable[tuple[str, Switch | None, Finished]]) -> None:
        self._ablation = ablation
        self._runs: defaultdict[tuple[str, str | None], dict[int, Finished]] = defaultdict(dict)
        for preset, switch, run in finished:
            if run.report.error is None and run.run is not None:
                self._runs[preset, switch.flag if switch is not None else None][run.plan.seed] = run

    def runs(self, preset: str, flag: str | None = None) -> list[Finished]:
        """Return the runs of a preset, or of a preset with a flag turned, by seed."""
        return [run for _, run in sorted(self._runs[preset, flag].items())]

    def flags(self) -> list[Ablated]:
        """Return every flag of which both effects could be measured, what saves most alone first."""
        claims = self._ablation.experiment.system.claims
        before, after = self._ablation.before, self._ablation.after
        found: list[Ablated] = []
        for switch in self._ablation.switches:
            alone = _effect(self._runs[before, None], self._runs[before, switch.flag])
            in_all = _effect(self._runs[after, switch.flag], self._runs[after, None])
            if alone is not None and in_all is not None:
                found.append(Ablated(switch, claims.get(switch.flag), alone, in_all))
        return sorted(found, key=lambda each: -each.alone.saves_share)


def judged(effect: Effect, claim: Claim) -> Verdict:
    """Return whether a claim holds: the effect is in its range, or its whole interval is outside."""
    if claim.least <= effect.saves_share <= claim.most:
        return "holds"
    low = effect.saves_share if effect.low is None else effect.low
    high = effect.saves_share if effect.high is None else effect.high
    if high < claim.least:
        return "less"
    return "more" if low > claim.most else "unclear"


def _effect(without: Mapping[int, Finished], with_flag: Mapping[int, Finished]) -> Effect | None:
    pairs = [(without[seed], with_flag[seed]) for seed in sorted(without.keys() & with_flag.keys())]
    if not pairs:
        return None
    seconds = [(_seconds(one), _seconds(other)) for one, other in pairs]
    bounds = [(one.bound_s, other.bound_s) for one, other in pairs if one.bound_s and other.bound_s is not None]
    share, low, high = _typical(seconds)
    bound_share, bound_low, bound_high = _typical(bounds) if bounds else (None, None, None)
    return Effect(
        saves_share=share,
        low=low,
        high=high,
        saves_s=median(before - after for before, after in seconds),
        bound_share=bound_share,
        bound_low=bound_low,
        bound_high=bound_high,
        tokens=median(_tokens(other) - _tokens(one) for one, other in pairs),
        untold=sum(_untold(run) for pair in pairs for run in pair),
        same_answer=all(one.report.answer_sha256 == other.report.answer_sha256 for one, other in pairs),
    )


def _typical(pairs: Sequence[tuple[float, float]]) -> tuple[float, float | None, float | None]:
    """Return the typical share that the second of a pair saves of the first, and its interval."""
    estimate = paired([1 - after / before for before, after in pairs])
    if len(pairs) < _ENOUGH:
        return estimate.shift, None, None
    return estimate.shift, estimate.close_low, estimate.close_high


def _seconds(run: Finished) -> float:
    assert run.run is not None
    return run.run.seconds


def _tokens(run: Finished) -> int:
    assert run.run is not None
    return run.run.totals.tokens


def _untold(run: Finished) -> int:
    assert run.run is not None
    return sum(span.attributes.get(c.STREAM_CLOSED_EARLY) is True for _, span in run.run.walk())


def document(ablation: Ablation, results: Results) -> dict[str, Any]:
    """Return the ablation as `systems ablate --json` shows it."""
    experiment = ablation.experiment
    return {
        "schema": "spanwise.systems.ablate/1",
        "system": experiment.system.name,
        "speed": experiment.speed,
        "seeds": [experiment.seed + number for number in range(experiment.runs)],
        "set": experiment.overrides,
        "presets": {name: _durations(results.runs(name)) for name in (ablation.before, ablation.after)},
        "flags": [
            {
                "flag": each.switch.flag,
                "off": each.switch.off,
                "on": each.switch.on,
                "claim": asdict(each.claim) if each.claim is not None else None,
                "verdict": each.verdict,
                "alone": asdict(each.alone)
                | {"durations_s": _durations(results.runs(ablation.before, each.switch.flag))},
                "in_all": asdict(each.in_all)
                | {"durations_s": _durations(results.runs(ablation.after, each.switch.flag))},
            }
            for each in results.flags()
        ],
    }


def _durations(runs: Sequence[Finished]) -> list[float]:
    return [_seconds(run) for run in runs]


def table(flags: Sequence[Ablated]) -> Table:
    """Return one row a flag; shares in percent of the duration without it."""
    found = Table(box=None, pad_edge=False)
    for heading in ("flag", "claimed, %", "alone, %", "bound, %", "tokens", "in all, %"):
        found.add_column(heading, justify="left" if heading == "flag" else "right", no_wrap=True)
    for each in flags:
        found.add_row(
            each.switch.flag,
            f"{100 * each.claim.least:g}-{100 * each.claim.most:g} {each.verdict}" if each.claim is not None else "-",
            _share(each.alone.saves_share, each.alone.low, each.alone.high),
            _share(each.alone.bound_share, each.alone.bound_low, each.alone.bound_high),
            _more(each.alone),
            _share(each.in_all.saves_share, each.in_all.low, each.in_all.high),
        )
    return found


def _share(share: float | None, low: float | None, high: float | None) -> str:
    if share is None:
        return "-"
    if low is None or high is None:
        return f"{100 * share:.1f}"
    return f"{100 * share:.1f} ±{100 * max(high - share, share - low):.1f}"


def _more(effect: Effect) -> str:
    return f"{effect.tokens:+,.0f}{'?' if effect.untold else ''}"


def notes(ablation: Ablation, results: Results) -> str:
    """Return what the table leaves unsaid."""
    experiment = ablation.experiment
    before, after = (median(_durations(results.runs(name)) or [0.0]) for name in (ablation.before, ablation.after))
    last = experiment.seed + experiment.runs - 1
    seeds = f"seed {last}" if experiment.runs == 1 else f"seeds {experiment.seed} to {last}"
    durations = f"{ablation.before} {before:.1f} s, {ablation.after} {after:.1f} s (medians)"
    lines = [
        f"{durations}; {seeds}, cold start, speed {experiment.speed:g}.",
        "alone: saved by the flag by itself; in all flags: saved by it as the last one; ±: 90 % interval.",
        "bound: alone, on a virtual clock, where only simulated durations count. tokens: alone.",
    ]
    flags = results.flags()
    changing = {info.name for info in flags_of(experiment.system.flags) if info.changes_answer}
    other = [e.switch.flag for e in flags if not (e.alone.same_answer and e.in_all.same_answer)]
    unsaid = [name for name in other if name not in changing]
    lines.append(
        f"another answer, although it must not change: {', '.join(unsaid)}" if unsaid else
        f"another answer, as the flag says: {', '.join(other)}" if other else "all runs gave the same answer."
    )  # fmt: skip
    if any(effect.untold for each in flags for effect in (each.alone, each.in_all)):
        lines.append("?: streams that were left early told no tokens; the provider counts them all the same.")
    values = [e.switch for e in flags if not isinstance(e.switch.on, bool)]
    lines += [f"{s.flag}: {show_value(s.off)} to {show_value(s.on)}" for s in values]
    return "\n".join(lines)
