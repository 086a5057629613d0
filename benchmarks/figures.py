"""`make figures`: measures and draws what README and docs print, and puts it into the pages.

A page says itself what it wants to be measured: what stands between `<!-- measured: COMMAND -->` and
`<!-- /measured -->` is replaced by what the command prints. The README and the pages of the systems show recorded
runs, which are made first. Takes about an hour, and means something only on a machine without other work.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import readme_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parents[1]
SYSTEMS: Final = ROOT / "docs" / "systems"
TABLE: Final = re.compile(r"^<!-- (?P<name>measured(?: (?P<setting>[a-z_]+=\S+))?):begin -->$", re.MULTILINE)
"""Where the table of a system's runs stands in its page, and which flag is set for them."""
IN_REAL_TIME: Final = frozenset({"hedge_fund"})
"""Systems with bursts of calls, whose own cost would count 20-fold at speed 20."""
MEASURED: Final = re.compile(
    r"^<!-- measured: (?P<command>[^\n]+?) -->\n.*?^<!-- /measured -->", re.DOTALL | re.MULTILINE
)


def pages() -> Iterator[Path]:
    """Yield each page that wants something to be measured."""
    for page in (*ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")):
        if MEASURED.search(page.read_text(encoding="utf-8")):
            yield page


def renewed(text: str, measure: Callable[[str], str]) -> str:
    """Return a page's text with each measured block replaced by what `measure` returns for its command."""

    def block(match: re.Match[str]) -> str:
        command = match["command"]
        said = f"{_today()}, Python {platform.python_version()}, {os.cpu_count()} processors."
        return f"<!-- measured: {command} -->\n```text\n{measure(command).rstrip()}\n```\n\n{said}\n<!-- /measured -->"

    return MEASURED.sub(block, text)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def printed(*command: str) -> str:
    """Return what a Python command of this environment prints; its progress is shown."""
    sys.stderr.write(f"figures: {shlex.join(command)}\n")
    return subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def draw_readme() -> None:
    """Run the demo into a folder of its own, and draw the README's pictures and tables of it."""
    with TemporaryDirectory() as folder:
        printed("-m", "spanwise_cli", "systems", "run", "trading", "--speed", "20", "--journal", folder)
        readme_figures.render(Path(folder), readme_figures.system_named("trading"))


def measure_systems() -> None:
    """Run each system that has a page over seeds and at speed 1, and put its tables into the page."""
    for page in sorted(SYSTEMS.glob("*.md")):
        for block in TABLE.finditer(page.read_text(encoding="utf-8")):
            table = measured_system(page.stem, block["setting"])
            text = page.read_text(encoding="utf-8")
            page.write_text(readme_figures.replaced(text, block["name"], table), encoding="utf-8")


def measured_system(name: str, setting: str | None) -> str:
    """Return the table of a system's runs, with a flag set where one is given."""
    run = ["-m", "spanwise_cli", "systems", "run", name, "--json", *(["--set", setting] if setting else [])]
    with TemporaryDirectory() as folder:
        fast, real = Path(folder, "fast.json"), Path(folder, "real.json")
        if name in IN_REAL_TIME:
            real.write_text(printed(*run, "--runs", "5", "--journal", folder), encoding="utf-8")
            return printed("benchmarks/desk_figures.py", str(real)).rstrip()
        fast.write_text(printed(*run, "--runs", "5", "--speed", "20", "--journal", folder), encoding="utf-8")
        real.write_text(printed(*run, "--speed", "1", "--journal", folder), encoding="utf-8")
        return printed("benchmarks/desk_figures.py", str(fast), str(real)).rstrip()


def measure_pages() -> None:
    """Renew every block of every page that names its command."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        page.write_text(renewed(text, lambda command: printed(*shlex.split(command))), encoding="utf-8")


def main() -> int:
    """Renew all figures, or only those of one kind; returns the exit code."""
    steps = {"readme": draw_readme, "systems": measure_systems, "pages": measure_pages}
    parser = argparse.ArgumentParser(description="Measure and draw what README and docs print.")
    parser.add_argument("--only", choices=list(steps), help="renew only these")
    only = parser.parse_args().only
    for name, step in steps.items():
        if only in (None, name):
            step()
    sys.stderr.write("figures: done; read `git diff`, and the sentences around what changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
