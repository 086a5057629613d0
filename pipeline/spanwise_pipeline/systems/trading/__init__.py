"""`trading`: an equity research desk of thirteen agents; see docs/systems/trading.md."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise_pipeline import Outcome, Published, System, load_presets
from spanwise_pipeline.systems.trading.desk import REQUEST, Desk
from spanwise_pipeline.systems.trading.flags import TradingFlags
from spanwise_pipeline.systems.trading.rubric import decision_of, grade_report

if TYPE_CHECKING:
    from spanwise_pipeline import SystemContext

_FOLDER: Final = Path(str(files("spanwise_pipeline.systems.trading")))


async def run(context: SystemContext, flags: TradingFlags) -> Outcome:
    """Run the desk once, cold: its own data, caches and connections."""
    desk = Desk(context, flags)
    try:
        sections = await desk.run()
    finally:
        await desk.close()
    graded = grade_report(sections, REQUEST)
    return Outcome(decision_of(sections), sections, graded.grade, graded.score, graded.faults, desk.cache_use())


SYSTEM: Final = System(
    name="trading",
    title="Equity research desk: thirteen agents from a request to a decision",
    run=run,
    flags=TradingFlags,
    presets=load_presets(_FOLDER / "presets.yaml", TradingFlags),
    profile=_FOLDER / "profile.yaml",
    published={
        "baseline": Published(290.91, 43_457, 149.4, "A+"),
        "published": Published(157.86, 48_353, 306.3, "A+"),
    },
    targets=Published(duration_s=120.0, tokens=40_000, grade="A+"),
)
