"""Runs and profiles as a notebook shows them: what the terminal prints, in a box that keeps its columns."""

from __future__ import annotations

from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Final

from rich.console import Console

from spanwise_profiling.render.screen import first_screen
from spanwise_profiling.render.tables import heading
from spanwise_profiling.render.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.text import Text

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run

_WIDTH: Final = 100
_STYLE: Final = "font-family: monospace; line-height: 1.2; overflow-x: auto; white-space: pre"


def profile_html(profile: Profile) -> str:
    """Return the first screen of a profile."""
    return _box(first_screen(profile, _WIDTH))


def run_html(run: Run) -> str:
    """Return a run as a tree with its timeline."""
    return _box([heading(run, _WIDTH), timeline(run, _WIDTH)])


def _box(parts: Iterable[Text]) -> str:
    stream = StringIO()
    out = Console(file=stream, width=_WIDTH, color_system=None, highlight=False, emoji=False)
    for part in parts:
        out.print(part, soft_wrap=True)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    return f'<pre style="{_STYLE}">{escape(chr(10).join(lines))}</pre>'
