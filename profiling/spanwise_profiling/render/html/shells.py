"""Parts of the page that the script fills, and the files that the page is put together from."""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template


@cache
def asset(name: str) -> str:
    """Return a file of the front end, which lies in `assets/` beside this module."""
    return resources.files("spanwise_profiling.render.html").joinpath("assets", name).read_text(encoding="utf-8")


def timeline(runs: int) -> str:
    """Return the timeline's tools, an empty track for each run and the panel that tells about one span."""
    tracks = "".join('<div class="track"></div>' for _ in range(runs))
    return Template(asset("timeline.html")).substitute(tracks=tracks)


def calls(runs: int) -> str:
    """Return the section that lists calls."""
    return Template(asset("calls.html")).substitute(run='<th scope="col">run</th>' if runs > 1 else "")
