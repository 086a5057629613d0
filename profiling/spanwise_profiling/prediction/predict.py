"""From runs and changes to a prediction: each run is simulated, before and after; the runs together give the interval.

A run that the simulation does not give back to within 1 % without a change is left out, and if that is every run,
nothing is predicted. Runs are resampled in pairs, before with after, so that what varies from run to run cancels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spanwise.errors import InputError
from spanwise_profiling import prices
from spanwise_profiling.analysis.tree import tree_of
from spanwise_profiling.normalise import normalised
from spanwise_profiling.prediction.doubts import doubts_of, doubts_of_few, doubts_of_order
from spanwise_profiling.prediction.explaining import explanation_of
from spanwise_profiling.prediction.planning import Planner
from spanwise_profiling.prediction.result import Doubt, Figure, Matched, Prediction
from spanwise_profiling.prediction.selection import names_of
from spanwise_profiling.prediction.spending import Spending
from spanwise_profiling.simulation.edits import Edits
from spanwise_profiling.simulation.graph import graph_of, tolerance_of
from spanwise_profiling.simulation.inferred import is_faithful, limits_of
from spanwise_profiling.simulation.roles import known_from
from spanwise_profiling.simulation.simulate import StandstillError, simulate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanwise_profiling.prediction.changes import Change
    from spanwise_profiling.prediction.planning import Plan
    from spanwise_profiling.prices import Prices
    from spanwise_profiling.runs import Run
    from spanwise_profiling.simulation.edits import Slots
    from spanwise_profiling.simulation.graph import Graph
    from spanwise_profiling.simulation.simulate import Outcome

    Array = np.ndarray[Any, np.dtype[np.float64]]

_DRAWS: Final = 25
_SIMULATIONS: Final = 400
"""In all, where a change takes several draws."""
_RESAMPLED: Final = 2000
_FEWEST_FOR_TAIL: Final = 20
_TAIL: Final = 95


@dataclass(frozen=True, slots=True)
class _Known:
    """A run that can be predicted from."""

    run: Run
    graph: Graph
    bold: Graph
    found: Sequence[Slots]
    """Limits that its times show."""


@dataclass(frozen=True, slots=True)
class _Predicted:
    """What one run comes to; seconds for each draw."""

    before: float
    careful: Sequence[float]
    bold: Sequence[float]
    plan: Plan
    """Of the first draw, with the careful graph."""
    outcome: Outcome
    doubts: tuple[Doubt, ...]
    costs: tuple[float, float] | None
    tokens: tuple[float, float]


class Recorded:
    """Runs of one program, made ready to be simulated any number of times.

    Args:
        runs: as they were read.
        table: what tokens cost; the table that spanwise comes with where there is none.

    Raises:
        InputError: there is no run, they are of several workflows, or none can be predicted from.
    """

    def __init__(self, runs: Sequence[Run], table: Prices | None = None) -> None:
        workflows = sorted({run.workflow for run in runs})
        if len(workflows) != 1:
            named = ", ".join(workflows) if workflows else "none at all"
            raise InputError(
                f"runs of one workflow are predicted from, and these are of {named}; select with workflow="
            )
        self.workflow = workflows[0]
        self.left_out: list[str] = []
        self._table = prices.load() if table is None else table
        sound = [normalised(run) for run in runs]
        whole = [run for run in sound if run.error is None and run.state == "ended" and run.duration_ns]
        if len(whole) < len(sound):
            self.left_out.append(f"{len(sound) - len(whole)} of {len(sound)} runs failed or have not ended")
        trees = [tree_of(run) for run in whole]
        tolerance = tolerance_of(time for tree in trees for time in (*tree.starts, *tree.ends))
        known = known_from(trees, tolerance)
        self._known: list[_Known] = []
        for run in whole:
            graph = graph_of(run, known)
            if is_faithful(graph, Edits()):
                found = [slots for slots in limits_of(graph) if is_faithful(graph, _limited([slots]))]
                self._known.append(_Known(run, graph, graph_of(run, known, bold=True), found))
        if len(self._known) < len(whole):
            self.left_out.append(
                f"{len(whole) - len(self._known)} of {len(whole)} runs do not come out as recorded without a change"
            )
        if not self._known:
            raise InputError(f"nothing can be predicted from these runs: {'; '.join(self.left_out)}; give other runs")

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Ids of the runs that count."""
        return tuple(known.run.run_id for known in self._known)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs that count, repaired."""
        return tuple(known.run for known in self._known)

    @property
    def middle(self) -> Run:
        """The run whose duration is in the middle."""
        return sorted(self.runs, key=lambda run: run.duration_ns)[(len(self._known) - 1) // 2]

    @property
    def seconds(self) -> float:
        """Median duration of the runs that count."""
        return median(known.run.scaled(known.graph.times[1] - known.graph.times[0]) for known in self._known)

    def predict(self, changes: Sequence[Change]) -> Prediction:
        """Return what `changes`, made together, would come to.

        Raises:
            InputError: a change matches nothing, cannot be predicted from what is recorded, or contradicts another.
        """
        if not changes:
            raise InputError("nothing to predict; give a change, such as --change 'cache market_data at 80 %'")
        planner = Planner(changes, [known.graph for known in self._known])
        draws = min(_DRAWS, max(1, _SIMULATIONS // len(self._known))) if planner.is_random else 1
        each = [self._predicted(number, changes, planner, draws) for number in range(len(self._known))]
        readings = (
            median(float(np.mean(one.careful)) for one in each),
            median(float(np.mean(one.bold)) for one in each),
        )
        doubts = _once(
            [doubt for one in each for doubt in one.doubts], doubts_of_order(*readings), doubts_of_few(len(each))
        )
        before = np.array([[one.before] * draws for one in each])
        careful = np.stack([before, np.array([one.careful for one in each])])
        bold = np.stack([before, np.array([one.bold for one in each])])
        widens = any(doubt.widens for doubt in doubts)
        middle = sorted(range(len(each)), key=lambda number: float(np.mean(each[number].careful)))[(len(each) - 1) // 2]
        return Prediction(
            workflow=self.workflow,
            changes=tuple(self._matched(place, change, planner) for place, change in enumerate(changes)),
            run_ids=self.run_ids,
            left_out=tuple(self.left_out),
            median=_figure(careful, bold, 50, widens=widens),
            p95=_figure(careful, bold, _TAIL, widens=widens) if len(each) >= _FEWEST_FOR_TAIL else None,
            cost=_cost([one.costs for one in each]),
            currency=self._table.currency,
            tokens=(median(one.tokens[0] for one in each), median(one.tokens[1] for one in each)),
            doubts=doubts,
            explanation=explanation_of(self._known[middle].run, each[middle].plan, each[middle].outcome),
        )

    def _predicted(self, number: int, changes: Sequence[Change], planner: Planner, draws: int) -> _Predicted:
        """Return what one run comes to."""
        known = self._known[number]

        def simulated(graph: Graph, draw: int) -> tuple[Plan, Outcome]:
            plan = planner.plan(number, graph, known.run.scale, known.found, draw)
            return plan, _simulated(plan, changes)

        careful = [simulated(known.graph, draw) for draw in range(draws)]
        bold = [simulated(known.bold, draw) for draw in range(draws)]
        plan, outcome = careful[0]
        spending = Spending(known.run, self._table)
        return _Predicted(
            before=known.run.scaled(known.graph.times[1] - known.graph.times[0]),
            careful=[known.run.scaled(one.duration_ns) for _, one in careful],
            bold=[known.run.scaled(one.duration_ns) for _, one in bold],
            plan=plan,
            outcome=outcome,
            doubts=tuple(doubts_of(known.run, plan, outcome, changes)),
            costs=spending.costs(plan, outcome),
            tokens=spending.tokens(plan, outcome),
        )

    def _matched(self, place: int, change: Change, planner: Planner) -> Matched:
        names: Counter[str] = Counter()
        counts = [len(nodes[place]) for nodes in planner.matched]
        for known, nodes in zip(self._known, planner.matched, strict=True):
            names.update(names_of(known.graph.tree, node)[0] for node in nodes[place])
        return Matched(change.text, change.kind, sum(counts), sum(map(bool, counts)), tuple(names.most_common()))


def predict(runs: Sequence[Run], changes: Sequence[Change], table: Prices | None = None) -> Prediction:
    """Return what `changes`, made together, would have come to in `runs` of one program.

    Args:
        runs: as they were read.
        changes: of `language.change_of`, or made by hand.
        table: what tokens cost; the table that spanwise comes with where there is none.

    Raises:
        InputError: nothing can be predicted from the runs, or a change cannot be made in them.
    """
    return Recorded(runs, table).predict(changes)


def _simulated(plan: Plan, changes: Sequence[Change]) -> Outcome:
    try:
        return simulate(plan.graph, plan.edits)
    except StandstillError:
        caps = [change.text for change in changes if change.kind == "cap"]
        raise InputError(
            f"{'; '.join(caps)}: the run would stand still, because spans that hold a place wait for others that need "
            "one; limit the inner spans only"
        ) from None


def _limited(found: Iterable[Slots]) -> Edits:
    edits = Edits(slots=list(found))
    edits.together.extend([[node] for node in slots.members] for slots in edits.slots)
    return edits


def _once(*doubts: Iterable[Doubt]) -> tuple[Doubt, ...]:
    """Return one doubt of each name and change."""
    found: dict[tuple[str, str], Doubt] = {}
    for doubt in chain(*doubts):
        found.setdefault((doubt.id, doubt.text.partition(":")[0] if ":" in doubt.text else ""), doubt)
    return tuple(found.values())


def _figure(careful: Array, bold: Array, percentile: float, *, widens: bool) -> Figure:
    """Return the percentile over runs before and after, and what it may be.

    Args:
        careful: shape (before and after, runs, draws).
        bold: likewise, of the bold reading of what waited for what.
        percentile: 50 for the median.
        widens: whether a doubt lets the interval reach to no saving.
    """
    before = float(np.percentile(careful[0, :, 0], percentile))
    after = float(np.percentile(np.mean(careful[1], axis=1), percentile))
    ends = [value for side in (careful, bold) for value in _resampled(side, percentile, before, after)]
    ends += [before] if widens else []
    return Figure(before, after, min(*ends, after), max(*ends, after))


def _resampled(values: Array, percentile: float, before: float, after: float) -> tuple[float, float]:
    """Return the 95 % interval of the figure after, by resampling runs in pairs; of one run and draw, its value.

    What is resampled is the difference, so that the interval says how sure the change is and not how runs vary.
    """
    _, runs, draws = values.shape
    shift = float(np.percentile(np.mean(values[1], axis=1), percentile)) - after
    if runs == 1 and draws == 1:
        return after + shift, after + shift
    chance = np.random.default_rng(1)
    chosen = chance.integers(runs, size=(_RESAMPLED, runs))
    drawn = chance.integers(draws, size=(_RESAMPLED, runs))
    earlier = np.percentile(values[0, chosen, 0], percentile, axis=1)
    later = np.percentile(values[1, chosen, drawn], percentile, axis=1)
    low, high = np.percentile(later - earlier, [2.5, 97.5])
    return before + float(low), before + float(high)


def _cost(costs: Sequence[tuple[float, float] | None]) -> Figure | None:
    known = [both for both in costs if both is not None]
    if not known or len(known) < len(costs):
        return None
    before, after = (np.asarray(column, float) for column in zip(*known, strict=True))
    values = np.stack([before[:, None], after[:, None]])
    return _figure(values, values, 50, widens=False)
