"""Every optimisation of the desk is one switch; presets (presets.yaml) are sets of switches and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from spanwise_pipeline import Flags, flag


@dataclass(frozen=True, slots=True)
class TradingFlags(Flags):
    """What is switched on."""

    parallel_analysts: bool = flag(
        "Analysts run concurrently, each on the dispatcher's whole brief (off: one after another, handing facts on).",
        default=False,
    )
    batch_tools: bool = flag("The tools of an agent run as one concurrent batch.", default=False)
    market_cache: bool = flag("Market data is cached: least recently used, five minutes to live.", default=False)
    async_fetch: bool = flag(
        "Market data and indicator settings are fetched together, without a thread.", default=False
    )
    compress_prompts: bool = flag("Agents hand on the facts of a text in place of the text.", default=False)
    concise_prompts: bool = flag("Agents are asked for fewer words.", default=False)
    cached_reports: bool = flag("Analysts' reports are cached by what they were made from.", default=False)
    concurrent_debate: bool = flag(
        "Bull and bear speak at the same time in each round.",
        default=False,
        leaves_out=frozenset({("bear_opening", "## Bull case"), ("bear_rebuttal", "## Bull rebuttal")}),
    )
    concurrent_risk: bool = flag(
        "The three risk views are given at the same time.",
        default=False,
        leaves_out=frozenset(
            {
                ("conservative_view", "## Aggressive view"),
                ("neutral_view", "## Aggressive view"),
                ("neutral_view", "## Conservative view"),
            }
        ),
    )
    concurrent_aggregation: bool = flag(
        "Tool results are checked as they come in place of one after another at the end.", default=False
    )
    pooled_connections: bool = flag("Connections to the model's provider are kept between calls.", default=False)
