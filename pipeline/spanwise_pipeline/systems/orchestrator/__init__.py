"""`orchestrator`: a planner and an executor over a user's documents; see docs/systems/orchestrator.md."""

from __future__ import annotations

import shutil
from functools import cache
from typing import TYPE_CHECKING, Final

from spanwise_pipeline import Claim, Folder, Outcome, Published, System, load_presets
from spanwise_pipeline.systems.orchestrator import orchestrator as parts
from spanwise_pipeline.systems.orchestrator.flags import OrchestratorFlags
from spanwise_pipeline.systems.orchestrator.orchestrator import TOOLS, Orchestrator
from spanwise_pipeline.systems.orchestrator.prompts import FOLDER
from spanwise_pipeline.systems.orchestrator.rubric import decision_of, grade_answer, required_facts

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise_pipeline import Need, SystemContext

DATA: Final = FOLDER / "data"


def request() -> str:
    """Return the request that a run answers."""
    return (DATA / "request.txt").read_text(encoding="utf-8")


def needs(flags: OrchestratorFlags) -> tuple[Need, ...]:
    """Return what a run needs besides its model."""
    return (Folder(), *parts.needs(flags))


async def run(context: SystemContext, flags: OrchestratorFlags) -> Outcome:
    """Run once, cold: on a copy of the shipped documents, with no index, empty caches and connections of its own."""
    shutil.copytree(DATA / "documents", context.folder, dirs_exist_ok=True)
    shutil.copytree(DATA / TOOLS, context.folder / TOOLS)
    orchestrator = Orchestrator(context, flags, context.folder)
    try:
        answer = await orchestrator.answer(request())
    finally:
        await orchestrator.close()
    graded = grade_answer(answer.sections, _required(DATA))
    faults = (*answer.faults, *graded.faults)
    return Outcome(
        decision_of(answer.sections), answer.sections, graded.grade, graded.score, faults, orchestrator.cache_use()
    )


@cache
def _required(data: Path) -> dict[str, dict[str, str]]:
    return required_facts(request(), data)


SYSTEM: Final = System(
    name="orchestrator",
    title="Planner and executor over a user's documents: from a question to a checked report",
    run=run,
    flags=OrchestratorFlags,
    presets=load_presets(FOLDER / "presets.yaml", OrchestratorFlags),
    profile=FOLDER / "profile.yaml",
    published={},
    targets=Published(grade="A+"),
    needs=needs,
    claims={
        "kept_connections": Claim(0.20, 0.40),
        "tool_catalogue_cache": Claim(0.10, 0.15),
        "embedding_batch": Claim(0.30, 0.50),
        "async_planner": Claim(0.15, 0.25),
        "max_parallel_steps": Claim(0.40, 0.60),
        "background_verification": Claim(0.10, 0.20),
    },
)
