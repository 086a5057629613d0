"""What `spanwise`, `spanwise --help` and `spanwise --version` print: known without loading a single command.

Loading all commands takes most of a second, and these are the first words that anybody types.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from spanwise.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COMMANDS: Final[Mapping[str, str]] = {
    "run": "Run a Python program with recording on, unchanged; its exit status is returned.",
    "runs": "List recorded runs, newest first.",
    "show": "Show one run as a tree with a timeline, and its agents by their seconds.",
    "profile": "Show what runs waited for, where their seconds went, and what to change first.",
    "explain": "Tell one finding of a run's profile whole: its spans, what it would save, and how it is done.",
    "predict": "Predict what a change would save in recorded runs, with an interval and what may be wrong about it.",
    "compare": "Compare two sets of runs: faster, slower, same or not enough runs; how sure, and where it comes from.",
    "gate": "Judge runs by their budgets and against a baseline.",
    "export": "Send recorded runs to a destination, or write them to a file of OTLP/JSON lines.",
    "import": "Copy spans into the journal from any file or server that `spanwise profile` reads.",
    "purge": "Erase recorded runs from the journal, for good.",
    "ledger": "Show how many spans were started, are open, were written, lost and delivered.",
    "doctor": "Check versions, settings, journal, disk, endpoint, clock and servers. Exit code "
    "4: something configured fails.",
    "systems": "List the reference systems; with a name, show its presets, flags and published figures.",
    "provider": "Serve a simulated OpenAI-compatible provider, for load and failure tests of any agent at no cost.",
    "budgets": "The budget file: write one from recorded runs, or check one.",
    "mcp": "Serve recorded runs to assistants over MCP on standard input and output, read only.",
    "alerts": "Prometheus recording and alert rules, made from the budgets.",
    "dashboards": "Grafana dashboards, made from the budgets.",
    "stack": "The real servers on this machine: collector, Jaeger, Prometheus, Alertmanager.",
}
"""Name of each command to the first sentence of its help; a test compares these with the commands."""
ABOUT: Final = "Record runs of multi-agent LLM pipelines, see where their seconds go, and hold them to budgets."
OPTIONS: Final[Mapping[str, str]] = {
    "-h, --help": "Show this, or the help of a command.",
    "-v, --verbose": "Show tracebacks. Works after a command too.",
    "--no-color": "No colour (also: NO_COLOR). Works after a command too.",
    "--version": "Print the version.",
    "--install-completion": "Complete commands and options in this shell.",
}
_WIDTH: Final = 80
_NAME: Final = 22


def answer(words: Sequence[str]) -> str | None:
    """Return what the program prints for these arguments, where no command is needed to know it; else None."""
    if list(words) == ["--version"]:
        return f"spanwise {VERSION}\n"
    if not words or list(words) in (["--help"], ["-h"]):
        return "".join(f"{line}\n" for line in _lines())
    return None


def _lines() -> Iterator[str]:
    yield "Usage: spanwise COMMAND [OPTIONS]"
    yield ""
    yield from textwrap.wrap(ABOUT, _WIDTH)
    yield ""
    yield "Commands (each has its own --help):"
    yield from _table(COMMANDS)
    yield ""
    yield "Options:"
    yield from _table(OPTIONS)


def _table(rows: Mapping[str, str]) -> Iterator[str]:
    width = min(_NAME, max(map(len, rows)))
    for name, text in rows.items():
        first, *rest = textwrap.wrap(text, _WIDTH - width - 4)
        yield f"  {name:<{width}}  {first}"
        yield from (f"{'':{width + 4}}{line}" for line in rest)
