"""`hedge_fund`: seventeen analysts and two managers on two shares; see docs/systems/hedge_fund.md."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise_pipeline import (
    Folder,
    Need,
    Outcome,
    Processes,
    Published,
    SharedStore,
    System,
    Threads,
    load_presets,
)
from spanwise_pipeline.systems.hedge_fund.flags import HedgeFundFlags
from spanwise_pipeline.systems.hedge_fund.fund import Fund
from spanwise_pipeline.systems.hedge_fund.rubric import decision_of, grade_texts
from spanwise_pipeline.systems.hedge_fund.window import Request, prepare

if TYPE_CHECKING:
    from spanwise_pipeline import SystemContext

_FOLDER: Final = Path(str(files("spanwise_pipeline.systems.hedge_fund")))
REQUEST: Final = Request(("AAPL", "MSFT"), "2013-03-01")
START_SECONDS: Final = 2.0
"""System seconds that starting the subprocess of an analysis takes."""


def needs(flags: HedgeFundFlags) -> tuple[Need, ...]:
    """Return what a run needs besides its models."""
    always = (Folder(), Threads("database", 5), SharedStore("fund"))
    if flags.direct_integration:
        return always
    return (*always, Processes("analysis", 1, reuse=False, start_seconds=START_SECONDS, modules=(prepare.__module__,)))


async def run(context: SystemContext, flags: HedgeFundFlags) -> Outcome:
    """Run the fund once, cold: its own data, caches and connections."""
    fund = Fund(context, flags)
    try:
        texts = await fund.decide(REQUEST)
    finally:
        await fund.close()
    graded = grade_texts(texts, REQUEST)
    return Outcome(decision_of(texts, REQUEST), texts, graded.grade, graded.score, graded.faults, fund.cache_use())


SYSTEM: Final = System(
    name="hedge_fund",
    title="Hedge fund: seventeen analysts, a risk and a portfolio manager on two shares",
    run=run,
    flags=HedgeFundFlags,
    presets=load_presets(_FOLDER / "presets.yaml", HedgeFundFlags),
    profile=_FOLDER / "profile.yaml",
    published={
        "baseline": Published(duration_s=35.0),
        "phase1": Published(duration_s=14.0),
        "phase2": Published(duration_s=10.5),
        "phase3": Published(duration_s=9.0),
        "phase4": Published(duration_s=7.0),
        "published": Published(duration_s=7.0),
    },
    targets=Published(duration_s=7.0),
    needs=needs,
)
