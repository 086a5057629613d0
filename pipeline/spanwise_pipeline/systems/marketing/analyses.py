"""The twelve analyses of the campaign data: what each adds up, and the figures that it makes of the sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise_pipeline.systems.marketing.columns import Sums

Figures = dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Analysis:
    """One tool."""

    name: str
    about: str
    by: str
    """Column that rows are grouped by."""
    sums: tuple[str, ...]
    """Columns that are added up."""
    figures: Callable[[Sums], Figures]


def _ratios(sums: Sums, above: str, below: str) -> dict[str, float]:
    return {name: row[above] / row[below] for name, row in sums.items()}


def _total(sums: Sums, column: str) -> int:
    return sum(row[column] for row in sums.values())


def _best(values: dict[str, float]) -> str:
    return max(values, key=lambda name: values[name])


def _returns(sums: Sums) -> dict[str, float]:
    return _ratios(sums, "revenue_cents", "spend_cents")


def channel_returns(sums: Sums) -> Figures:
    """Best and worst channel by revenue for each unit spent."""
    returns = _returns(sums)
    best, worst = _best(returns), min(returns, key=lambda name: returns[name])
    return {
        "best_channel": best, "best_return": returns[best], "worst_channel": worst, "worst_return": returns[worst],
    }  # fmt: skip


def channel_funnel(sums: Sums) -> Figures:
    """Clicks for each impression and conversions for each click."""
    clicks = _total(sums, "clicks")
    return {
        "click_rate": clicks / _total(sums, "impressions"), "conversion_rate": _total(sums, "conversions") / clicks,
    }  # fmt: skip


def device_mix(sums: Sums) -> Figures:
    """Device whose clicks convert best, and how much better than all."""
    rates = _ratios(sums, "conversions", "clicks")
    overall = _total(sums, "conversions") / _total(sums, "clicks")
    return {"best_device": _best(rates), "device_lift": max(rates.values()) / overall - 1}


def campaign_returns(sums: Sums) -> Figures:
    """Best campaign by revenue for each unit spent."""
    returns = _returns(sums)
    return {"top_campaign": _best(returns), "campaign_return": max(returns.values())}


def creative_wear(sums: Sums) -> Figures:
    """Share of clicks that creatives lose between their first and their last month."""
    rates = _ratios(sums, "clicks", "impressions")
    return {"wear": 1 - rates[max(rates)] / rates[min(rates)]}


def spend_focus(sums: Sums) -> Figures:
    """Share of the spending that the ten largest campaigns take."""
    largest = sorted((row["spend_cents"] for row in sums.values()), reverse=True)[:10]
    return {"focus": sum(largest) / _total(sums, "spend_cents")}


def segment_returns(sums: Sums) -> Figures:
    """Best segment by revenue for each unit spent."""
    returns = _returns(sums)
    return {"best_segment": _best(returns), "segment_return": max(returns.values())}


def customer_mix(sums: Sums) -> Figures:
    """Share of conversions by new customers."""
    return {"new_share": sums["new"]["conversions"] / _total(sums, "conversions")}


def order_value(sums: Sums) -> Figures:
    """Revenue of a conversion."""
    return {"order_value": _total(sums, "revenue_cents") / 100 / _total(sums, "conversions")}


def region_returns(sums: Sums) -> Figures:
    """Best region by revenue for each unit spent."""
    returns = _returns(sums)
    return {"best_region": _best(returns), "region_return": max(returns.values())}


def weekday_pattern(sums: Sums) -> Figures:
    """Weekday with the most conversions, and how many more than usual."""
    counts = {name: float(row["conversions"]) for name, row in sums.items()}
    return {
        "best_weekday": _best(counts),
        "weekday_lift": max(counts.values()) / (sum(counts.values()) / len(counts)) - 1,
    }


def monthly_trend(sums: Sums) -> Figures:
    """Growth of the revenue from the first month to the last."""
    return {"trend": sums[max(sums)]["revenue_cents"] / sums[min(sums)]["revenue_cents"] - 1}


_MONEY: Final = ("spend_cents", "revenue_cents")
_ALL: Final[tuple[tuple[str, tuple[str, ...], Callable[[Sums], Figures]], ...]] = (
    ("channel", _MONEY, channel_returns),
    ("channel", ("impressions", "clicks", "conversions"), channel_funnel),
    ("device", ("clicks", "conversions"), device_mix),
    ("campaign", _MONEY, campaign_returns),
    ("creative_age", ("impressions", "clicks"), creative_wear),
    ("campaign", ("spend_cents",), spend_focus),
    ("segment", _MONEY, segment_returns),
    ("customer", ("conversions",), customer_mix),
    ("customer", ("conversions", "revenue_cents"), order_value),
    ("region", _MONEY, region_returns),
    ("weekday", ("conversions",), weekday_pattern),
    ("month", ("revenue_cents",), monthly_trend),
)
ANALYSES: Final = {
    function.__name__: Analysis(function.__name__, function.__doc__ or "", by, sums, function)
    for by, sums, function in _ALL
}


def figures_of(analysis: Analysis, sums: Sums) -> dict[str, str]:
    """Return the figures of an analysis as they are printed: numbers with four decimals at most."""
    figures = analysis.figures(sums)
    return {name: value if isinstance(value, str) else f"{round(value, 4):g}" for name, value in figures.items()}


def printed(analysis: Analysis, sums: Sums, *, whole: bool) -> str:
    """Return an analysis's result as text: a heading and the figures, and for `whole` also the table behind them."""
    lines = [f"# {analysis.name}", *(f"{name} = {value}" for name, value in figures_of(analysis, sums).items())]
    if whole:
        lines.append(" | ".join([analysis.by, *analysis.sums]))
        lines += [" | ".join([name, *map(str, row.values())]) for name, row in sums.items()]
    return "\n".join(lines)
