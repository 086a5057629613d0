"""`matching`: registrations to offers and incentives, in two phases; see docs/systems/matching.md."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise_pipeline import Claim, Folder, Outcome, Published, System, in_thread, load_presets
from spanwise_pipeline.systems.matching.flags import MatchingFlags
from spanwise_pipeline.systems.matching.matching import Matching
from spanwise_pipeline.systems.matching.programme import shipped
from spanwise_pipeline.systems.matching.rubric import answer_of, documents_in, grade_documents
from spanwise_pipeline.systems.matching.storage import CAPACITY, Files, writer_of

if TYPE_CHECKING:
    from spanwise_pipeline import SystemContext

_FOLDER: Final = Path(str(files("spanwise_pipeline.systems.matching")))


async def run(context: SystemContext, flags: MatchingFlags) -> Outcome:
    """Match the registrations once, in an empty folder that gets the capacity file first."""
    (context.folder / CAPACITY).write_text(json.dumps(shipped("capacity")), encoding="utf-8")
    models = context.model_client(pooled=flags.pooled_connections)
    try:
        async with writer_of(context.folder, context.clock, flags) as writer:
            kept = Files(context.folder, writer, context.clock, flags)
            registrations = await Matching(context, flags, kept, models).run()
    finally:
        await models.close()
    documents = await in_thread(documents_in, context.folder, registrations)
    graded = grade_documents(documents, registrations)
    report = {name: json.dumps(document, indent=1) for name, document in documents.items()}
    return Outcome(answer_of(documents, registrations), report, graded.grade, graded.score, graded.faults)


SYSTEM: Final = System(
    name="matching",
    title="Registrations to offers and incentives: a matcher and a critic in each of two phases",
    run=run,
    flags=MatchingFlags,
    presets=load_presets(_FOLDER / "presets.yaml", MatchingFlags),
    profile=_FOLDER / "profile.yaml",
    published={"baseline": Published(50.415), "baseline,registrations=5": Published(255.0)},
    targets=Published(duration_s=25.2),
    claims={
        "capacity_once": Claim(0.02, 0.03),
        "concurrent_loading": Claim(0.01, 0.02),
        "batch_writes": Claim(0.05, 0.10),
        "stop_at_json": Claim(0.05, 0.15),
        "skip_critic": Claim(0.15, 0.25),
        "constellation": Claim(0.30, 0.40),
    },
    needs=lambda _flags: (Folder(),),
)
