"""`marketing`: a swarm of agents that analyses campaign data; see docs/systems/marketing.md."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise_pipeline import (
    Data,
    Folder,
    Need,
    Outcome,
    Published,
    SharedStore,
    System,
    Threads,
    expected_facts,
    facts_of,
    grade_sections,
    load_presets,
)
from spanwise_pipeline.systems.marketing import dataset, prompts
from spanwise_pipeline.systems.marketing.analyses import ANALYSES, figures_of
from spanwise_pipeline.systems.marketing.flags import MarketingFlags
from spanwise_pipeline.systems.marketing.prompts import Request
from spanwise_pipeline.systems.marketing.swarm import Swarm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise_pipeline import SystemContext

_FOLDER: Final = Path(str(files("spanwise_pipeline.systems.marketing")))
LEAST_WORDS: Final = 3
"""Words of explanation that a stated fact needs."""


def data_name() -> str:
    """Return the name of the data; other data have another one."""
    return f"campaigns-2-{dataset.ROWS}-{dataset.SEED}"


def needs(flags: MarketingFlags) -> tuple[Need, ...]:
    """What a run needs besides its model."""
    return (
        Data(data_name(), dataset.make), Folder(), SharedStore("results"), Threads("tools", flags.pool_size),
        Threads("database", 2),
    )  # fmt: skip


async def run(context: SystemContext, flags: MarketingFlags) -> Outcome:
    """Run the swarm once, cold: its own caches and connections."""
    data = context.data(data_name())
    swarm = Swarm(context, flags, data)
    context.on_close(swarm.close)
    request = Request()
    sections = await swarm.run(request)
    graded = grade_sections(sections, expected(data, request, flags), least_words=LEAST_WORDS)
    return Outcome(answer_of(sections), sections, graded.grade, graded.score, graded.faults, swarm.cache_use())


def expected(data: Path, request: Request, flags: MarketingFlags) -> dict[str, dict[str, str]]:
    """Return what the sections must state, by title and fact, worked out from what is true of the data."""
    figures = _figures(data / dataset.TRUTH, request.from_month, request.to_month)
    return expected_facts(prompts.tasks(focused=flags.focused_agents), {**request.facts(), **figures})


@functools.lru_cache(maxsize=128)
def _figures(truth: Path, first: int, last: int) -> dict[str, str]:
    found: dataset.Truth = json.loads(truth.read_text(encoding="utf-8"))
    figures: dict[str, str] = {}
    for analysis in ANALYSES.values():
        months = {value: _chosen(by_month, first, last) for value, by_month in sorted(found[analysis.by].items())}
        sums = {
            value: {name: sum(figures[name] for figures in chosen) for name in analysis.sums}
            for value, chosen in months.items()
            if chosen
        }
        figures |= figures_of(analysis, sums)
    return figures


def _chosen(by_month: Mapping[str, dict[str, int]], first: int, last: int) -> list[dict[str, int]]:
    return [figures for month, figures in by_month.items() if first <= int(month) <= last]


def answer_of(sections: Mapping[str, str]) -> dict[str, str]:
    """Return the decision and the facts that it rests on, as the sections state them."""
    stated: dict[str, str] = {}
    for text in sections.values():
        stated |= facts_of(text)
    return {name: stated[name] for name in sorted(prompts.ANSWER) if name in stated}


SYSTEM: Final = System(
    name="marketing",
    title="Marketing research swarm: agents that analyse campaign data with blocking tools",
    run=run,
    flags=MarketingFlags,
    presets=load_presets(_FOLDER / "presets.yaml", MarketingFlags),
    profile=_FOLDER / "profile.yaml",
    published={
        "blackboard": Published(143.06, 422, 3.0),
        "none": Published(108.72, 729, 6.7),
        "partial": Published(7.81, 596, 76.3),
    },
    targets=Published(duration_s=5.0, tokens_per_s=120.0),
    completion_tokens=True,
    aliases={"baseline": "blackboard", "published": "partial", "optimized": "full"},
    needs=needs,
)
