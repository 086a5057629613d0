"""The README shows what the program does: its example runs, and picture, table and timeline are of the same runs."""

from __future__ import annotations

import re
import runpy
from io import StringIO
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console
from support.pages import ROOT, blocks, section
from support.profiles import SEQUENTIAL, desk_profile
from support.screens import screen
from support.traces import agent, cache_lookup, chat, run_of, workflow

from spanwise import conventions as c
from spanwise_pipeline import Published
from spanwise_pipeline.systems import system_named
from spanwise_profiling.load import load_runs
from spanwise_profiling.render.svg import DARK, LIGHT
from spanwise_profiling.render.timeline import timeline

README = (ROOT / "README.md").read_text(encoding="utf-8")
FIGURES = runpy.run_path(str(ROOT / "benchmarks" / "readme_figures.py"))
TABLE = """\
| preset | duration | its authors' | tokens | its authors' | tokens/s | cache hits | grade |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
| `baseline` | 200.0 s | 290.9 s | 1,200 | 43,457 | 6.0 | no cache | A+ (100) |
| `optimized` | 50.00 s | - | 120 | - | 2.4 | 1 of 1 | A+ (100) |

One run each, 20 times as fast as real time, recorded 2026-09-21."""


def drawn(theme: str, subject: str = "demo") -> str:
    return (ROOT / "docs" / "pictures" / f"{subject}-{theme}.svg").read_text(encoding="utf-8")


def durations() -> dict[str, str]:
    """Preset and duration of each row of the README's table."""
    return dict(re.findall(r"^\| `(\w+)` \| (\S+ s) \|", section(README, "figures"), re.MULTILINE))


@pytest.mark.usefixtures("isolated_provider")
def test_the_example_is_complete_and_is_recorded_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (_, program), (_, shown) = blocks(section(README, "example"))
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(program, "README.md", "exec"), names)
    names["spanwise"].shutdown()

    (run,) = load_runs(".spanwise")
    out = StringIO()
    Console(file=out, width=80, color_system=None).print(timeline(run, 80))
    width = max(map(len, shown.splitlines()))
    tree = [line[:width].rstrip() for line in out.getvalue().splitlines()[1:]]
    assert capsys.readouterr().out == "['ACME: hold', 'ZETA: hold']\n"
    assert tree == shown.splitlines()
    assert (run.totals.input_tokens, run.totals.output_tokens) == (240, 80)


def test_the_table_has_every_preset_and_meets_the_targets() -> None:
    system = system_named("trading")
    assert list(durations()) == list(system.presets)
    assert system.targets.duration_s is not None
    assert float(durations()["optimized"].removesuffix(" s")) <= system.targets.duration_s


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_is_of_the_runs_in_the_table(theme: str) -> None:
    title = ET.fromstring(drawn(theme)).findtext("{http://www.w3.org/2000/svg}title") or ""
    assert dict(re.findall(r"(\w+) ([\d.]+ s)", title.partition(": ")[2])) == durations()


def test_the_timeline_is_of_the_last_run_in_the_table() -> None:
    ((_, text),) = blocks(section(README, "timeline"))
    heading = text.splitlines()[0]
    assert heading.split()[0] == "optimized"
    assert heading.endswith(durations()["optimized"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_profile_is_of_the_first_run_in_the_table(theme: str) -> None:
    picture = ET.fromstring(drawn(theme, "profile"))
    title = picture.findtext("{http://www.w3.org/2000/svg}title")
    assert title == f"What trading/baseline waited for: {durations()['baseline']}"
    ((_, text),) = blocks(section(README, "screen"))
    assert text.startswith(f"trading/baseline  {durations()['baseline']}   19 model calls")
    first = re.sub(r"^-\S+ s \(.*?\) +(?:sure|likely|you judge) +", "", text.partition("\n1. ")[2]).partition(".\n")[0]
    told = " ".join(element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text"))
    assert first
    assert f"1. {first}" in told


@pytest.mark.parametrize("subject", ["demo", "profile"])
def test_the_dark_picture_differs_in_colours_only(subject: str) -> None:
    dark = drawn("light", subject)
    for field in LIGHT.__dataclass_fields__:
        dark = dark.replace(f'"{getattr(LIGHT, field)}"', f'"{getattr(DARK, field)}"')
    assert dark == drawn("dark", subject)


def test_figures_are_read_from_the_runs_and_never_typed() -> None:
    grade = {c.QUALITY_GRADE: "A+", c.QUALITY_SCORE: 100}
    slow = run_of(
        workflow(1, 0, 10, attributes={c.RUN_VARIANT: "baseline", **grade}, scale=20),
        agent(2, 0, 10, parent=1),
        chat(3, 0, 10, parent=2, tokens=(1000, 200)),
    )
    fast = run_of(
        workflow(1, 0, 2.5, attributes={c.RUN_VARIANT: "optimized", **grade}, scale=20),
        chat(2, 0, 2, parent=1),
        cache_lookup(3, 2, 2.5, parent=1),
    )
    assert FIGURES["table"]([slow, fast], {"baseline": Published(290.91, 43_457, 149.4, "A+")}) == TABLE


def test_the_first_screen_is_what_the_command_prints() -> None:
    assert FIGURES["screen"](desk_profile(findings=[SEQUENTIAL])) == f"```text\n{screen(desk_profile())}```"


def test_rendering_replaces_only_what_is_between_the_markers() -> None:
    page = "before\n<!-- figures:begin -->\nold\n<!-- figures:end -->\nafter\n"
    assert FIGURES["replaced"](page, "figures", "new") == page.replace("old", "new")
