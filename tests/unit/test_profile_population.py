"""Several runs of one workflow are also told as one."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
import typer
from rich.cells import cell_len
from rich.console import Console
from support.profiles import SEQUENTIAL, desk_profile, desk_spans
from support.traces import record, workflow
from typer.testing import CliRunner

from spanwise_cli.commands import profile as profile_command
from spanwise_profiling.populations import population_of
from spanwise_profiling.render.glyphs import ASCII, UNICODE
from spanwise_profiling.render.population import (
    CommonFinding,
    common_findings,
    markdown_population,
    plain_population,
    population_document,
    population_report,
)
from spanwise_profiling.slow_runs import Difference

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise_profiling.populations import Population
    from spanwise_profiling.profile import Finding, Profile
    from spanwise_profiling.render.glyphs import Glyphs

LATER = replace(SEQUENTIAL, saves_ns=400_000_000, title="bull waited twice")
OTHER = replace(SEQUENTIAL, id="low-limit", saves_ns=1_000_000_000, title="a limit of 1")


def four() -> list[Profile]:
    findings: list[list[Finding]] = [[SEQUENTIAL, LATER], [LATER, OTHER], [], []]
    return [desk_profile(found, run_id=f"run-{number}") for number, found in enumerate(findings)]


def printed(population: Population, profiles: list[Profile], glyphs: Glyphs = UNICODE) -> str:
    stream = StringIO()
    out = Console(file=stream, width=80, color_system=None, highlight=False)
    for part in population_report(population, profiles, 80, glyphs=glyphs):
        out.print(part, soft_wrap=True)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def printed_by(*arguments: str | Path) -> str:
    app = typer.Typer()
    profile_command.register(app)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})
    if result.exception is not None:
        raise result.exception
    return result.stdout


def journal(folder: Path, runs: int) -> list[str]:
    """Record runs and return their ids."""
    ids = [f"{number}run" for number in range(runs)]
    for number, run_id in enumerate(ids, start=1):
        record(folder, *desk_spans(run_id=run_id, trace=number), file=run_id)
    return ids


def test_a_rule_counts_once_a_run_with_what_it_could_save_at_most() -> None:
    assert common_findings(four()) == [
        CommonFinding("sequential-calls", 0.5, (38 + 8) / 4, SEQUENTIAL.title),
        CommonFinding("low-limit", 0.25, 5.0, "a limit of 1"),
    ]


def test_runs_are_told_as_one_in_every_form() -> None:
    profiles = four()
    population = population_of(profiles)
    for report in (
        printed(population, profiles).replace("\n  ", " "),
        plain_population(population, profiles),
        markdown_population(population, profiles),
    ):
        assert "4 runs as one" in report
        assert "median 120.0 s" in report
        assert "100 % of the runs (4), median 120.0 s: " in report.replace("\\", "")
        assert "sequential-calls: in 50 % of the runs, saves 11.50 s in the mean; for example: Let bull work" in report
        assert "Too few runs to say: it takes 20." in report
    assert "\nbull  " in printed(population, profiles)
    assert "- bull: in 100 % of the runs; on the path 78.00 s in the median" in plain_population(population, profiles)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_line_is_wider_than_the_terminal(glyphs: Glyphs) -> None:
    profiles = four()
    report = printed(population_of(profiles), profiles, glyphs)
    assert max(map(cell_len, report.splitlines())) <= 80
    assert report.isascii() == glyphs.ascii_only


def test_what_sets_the_slow_tenth_apart_is_told_with_its_unit() -> None:
    slow = (
        Difference("seconds", "agent bull", 80.0, 40.0, 0.0004),
        Difference("count", "model calls", 9.5, 5.0, 0.01),
        Difference("share", "error 429", 0.5, 0.25, 0.02),
    )
    population = replace(population_of(four()), slow_from=130.0, slow=slow, stands_for=400.0)
    report = plain_population(population, [])
    assert "4 runs as one, which stand for 400.\n" in report
    assert (
        "What the slow tenth has:\n- Slow are runs from 130.0 s on.\n- agent bull: 80.00 s against 40.00 s (p 0.000)\n"
        "- model calls: 9.5 against 5.0 (p 0.010)\n- error 429: 50 % against 25 % (p 0.020)\n"
    ) in report
    assert "- Nothing sets them apart from the rest.\n" in plain_population(replace(population, slow=()), [])
    assert "- Nothing to change was found.\n" in report


def test_the_document_is_plain_json() -> None:
    profiles = four()
    document: dict[str, Any] = json.loads(json.dumps(population_document(population_of(profiles), profiles)))
    assert (document["runs"], document["seconds"]["p50"]) == (4, 120.0)
    assert [finding["id"] for finding in document["findings"]] == ["sequential-calls", "low-limit"]


@pytest.mark.parametrize("form", [[], ["--plain"], ["--markdown"]])
def test_few_runs_are_told_each_and_together_and_many_only_together(form: list[str], tmp_path: Path) -> None:
    ids = journal(tmp_path, 5)
    where = [*form, "--journal", str(tmp_path)]
    told = {number: printed_by(*ids[:number], *where) for number in (2, 3, 4, 5)}
    assert [text.count("runs as one") for text in told.values()] == [0, 1, 1, 1]
    assert [sum(run_id in text for run_id in ids) for text in told.values()] == [2, 3, 4, 0]
    if form == ["--plain"]:
        assert told[3].startswith(told[2])


def test_runs_of_different_workflows_are_not_told_as_one(tmp_path: Path) -> None:
    ids = journal(tmp_path, 5)
    record(tmp_path, workflow(1, 0, 1, name="other", trace=9), file="other")
    document = json.loads(printed_by(*ids, "--json", "--journal", tmp_path))
    assert (len(document["runs"]), document["population"]["runs"]) == (5, 5)
    document = json.loads(printed_by(*ids, "last:other", "--json", "--journal", tmp_path))
    assert (len(document["runs"]), document["population"]) == (6, None)
