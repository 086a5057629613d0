"""The desk's data: real files, the remote part of their latency simulated, cached where the flag says so.

Every source is one file in `data/`; fetching it costs one remote round trip. The blocking fetch is what a plain
client library does; the asynchronous one overlaps.
"""

from __future__ import annotations

import csv
import functools
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline import Cache, fetch, in_thread
from spanwise_pipeline.systems.trading.indicators import Bar

if TYPE_CHECKING:
    from spanwise_pipeline import Clock
    from spanwise_pipeline.systems.trading.flags import TradingFlags

ROUND_TRIP: Final = 0.1
"""System seconds that a remote source takes to answer."""
CACHE_TTL: Final = 300.0
_CACHE_ENTRIES: Final = 256


@functools.cache
def read_source(name: str) -> Any:
    """Return a source's content: bars for `prices`, else the JSON document."""
    folder = files("spanwise_pipeline.systems.trading").joinpath("data")
    if name == "prices":
        lines = folder.joinpath("prices.csv").read_text(encoding="utf-8").splitlines()
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        return [
            Bar(row["date"], *(float(row[column]) for column in ("open", "high", "low", "close", "volume")))
            for row in rows
        ]
    return json.loads(folder.joinpath(f"{name}.json").read_text(encoding="utf-8"))


class MarketData:
    """Fetches sources for one desk."""

    def __init__(self, clock: Clock, flags: TradingFlags) -> None:
        self._clock = clock
        self._asynchronous = flags.async_fetch
        self.cache: Cache[Any] | None = None
        if flags.market_cache:
            self.cache = Cache("market_data", capacity=_CACHE_ENTRIES, ttl=CACHE_TTL, clock=clock)

    async def fetch(self, source: str, ticker: str) -> Any:
        """Return the content of `source` for `ticker`."""
        inputs = {"source": source, "ticker": ticker}

        async def load() -> Any:
            return await fetch(source, inputs, lambda: self._remote(source))

        return await load() if self.cache is None else await self.cache.get(inputs, load)

    async def _remote(self, source: str) -> Any:
        if self._asynchronous:
            await self._clock.sleep(ROUND_TRIP)
            return read_source(source)
        return await in_thread(self._blocking, source)

    def _blocking(self, source: str) -> Any:
        self._clock.sleep_in_thread(ROUND_TRIP)
        return read_source(source)
