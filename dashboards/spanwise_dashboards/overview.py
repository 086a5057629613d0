"""The overview dashboard: whether runs keep their budgets, and where their seconds go.

Rows go from the symptom to its causes: runs, work (agents, tokens, tools), model and cache, waits and faults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, GridPos

from spanwise_alerts.links import DASHBOARD_UID
from spanwise_dashboards import queries
from spanwise_dashboards.panels import HEIGHT, WIDTH, Panel
from spanwise_dashboards.variables import variables

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard

    from spanwise_alerts.budgets import Budgets

TITLE: Final = "spanwise: runs against their budgets"

_WINDOWED: Final = "Of the runs that ended within the chosen window before each point."


def dashboard(budgets: Budgets) -> Dashboard:
    """Return the dashboard as the SDK's model; its budget lines are those of `budgets`."""
    board: Any = (
        builder.Dashboard(TITLE)
        .uid(DASHBOARD_UID)
        .description("Made from the budgets by `spanwise dashboards build`; edit the budgets or the code, not this.")
        .tags(["spanwise"])
        .timezone("browser")
        .refresh("30s")
        .time("now-3h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .variables(variables(budgets.links.jaeger))
    )
    number, y = 1, 0
    for title, panels in _rows(budgets):
        board = board.with_row(builder.Row(title).id(number).grid_pos(GridPos(h=1, w=24, x=0, y=y)))
        number, y = number + 1, y + 1
        for index, panel in enumerate(panels):
            place = (index % 2 * WIDTH, y + index // 2 * HEIGHT)
            board = board.with_panel(panel.builder(number=number + index, x=place[0], y=place[1]))
        number, y = number + len(panels), y + (len(panels) + 1) // 2 * HEIGHT
    built: Dashboard = board.build()
    return built


def _rows(budgets: Budgets) -> tuple[tuple[str, tuple[Panel, ...]], ...]:
    return (
        ("Runs", _run_panels(budgets)),
        ("Work", _work_panels()),
        ("Model and cache", _model_panels(budgets)),
        ("Waits and faults", _wait_panels()),
    )


def _run_panels(budgets: Budgets) -> tuple[Panel, ...]:
    return (
        Panel(
            title="Duration p50 and p95 against the budget",
            description=f"{_WINDOWED} Seconds at speed 1. Dashed: the p95 that the budget allows. Quantiles are "
            "estimated within the bounds of a histogram; the alert counts where it can.",
            unit="s",
            queries=queries.durations(budgets),
            trace_links=True,
        ),
        Panel(
            title="Duration of runs",
            description="Runs by their seconds at speed 1. The dots are exemplars: each leads to one trace, where the "
            "data source says where Jaeger is.",
            unit="s",
            queries=queries.duration_cells(),
        ),
        Panel(
            title="Runs and failed runs",
            description=f"{_WINDOWED} Counted, not extrapolated.",
            unit="short",
            queries=queries.runs(),
            trace_links=True,
        ),
        Panel(
            title="Tokens a second against the budget",
            description=f"{_WINDOWED} Mean over runs of input and output tokens over the run's seconds. Dashed: the "
            "least that the budget asks for.",
            unit="suffix: tok/s",
            queries=queries.token_rate(budgets),
            trace_links=True,
        ),
    )


def _work_panels() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Agents by seconds",
            description=f"{_WINDOWED} Seconds in each agent, whether on the critical path or beside others.",
            unit="s",
            queries=queries.agent_seconds(),
            stacked=True,
        ),
        Panel(
            title="Tokens by type and agent",
            description=f"{_WINDOWED} Input tokens include cached ones.",
            unit="short",
            queries=queries.tokens(),
            stacked=True,
        ),
    )


def _model_panels(budgets: Budgets) -> tuple[Panel, ...]:
    return (
        Panel(
            title="Model call p95 and time to first chunk",
            description="Of the calls within the chosen window before each point. First chunk: streamed calls only.",
            unit="s",
            queries=queries.model_calls(),
        ),
        Panel(
            title="Cache hit rate against the budget",
            description="Hits and coalesced lookups over all that asked the cache. Dashed: the least that the budget "
            "asks for, all caches of the workflow together.",
            unit="percentunit",
            queries=queries.cache_hit_rate(budgets),
            highest=1,
        ),
    )


def _wait_panels() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Waits by kind",
            description="Seconds in recorded waits within the chosen window before each point. Waits of several steps "
            "at once add up to more than the run lasted.",
            unit="s",
            queries=queries.waits(),
            stacked=True,
        ),
        Panel(
            title="Retries and errors",
            description="Attempts that were tried again, and model calls that failed, within the chosen window.",
            unit="short",
            queries=queries.faults(),
        ),
        Panel(
            title="Tool seconds",
            description="Seconds in each tool within the chosen window before each point.",
            unit="s",
            queries=queries.tool_seconds(),
            stacked=True,
        ),
    )
