"""Alerts of objectives: how fast the runs that may go wrong in a period are being used up.

An objective of 99 % in 30 days lets one run in a hundred go wrong. The alerts compare the share that went wrong in two
windows with the rate that would use up a given part of that in the longer one: 2 % in an hour or 5 % in six hours is
for a person at once, 10 % in a day or in three days for the next working day. The shorter window ends an alert soon
after the cause (Site Reliability Workbook, chapter 5, "Alerting on SLOs").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from spanwise_alerts import recording
from spanwise_alerts.alert import RUN, Alert, Scope
from spanwise_alerts.promql import JOB, WORKFLOW, equals, number
from spanwise_alerts.watches import Severity, Watch, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_alerts.budgets import Objective

_DAY: Final = 86_400


class Burn(NamedTuple):
    """How much of what may go wrong may be used up within a window."""

    window: str
    short: str
    """A window of a twelfth, which has to burn as fast: it ends the alert soon after the cause."""
    part: float


class Speed(NamedTuple):
    """An alert: its name, how loud it is, and what sets it off."""

    alert: str
    severity: Severity
    pending_for: str
    burns: tuple[Burn, ...]
    summary: str


SPEEDS: Final = (
    Speed(
        "SpanwiseObjectiveBurnsFast", "page", "2m", (Burn("1h", "5m", 0.02), Burn("6h", "30m", 0.05)),
        "So many runs go wrong that the objective will be missed within days.",
    ),
    Speed(
        "SpanwiseObjectiveBurnsSlowly", "ticket", "15m", (Burn("1d", "2h", 0.1), Burn("3d", "6h", 0.1)),
        "More runs go wrong than the objective allows.",
    ),
)  # fmt: skip


def objective_alerts(scope: Scope) -> Iterator[Alert]:
    """Yield the alerts of the objectives of `scope`."""
    for name, objective in scope.budgets.objectives.items():
        for speed in SPEEDS:
            # A burn that not even a failure of every run reaches can never be seen.
            seen = [burn for burn in speed.burns if _days_left(burn) > _least_days(objective)]
            if seen:
                yield _alert(scope, name, objective, speed, seen)


def _alert(scope: Scope, name: str, objective: Objective, speed: Speed, burns: list[Burn]) -> Alert:
    key = f"{scope.path}.objectives.{name}"
    conditions = [_condition(scope, key, objective, burn) for burn in burns]
    within = "" if objective.within is None else f" within {number(objective.within)} s"
    return Alert(
        name=speed.alert,
        budget=key,
        expr="\nor\n".join(conditions),
        watch=Watch(pending_for=speed.pending_for, severity=speed.severity, window=burns[-1].window),
        owner=objective.owner,
        summary=speed.summary,
        description=f"At the present rate, what may go wrong for {RUN} in {objective.period} is used up in "
        f'{{{{ $value | printf "%.2g" }}}} days. The objective is {number(round(objective.target * 100, 6))}% of runs '
        f"without an error{within}.",
        needs=tuple(
            needed
            for burn in burns
            for window in (burn.short, burn.window)
            for needed in recording.objective_recordings(window, scope.matchers, objective.within, key)
        ),
        min_seconds=None if objective.within is None else scope.real(objective.within),
    )


def _condition(scope: Scope, key: str, objective: Objective, burn: Burn) -> str:
    """Return when a burn is too fast; the value is in how many days everything is used up."""
    days = number(round((1 - objective.target) * seconds_of(objective.period) / _DAY, 6))
    left = number(_days_left(burn))
    matcher = equals("objective", key)
    long, short = (scope.of(recording.missed(window), matcher) for window in (burn.window, burn.short))
    traffic = f"and on ({JOB}, {WORKFLOW}) {scope.of(recording.runs(burn.window).record)} >= {objective.min_runs}"
    return f"({days} / {long} < {left}\nand {days} / {short} < {left}\n{traffic})"


def _days_left(burn: Burn) -> float:
    """Return in how many days everything is used up, if `burn.part` of it goes within the window."""
    return round(seconds_of(burn.window) / burn.part / _DAY, 6)


def _least_days(objective: Objective) -> float:
    """Return in how many days everything is used up where every run goes wrong."""
    return (1 - objective.target) * seconds_of(objective.period) / _DAY
