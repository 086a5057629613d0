"""The README's pictures and table, rendered from recorded runs; nothing is run and no figure is typed.

Reads the last run of each preset of `trading` from a journal (as `make demo` leaves it), writes
`docs/pictures/{demo,profile}-{light,dark}.svg`, and puts the table, one timeline and the first screen of a profile
between the README's markers. The timeline of the HTML report is photographed in Chromium
(`docs/pictures/report-{light,dark}.png`). All of it comes from the same runs.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from rich.console import Console

from spanwise.errors import SpanwiseError
from spanwise_cli.stack import catalogue
from spanwise_pipeline.systems import system_named
from spanwise_profiling.load import load_runs, select
from spanwise_profiling.profiled import profiled
from spanwise_profiling.render.compact import compact_timeline, legend
from spanwise_profiling.render.html import report as html_report
from spanwise_profiling.render.numbers import seconds
from spanwise_profiling.render.path_picture import path_picture
from spanwise_profiling.render.picture import picture
from spanwise_profiling.render.report import profile_report
from spanwise_profiling.render.svg import DARK, LIGHT
from spanwise_profiling.runs import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise_pipeline.system import Published, System
    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run

ROOT: Final = Path(__file__).parents[1]
WIDTH: Final = 80
_EDGE: Final = 16
"""Pixels below the photographed part of the page."""
_HEAD: Final = """\
| preset | duration | its authors' | tokens | its authors' | tokens/s | cache hits | grade |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"""


def table(runs: Sequence[Run], published: Mapping[str, Published]) -> str:
    """Return a Markdown table with a row a run, beside what was published for its preset."""
    rows = [_row(run, published.get(run.variant or "")) for run in runs]
    day = datetime.fromtimestamp(runs[0].start_ns / NANOSECONDS, UTC).date().isoformat()
    speed = " and ".join(f"{scale:g}" for scale in sorted({run.scale for run in runs}))
    return "\n".join([_HEAD, *rows, "", f"One run each, {speed} times as fast as real time, recorded {day}."])


def _row(run: Run, published: Published | None) -> str:
    totals = run.totals
    cells = [
        f"`{run.variant}`",
        seconds(run.seconds),
        seconds(published.duration_s) if published is not None and published.duration_s is not None else "-",
        f"{totals.tokens:,}",
        f"{published.tokens:,}" if published is not None and published.tokens is not None else "-",
        f"{run.tokens_per_second:.1f}",
        f"{totals.cache_hits} of {totals.cache_lookups}" if totals.cache_lookups else "no cache",
        f"{run.grade} ({run.score:g})" if run.grade is not None and run.score is not None else "none",
    ]
    return f"| {' | '.join(cells)} |"


def excerpt(run: Run) -> str:
    """Return a run's compact timeline, as `make demo` prints it, as a block of a page."""
    stream = StringIO()
    out = Console(file=stream, width=WIDTH, color_system=None, highlight=False)
    out.print(compact_timeline(run, WIDTH), soft_wrap=True)
    out.print(legend(), soft_wrap=True)
    return f"```text\n{stream.getvalue()}```"


def screen(profile: Profile) -> str:
    """Return what `spanwise profile` prints of a run, as a block of a page."""
    stream = StringIO()
    out = Console(file=stream, width=WIDTH, color_system=None, highlight=False)
    for part in profile_report(profile, WIDTH):
        out.print(part, soft_wrap=True)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    return "\n".join(["```text", *lines, "```"])


def replaced(page: str, name: str, text: str) -> str:
    """Return `page` with `text` between its markers `name`."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    assert after, f"the page lacks {begin} or {end}"
    return f"{before}{begin}\n{text}\n{end}{after}"


def photograph(profile: Profile, folder: Path) -> None:
    """Write what the browser shows of the HTML report's timeline; raises `UnavailableError` where there is none."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - half a second, and a dependency of tests only

    program = str(catalogue.require("chromium"))
    with TemporaryDirectory() as scratch, sync_playwright() as playwright:
        report = Path(scratch) / "report.html"
        report.write_text(html_report([profile]), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for theme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1160, "height": 900}, color_scheme=theme)
            page.goto(report.as_uri())
            box = page.locator("section[aria-labelledby=h-timeline]").bounding_box()
            assert box is not None, "the report has no timeline"
            width, height = box["x"] * 2 + box["width"], box["height"] + _EDGE
            page.screenshot(
                path=folder / f"report-{theme}.png",
                full_page=True,
                clip={"x": 0, "y": box["y"], "width": width, "height": height},
            )
        browser.close()


def render(journal: Path, system: System) -> None:
    """Write pictures and table from the newest runs in `journal`; raises `InputError` where a preset has none."""
    recorded = load_runs(journal)
    runs = [select(f"last:{system.name}/{preset}", recorded) for preset in system.presets]
    (profile,) = profiled(runs[:1])
    for name, theme in (("light", LIGHT), ("dark", DARK)):
        pictures = {
            "demo": picture(runs, theme, target=system.targets.duration_s),
            "profile": path_picture(profile, theme),
        }
        for subject, drawn in pictures.items():
            (ROOT / "docs" / "pictures" / f"{subject}-{name}.svg").write_text(drawn, encoding="utf-8")
    photograph(profiled(runs[-1:])[0], ROOT / "docs" / "pictures")
    readme = ROOT / "README.md"
    page = replaced(readme.read_text(encoding="utf-8"), "figures", table(runs, system.published))
    page = replaced(page, "timeline", excerpt(runs[-1]))
    page = replaced(page, "screen", screen(profile))
    readme.write_text(page, encoding="utf-8")


def main() -> int:
    """Render from the journal that is named, and return the exit code."""
    parser = argparse.ArgumentParser(description="Render the README's picture and table from the last `make demo`.")
    parser.add_argument("--journal", type=Path, default=ROOT / ".spanwise")
    try:
        render(parser.parse_args().journal, system_named("trading"))
    except SpanwiseError as error:
        sys.stderr.write(f"readme_figures: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
