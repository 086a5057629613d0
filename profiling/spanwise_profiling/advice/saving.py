"""What a finding's change would save: the run, simulated with it; rules speak of spans, the simulation of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanwise_profiling.simulation.edits import Edits
from spanwise_profiling.simulation.simulate import simulate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.advice.view import View


def saving_of(
    view: View,
    *,
    cuts: Mapping[str, int] | None = None,
    together: Sequence[Sequence[SpanRecord]] = (),
    after: Mapping[str, Sequence[str]] | None = None,
) -> int:
    """Return the nanoseconds by which the run would have ended earlier, at least 0.

    Args:
        view: of the run.
        cuts: span id to nanoseconds that it takes less.
        together: spans of one parent that begin when the first of them does.
        after: span id to the spans that it begins after, in place of all that had ended.
    """
    numbers = view.graph.tree.numbers
    edits = Edits(
        cuts={numbers[span_id]: cut for span_id, cut in (cuts or {}).items() if span_id in numbers},
        together=[[[numbers[span.span_id]] for span in group] for group in together],
        after={numbers[one]: [numbers[other] for other in needed] for one, needed in (after or {}).items()},
    )
    if not edits:
        return 0
    return max(0, view.run.duration_ns - simulate(view.graph, edits).duration_ns)
