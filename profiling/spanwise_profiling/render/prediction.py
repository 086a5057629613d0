"""A prediction as sentences for people, and as a document for programs."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from spanwise_profiling.advice.words import counted, listed
from spanwise_profiling.render.headline import SURE
from spanwise_profiling.render.numbers import fixed, seconds
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise_profiling.prediction.keeping import Calibration, Scored
    from spanwise_profiling.prediction.result import Explanation, Figure, Matched, Prediction
    from spanwise_profiling.prediction.suggesting import Suggested, Suggestion

SCHEMA: Final = "spanwise.predict/1"
_LEAST_SHARE: Final = 0.001
"""Of the run: a smaller part of the path is not listed."""


def prediction_lines(found: Prediction, *, width: int, explain: bool = False) -> Iterator[str]:
    """Yield the lines of a report; what the changes are about comes first.

    Args:
        found: the prediction.
        width: of a line, where a sentence is long.
        explain: whether to show what becomes the new path and why the saving ends.
    """
    for change in found.changes:
        yield from _matched(change, len(found.run_ids), width)
    yield ""
    yield from wrap(_verdict(found), width)
    yield f"  now        {_amount(found.median.before)}"
    alone = len(found.run_ids) == 1 and found.median.low == found.median.high
    interval = "; one run gives no interval" if alone else f", between {_between(found.median)}"
    yield f"  predicted  {_amount(found.median.after)}{interval}"
    if found.p95 is not None:
        yield f"  p95        {_amount(found.p95.before)} to {_amount(found.p95.after)}, between {_between(found.p95)}"
    if found.tokens[0] != found.tokens[1]:
        yield f"  tokens     {found.tokens[0]:,.0f} to {found.tokens[1]:,.0f}"
    if found.cost is not None and found.cost.before != found.cost.after:
        yield f"  cost       {found.cost.before:.4g} to {found.cost.after:.4g} {printable(found.currency)}"
    yield from _doubts(found, width)
    if explain:
        yield from _explained(found.explanation, width)


def record_lines(calibration: Sequence[Calibration]) -> Iterator[str]:
    """Yield how good earlier predictions with the same verbs have been."""
    for kind in calibration:
        yield (
            f"Earlier predictions with `{kind.kind}`: {kind.scored} measured, {kind.off:.1%} off in the median, "
            f"{kind.within} within the interval."
        )


def suggestion_lines(found: Suggested, *, width: int) -> Iterator[str]:
    """Yield what to change next, the best first, and the best two together."""
    if not found.singles:
        yield "No finding of the profile is a change that would save anything."
        return
    yield "Change next:"
    for number, one in enumerate(found.singles, start=1):
        yield from _suggestion(f"{number}.", one, width)
    if found.pair is not None:
        yield ""
        yield "The best two together:"
        yield from _suggestion("-", found.pair, width)


def _suggestion(mark: str, one: Suggestion, width: int) -> Iterator[str]:
    figure = one.prediction.median
    share = figure.saving / figure.before if figure.before else 0.0
    cost = one.prediction.cost
    money = f", {cost.saving:.3g} {printable(one.prediction.currency)}" if cost and cost.saving else ""
    text = f"{mark} saves {_amount(figure.saving)} ({share:.1%}){money}; {SURE[one.confidence]}: {one.why}"
    yield from wrap(printable(text), width, subsequent_indent="   ")
    yield from (f"   --change '{printable(line)}'" for line in one.texts)


def score_lines(scored: Scored | None, calibration: Sequence[Calibration], *, width: int) -> Iterator[str]:
    """Yield what a prediction came to, if one was scored, and how good each kind has been."""
    if scored is not None:
        kept = scored.kept
        yield from wrap(f"{kept.id}: {printable('; '.join(kept.changes))}", width, subsequent_indent="  ")
        yield f"  predicted  {_amount(kept.after)}, between {_amount(kept.low)} and {_amount(kept.high)}"
        where = "within" if scored.is_within else "outside of"
        yield f"  measured   {_amount(scored.measured)}, median of {counted(scored.runs, 'run')}"
        yield f"  {scored.off:+.1%} off, {where} the interval"
        yield ""
    if not calibration:
        yield "No prediction was measured yet; name runs with the change: spanwise predict RUN --score ID"
        return
    yield f"{'kind':<10} {'measured':>8} {'off':>7} {'within':>7}"
    for kind in calibration:
        yield f"{kind.kind:<10} {kind.scored:>8} {kind.off:>7.1%} {kind.within:>7}"


def _amount(value: float) -> str:
    return seconds(max(0.0, value))


def _between(figure: Figure) -> str:
    return f"{_amount(figure.low)} and {_amount(figure.high)}"


def _verdict(found: Prediction) -> str:
    runs = counted(len(found.run_ids), "run")
    share = abs(found.median.saving) / found.median.before if found.median.before else 0.0
    if share < _LEAST_SHARE:
        return f"{printable(found.workflow)}, {runs}: this would save nothing."
    verb = "save" if found.median.saving > 0 else "cost"
    return f"{printable(found.workflow)}, {runs}: this would {verb} {_amount(abs(found.median.saving))} ({share:.1%})."


def _matched(change: Matched, runs: int, width: int) -> Iterator[str]:
    names = listed(f"{printable(name)} ({count})" if count > 1 else printable(name) for name, count in change.names)
    yield f"{printable(change.text)}"
    there = "" if change.runs == runs else f" in {change.runs} of {runs} runs"
    text = f"matches {counted(change.spans, 'span')}{there}: {names}"
    yield from wrap(text, width, initial_indent="  ", subsequent_indent="    ")


def _doubts(found: Prediction, width: int) -> Iterator[str]:
    if not (found.doubts or found.left_out):
        return
    yield ""
    yield "It might be wrong:"
    for doubt in found.doubts:
        yield from wrap(f"- {doubt.id}: {printable(doubt.text)}", width, subsequent_indent="  ")
    for line in found.left_out:
        yield from wrap(f"- left-out: {line}", width, subsequent_indent="  ")


def _explained(found: Explanation, width: int) -> Iterator[str]:
    yield ""
    yield f"The critical path of run {printable(found.run_id[:12])}, now and then:"
    longest = max((max(part.before, part.after) for part in found.parts), default=0.0)
    shown = [part for part in found.parts if max(part.before, part.after) >= _LEAST_SHARE * found.before]
    space = max((len(printable(part.name)) for part in shown), default=0)
    for part in shown:
        before, after = (fixed(value, longest) if value else "-" for value in (part.before, part.after))
        yield f"  {printable(part.name):<{space}}  {before:>9}  {after:>9}"
    left = [printable(part.name) for part in shown if not part.after]
    joined = [printable(part.name) for part in shown if not part.before]
    if left:
        yield from wrap(f"No longer on it: {listed(left)}.", width)
    if joined:
        yield from wrap(f"New on it: {listed(joined)}.", width)
    yield from wrap(_end_of_saving(found), width)


def _end_of_saving(found: Explanation) -> str:
    if found.after - found.floor <= _LEAST_SHARE * found.before:
        return "More of this saves nothing: what is left on the path is something else."
    return (
        f"If the spans that this is about took no time at all, the run would take {_amount(found.floor)}: "
        "the rest of the path is something else."
    )


def prediction_document(found: Prediction, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a prediction as a JSON document, `spanwise.predict/1`; seconds are the system's."""
    explanation = found.explanation
    return {
        "schema": SCHEMA,
        "workflow": found.workflow,
        "runs": list(found.run_ids),
        "left_out": list(found.left_out),
        "changes": [
            {
                "text": change.text,
                "kind": change.kind,
                "spans": change.spans,
                "runs": change.runs,
                "names": dict(change.names),
            }
            for change in found.changes
        ],
        "median": _figure(found.median),
        "p95": None if found.p95 is None else _figure(found.p95),
        "cost": None if found.cost is None else _figure(found.cost) | {"currency": found.currency},
        "tokens": {"before": found.tokens[0], "after": found.tokens[1]},
        "warnings": [{"id": doubt.id, "text": doubt.text, "widens": doubt.widens} for doubt in found.doubts],
        "explanation": {
            "run_id": explanation.run_id,
            "before_s": explanation.before,
            "after_s": explanation.after,
            "floor_s": explanation.floor,
            "path": [{"name": part.name, "before_s": part.before, "after_s": part.after} for part in explanation.parts],
        },
        **(more or {}),
    }


def suggestion_document(found: Suggested, workflow: str, run_ids: Sequence[str]) -> dict[str, Any]:
    """Return suggestions as a JSON document, `spanwise.predict/1`."""
    return {
        "schema": SCHEMA,
        "workflow": workflow,
        "runs": list(run_ids),
        "suggestions": [_suggested(one) for one in found.singles],
        "pair": None if found.pair is None else _suggested(found.pair),
    }


def _suggested(one: Suggestion) -> dict[str, Any]:
    cost = one.prediction.cost
    return {
        "changes": list(one.texts),
        "why": one.why,
        "confidence": one.confidence,
        "median": _figure(one.prediction.median),
        "cost": None if cost is None else _figure(cost) | {"currency": one.prediction.currency},
    }


def score_document(scored: Scored | None, calibration: Sequence[Calibration]) -> dict[str, Any]:
    """Return what predictions came to as a JSON document, `spanwise.predict/1`."""
    return {
        "schema": SCHEMA,
        "scored": None
        if scored is None
        else {
            "id": scored.kept.id,
            "changes": list(scored.kept.changes),
            "predicted_s": scored.kept.after,
            "low_s": scored.kept.low,
            "high_s": scored.kept.high,
            "measured_s": scored.measured,
            "runs": scored.runs,
            "off": scored.off,
            "within": scored.is_within,
        },
        "calibration": calibration_document(calibration),
    }


def calibration_document(calibration: Sequence[Calibration]) -> list[dict[str, Any]]:
    """Return how good each kind of prediction has been."""
    return [
        {"kind": kind.kind, "measured": kind.scored, "off": kind.off, "within": kind.within} for kind in calibration
    ]


def _figure(figure: Figure) -> dict[str, float]:
    return {
        "before": figure.before,
        "after": figure.after,
        "saves": figure.saving,
        "low": figure.low,
        "high": figure.high,
    }
