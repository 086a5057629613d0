"""The swarm's tools: blocking functions in a named pool of threads, over one data file, their results cached.

Only the remote part of their time is simulated: what the store takes to deliver columns, and to add them up. Their own
reading and adding counts towards it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spanwise.errors import InputError
from spanwise_pipeline import Cache, CacheUse, Tool, Toolbox, fetch, file_hash
from spanwise_pipeline.systems.marketing.analyses import ANALYSES, Analysis, printed
from spanwise_pipeline.systems.marketing.columns import Sums, sums_by

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise_pipeline import SystemContext
    from spanwise_pipeline.systems.marketing.flags import MarketingFlags

ALL_COLUMNS_S: Final = 5.98
"""System seconds in which the remote store delivers the whole file."""
NEEDED_COLUMNS_S: Final = 1.05
"""The same for the columns that one tool needs."""
ADDING_UP_S: Final = 0.7
"""System seconds that the store takes to add up the rows."""
CHUNKS: Final = 7
"""In so many chunks all but the last one are added up while the next one comes."""
CACHE_TTL: Final = 3600.0
_PARAMETERS: Final = {
    "type": "object",
    "properties": {
        "from_month": {"type": "integer", "description": "First month."},
        "to_month": {"type": "integer", "description": "Last month."},
    },
    "required": ["from_month", "to_month"],
}


class CampaignTools:
    """The tools over the data file `file`."""

    def __init__(self, context: SystemContext, flags: MarketingFlags, file: Path) -> None:
        self._flags = flags
        self._clock = context.clock
        self._threads = context.pool("tools")
        self._file = file
        self._hash = file_hash(file)
        self._cache: Cache[Sums] | None = None
        if flags.result_cache:
            store = context.store("results")
            self._cache = Cache("results", capacity=1024, ttl=CACHE_TTL, clock=context.clock, store=store)
        self.box = Toolbox(
            Tool(analysis.name, analysis.about, _PARAMETERS, self._tool(analysis)) for analysis in ANALYSES.values()
        )

    def cache_use(self) -> CacheUse:
        """Return how often the cache was asked and spared running a tool."""
        if self._cache is None:
            return CacheUse()
        reading = self._cache.statistics()
        return CacheUse(reading.hits + reading.coalesced + reading.misses, reading.hits + reading.coalesced)

    def _tool(self, analysis: Analysis) -> Any:
        async def analyse(from_month: int, to_month: int) -> str:
            months = (from_month, to_month)
            inputs = {"analysis": analysis.name, "months": months, "file": self._hash}

            async def load() -> Sums:
                return await fetch("campaigns", inputs, lambda: self._threads.run(self._added_up, analysis, months))

            sums = await load() if self._cache is None else await self._cache.get(inputs, load)
            return printed(analysis, sums, whole=not self._flags.structured_results)

        return analyse

    def _added_up(self, analysis: Analysis, months: tuple[int, int]) -> Sums:
        """Read the file and add up; blocks.

        Raises:
            InputError: the file changed since the run began.
        """
        flags = self._flags
        seconds = NEEDED_COLUMNS_S if flags.needed_columns else ALL_COLUMNS_S
        seconds += ADDING_UP_S / CHUNKS if flags.chunked_reading else ADDING_UP_S
        with self._clock.at_least_in_thread(seconds):
            try:
                return sums_by(
                    self._file, analysis.by, analysis.sums,
                    months=months, chunked=flags.chunked_reading, needed_only=flags.needed_columns,
                )  # fmt: skip
            finally:
                self._check_unchanged()

    def _check_unchanged(self) -> None:
        if file_hash(self._file) != self._hash:
            raise InputError(f"{self._file}: it changed during the run, and results would not agree; run again")
