"""What a run spends, before and after: calls that are left out cost nothing, and shorter answers less."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanwise_profiling.usage import usage_of

if TYPE_CHECKING:
    from spanwise_profiling.prediction.planning import Plan
    from spanwise_profiling.prices import Prices
    from spanwise_profiling.runs import Run
    from spanwise_profiling.simulation.simulate import Outcome
    from spanwise_profiling.usage import CallUsage


class Spending:
    """The model calls of one run and their prices."""

    def __init__(self, run: Run, table: Prices) -> None:
        self._calls = usage_of(run, table).calls
        self._run, self._table = run, table

    def tokens(self, plan: Plan, outcome: Outcome) -> tuple[float, float]:
        """Return the tokens of the run, before and after."""
        before = float(sum(call.input_tokens + call.output_tokens for call in self._calls))
        after = 0.0
        for call in self._calls:
            node = plan.graph.tree.numbers[call.span_id]
            if node not in outcome.skipped:
                after += sum(_tokens(call, node, plan))
        return before, after

    def costs(self, plan: Plan, outcome: Outcome) -> tuple[float, float] | None:
        """Return the cost of the run, before and after; None where it is not known, or the run calls no model."""
        if not self._calls:
            return None
        before = after = 0.0
        for call in self._calls:
            changed = self._after(call, plan, outcome)
            if call.cost is None or changed is None:
                return None
            before, after = before + call.cost, after + changed
        return before, after

    def _after(self, call: CallUsage, plan: Plan, outcome: Outcome) -> float | None:
        node = plan.graph.tree.numbers[call.span_id]
        if node in outcome.skipped:
            return 0.0
        if node in plan.cheaper:
            return None if call.cost is None else call.cost * plan.cheaper[node]
        given, made = _tokens(call, node, plan)
        if node in plan.prices:
            price_given, price_made = plan.prices[node]
            return given * price_given + made * price_made
        if (given, made) == (call.input_tokens, call.output_tokens) or call.cost is None:
            return call.cost
        price = self._table.of(call.model, plan.graph.tree.spans[node].start_ns)
        if price is None:
            return None
        # Tokens that the provider had in its prompt cache stay the same share of the input.
        of_input = call.cost - call.output_tokens * price.output
        share = given / call.input_tokens if call.input_tokens else 1.0
        return of_input * share + made * price.output


def _tokens(call: CallUsage, node: int, plan: Plan) -> tuple[float, float]:
    """Return the input and output tokens of a call with the changes."""
    return plan.input_tokens.get(node, call.input_tokens), plan.output_tokens.get(node, call.output_tokens)
