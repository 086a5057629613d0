"""What an alert is before links are added, and which workflows a set of budgets is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spanwise_alerts.promql import JOB, WORKFLOW, equals, none_of, selector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_alerts.budgets import Budgets, Watch, WorkflowBudgets
    from spanwise_alerts.recording import Recording

RUN: Final = f"{{{{ $labels.{WORKFLOW} }}}} ({{{{ $labels.{JOB} }}}})"
"""How texts name a workflow."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert rule before links are added."""

    name: str
    budget: str
    """The key of the budget in its file; a label, so that no two alerts are the same and each leads to its line."""
    expr: str
    watch: Watch
    summary: str
    description: str
    needs: tuple[Recording, ...]
    """The recording rules that it reads, each after those that it reads itself."""
    owner: str | None = None
    min_seconds: float | None = None
    """Real seconds that what is to blame took at least; None where any may be."""
    of: str = "invoke_workflow"
    """The operation of the spans that a search looks for."""
    subject: str = WORKFLOW
    """The label with the name of what they are spans of."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A set of budgets and the workflows that it is for."""

    path: str
    """Where the budgets stand in the file: `workflows.<name>` or `default`."""
    matchers: tuple[str, ...]
    budgets: WorkflowBudgets
    time_scale: float
    """System seconds in a real second of these workflows' runs."""
    owner: str | None = None

    def of(self, name: str, *more: str) -> str:
        """Return the series `name` of these workflows that also fit the matchers `more`."""
        return selector(name, (*self.matchers, *more))

    def real(self, seconds: float) -> float:
        """Return the real seconds in which these workflows get through `seconds` system seconds."""
        return seconds / self.time_scale


def scopes(budgets: Budgets) -> Iterator[Scope]:
    """Yield each set of budgets with the workflows that it is for."""
    for name, given in budgets.workflows.items():
        yield _scope(f"workflows.{name}", (equals(WORKFLOW, name),), given, budgets)
    if budgets.default is not None:
        # Work outside any workflow has no budget; without a name there is nothing to search for either.
        matchers = (f'{WORKFLOW}!=""', *none_of(WORKFLOW, tuple(budgets.workflows)))
        yield _scope("default", matchers, budgets.default, budgets)


def _scope(path: str, matchers: tuple[str, ...], given: WorkflowBudgets, file: Budgets) -> Scope:
    scale = file.time_scale if given.time_scale is None else given.time_scale
    return Scope(path=path, matchers=matchers, budgets=given, time_scale=scale, owner=given.owner or file.owner)
