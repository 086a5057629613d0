"""The style that all panels share, so that a panel's own code says only what differs.

The SDK's builders leave a panel without id and place it wrongly after a row that is not filled; ids and places are
therefore given by the dashboard, which knows all panels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import heatmap, prometheus, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from spanwise.conventions import WORKFLOW_NAME, label_of
from spanwise_alerts.promql import JOB
from spanwise_dashboards.queries import BUDGET, Query

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog import builder as cog
    from grafana_foundation_sdk.cog.variants import Dataquery

DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT: Final = 8
WIDTH: Final = 12
"""Two panels a row; 24 is the whole width."""

_LEAST_STEP: Final = "1m"
# A heatmap's cell is one step wide; under a scrape interval cells would be empty.


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel: what it is called, what it asks and how its values read."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    stacked: bool = False
    highest: float | None = None
    trace_links: bool = False
    """Whether a point leads to a search for its runs in Jaeger; its series need job and workflow as labels."""

    def builder(self, *, number: int, x: int, y: int) -> cog.Builder[dashboard.Panel]:
        """Return the SDK's builder of this panel, with its id and place."""
        place = dashboard.GridPos(h=HEIGHT, w=WIDTH, x=x, y=y)
        if any(query.heatmap for query in self.queries):
            return self._heatmap().id(number).grid_pos(place)
        return self._timeseries().id(number).grid_pos(place)

    def _timeseries(self) -> timeseries.Panel:
        panel = (
            timeseries.Panel()
            .title(self.title)
            .description(self.description)
            .datasource(DATASOURCE)
            .unit(self.unit)
            .min(0)
            .targets([_target(query) for query in self.queries])
            .legend(_legend())
            .tooltip(common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
            .override_by_query(BUDGET, _budget_style())
        )
        if self.stacked:
            panel = panel.stacking(common_builder.StackingConfig().mode(common.StackingMode.NORMAL)).fill_opacity(30)
        if self.highest is not None:
            panel = panel.max(self.highest)
        return panel.data_links([_trace_link()]) if self.trace_links else panel

    def _heatmap(self) -> heatmap.Panel:
        return (
            heatmap.Panel()
            .title(self.title)
            .description(self.description)
            .datasource(DATASOURCE)
            .interval(_LEAST_STEP)
            .targets([_target(query) for query in self.queries])
            .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
            .y_axis(heatmap.YAxisConfig().unit(self.unit))
            .exemplars_color("rgba(86, 166, 75, 0.9)")
            .show_legend()
        )


def _target(query: Query) -> cog.Builder[Dataquery]:
    kind = PromQueryFormat.HEATMAP if query.heatmap else PromQueryFormat.TIME_SERIES
    target = prometheus.Dataquery().ref_id(query.ref).expr(query.expr).legend_format(query.legend)
    return target.range().format(kind).exemplar(query.exemplars).datasource(DATASOURCE)


def _legend() -> cog.Builder[common.VizLegendOptions]:
    legend = common_builder.VizLegendOptions().show_legend(show_legend=True).calcs(["lastNotNull", "max"])
    return legend.display_mode(common.LegendDisplayMode.TABLE).placement(common.LegendPlacement.BOTTOM)


def _budget_style() -> list[dashboard.DynamicConfigValue]:
    style = {
        "color": {"mode": "fixed", "fixedColor": "red"},
        "custom.lineStyle": {"fill": "dash", "dash": [8, 6]},
        "custom.fillOpacity": 0,
        "custom.stacking": {"mode": "none"},
    }
    return [dashboard.DynamicConfigValue(id_val=name, value=value) for name, value in style.items()]


def _trace_link() -> cog.Builder[dashboard.DashboardLink]:
    service = f"${{__field.labels.{JOB}}}"
    operation = f"invoke_workflow%20${{__field.labels.{label_of(WORKFLOW_NAME)}}}"
    span = "start=${__from}000&end=${__to}000"  # Jaeger takes microseconds
    url = f"${{jaeger:raw}}/search?service={service}&operation={operation}&{span}&limit=20"
    return dashboard_builder.DashboardLink("Search these runs in Jaeger").url(url).target_blank(target_blank=True)
