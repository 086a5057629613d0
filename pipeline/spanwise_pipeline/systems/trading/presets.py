"""The form of presets.yaml."""

from __future__ import annotations

from dataclasses import dataclass

from spanwise_pipeline.systems.trading.flags import TradingFlags  # noqa: TC001 - the loader resolves the hints


@dataclass(frozen=True, slots=True)
class Presets:
    """One set of flags for each preset."""

    baseline: TradingFlags
    published: TradingFlags
    optimized: TradingFlags
