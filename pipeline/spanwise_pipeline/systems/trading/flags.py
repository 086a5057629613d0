"""Every optimisation of the desk is one switch; presets (presets.yaml) are sets of switches and nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TradingFlags:
    """What is switched on."""

    parallel_analysts: bool = False
    """Analysts run concurrently, each on the dispatcher's whole brief (off: one after another, handing facts on)."""
    batch_tools: bool = False
    """The tools of an agent run as one concurrent batch."""
    market_cache: bool = False
    """Market data is cached: least recently used, five minutes to live."""
    async_fetch: bool = False
    """Market data and indicator settings are fetched together, without a thread."""
    compress_prompts: bool = False
    """Agents hand on the facts of a text in place of the text."""
    concise_prompts: bool = False
    """Agents are asked for fewer words."""
    cached_reports: bool = False
    """Analysts' reports are cached by what they were made from."""
    concurrent_debate: bool = False
    """Bull and bear speak at the same time in each round."""
    concurrent_risk: bool = False
    """The three risk views are given at the same time."""
    concurrent_aggregation: bool = False
    """Tool results are checked as they come in place of one after another at the end."""
    pooled_connections: bool = False
    """Connections to the model's provider are kept between calls."""
