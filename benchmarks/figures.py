"""`make figures`: measures and draws what README and docs print, and puts it into the pages.

A page says itself what it wants to be measured: what stands between `<!-- measured: COMMAND -->` and
`<!-- /measured -->` is replaced by what the command prints. The README and the page of the trading desk show recorded
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
DESK: Final = ROOT / "docs" / "systems" / "trading.md"
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


def measure_desk() -> None:
    """Run the trading desk over seeds and at speed 1, and put its table into its page."""
    run = ("-m", "spanwise_cli", "systems", "run", "trading", "--json")
    with TemporaryDirectory() as folder:
        fast, real = Path(folder, "fast.json"), Path(folder, "real.json")
        fast.write_text(printed(*run, "--runs", "5", "--speed", "20", "--journal", folder), encoding="utf-8")
        real.write_text(printed(*run, "--speed", "1", "--journal", folder), encoding="utf-8")
        table = printed("benchmarks/desk_figures.py", str(fast), str(real)).rstrip()
    page = DESK.read_text(encoding="utf-8")
    DESK.write_text(readme_figures.replaced(page, "measured", table), encoding="utf-8")


def measure_pages() -> None:
    """Renew every block of every page that names its command."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        page.write_text(renewed(text, lambda command: printed(*shlex.split(command))), encoding="utf-8")


def main() -> int:
    """Renew all figures, or only those of one kind; returns the exit code."""
    steps = {"readme": draw_readme, "desk": measure_desk, "pages": measure_pages}
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
