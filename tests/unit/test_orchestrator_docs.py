"""The page of the orchestrator says what the switches, flags and plans really are."""

from __future__ import annotations

import re

from support.pages import ROOT, blocks

from spanwise.config import strict_yaml
from spanwise_pipeline.flags import flags_of
from spanwise_pipeline.systems.orchestrator import DATA, SYSTEM
from spanwise_pipeline.systems.orchestrator.performance import Performance, load_performance
from spanwise_pipeline.systems.orchestrator.planner import playbook
from spanwise_pipeline.systems.orchestrator.prompts import FOLDER
from spanwise_pipeline.systems.orchestrator.rubric import TEMPLATES

PAGE = (ROOT / "docs" / "systems" / "orchestrator.md").read_text(encoding="utf-8")


def test_the_page_shows_the_switches_that_ship() -> None:
    (shown,) = [text for language, text in blocks(PAGE) if language == "yaml"]
    shipped = (FOLDER / "performance.yaml").read_text(encoding="utf-8")

    assert shown == "".join(line for line in shipped.splitlines(keepends=True) if not line.startswith("#"))
    switches = strict_yaml.loads(
        "\n".join(line[2:] for line in shown.splitlines()[1:]), Performance, source="docs/systems/orchestrator.md"
    )
    assert switches.flags() == load_performance(FOLDER / "performance.yaml") == SYSTEM.presets["published"]


def test_the_page_explains_every_flag() -> None:
    table = PAGE.partition("\n## Flags\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]

    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(
        info.name for info in flags_of(SYSTEM.flags)
    )


def test_the_page_counts_right() -> None:
    documents = list((DATA / "documents").glob("*/*.txt"))

    assert sum(path.parent.name == "memory" for path in documents) == 4
    assert len(documents) - 4 == 16
    assert playbook().count('"id"') == 23
    assert len(TEMPLATES) == 16
    assert "sixteen short documents" in PAGE
    assert "four notes" in PAGE.replace("\n", " ")
    assert "the plan: 23 steps in JSON" in PAGE
    assert "16 sections" in PAGE


def test_the_how_to_shows_a_whole_system_in_under_fifty_lines() -> None:
    page = (ROOT / "docs" / "howto" / "own-system.md").read_text(encoding="utf-8")

    (program,) = [text for language, text in blocks(page) if language == "python"]
    assert len(program.splitlines()) < 50
