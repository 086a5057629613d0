"""The choices at the top of a dashboard: data source, service, workflow, window and where Jaeger is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.models import common, dashboard

from spanwise_alerts.promql import JOB, WORKFLOW
from spanwise_dashboards.queries import label_values

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog import builder as cog

WINDOWS: Final = ("5m", "30m", "1h", "6h", "1d")
DEFAULT_WINDOW: Final = "30m"
"""The window of a budget that names none."""


def variables(jaeger: str) -> list[cog.Builder[dashboard.VariableModel]]:
    """Return all variables; `jaeger` is the base address that links into Jaeger begin with."""
    return [
        builder.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _label("job", "Service", label_values(JOB)),
        _label("workflow", "Workflow", label_values(WORKFLOW, f'{JOB}=~"$job"')),
        _window(),
        builder.TextBoxVariable("jaeger").label("Jaeger").default_value(jaeger).current(_option(jaeger)),
    ]


def _label(name: str, title: str, question: str) -> builder.QueryVariable:
    return (
        builder.QueryVariable(name)
        .label(title)
        .datasource(common.DataSourceRef(type_val="prometheus", uid="${datasource}"))
        .query(question)
        .definition(question)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _window() -> builder.IntervalVariable:
    options = [_option(window, selected=window == DEFAULT_WINDOW) for window in WINDOWS]
    variable = builder.IntervalVariable("window").label("Window").values(",".join(WINDOWS)).options(options)
    return variable.current(_option(DEFAULT_WINDOW, selected=True)).description("Figures are of the runs within it.")


def _option(value: str, *, selected: bool = True) -> dashboard.VariableOption:
    return dashboard.VariableOption(selected=selected, text=value, value=value)
