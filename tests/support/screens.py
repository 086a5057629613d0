"""Whole texts of the terminal's reports, kept as files: run this module to write them anew, and read what changed.

A screen is a recording of `tests/golden/recordings` (or a run built by hand) at one width.
"""

from __future__ import annotations

from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from support.profiles import desk_profile

from spanwise_profiling.load import open_run
from spanwise_profiling.profiled import profiled
from spanwise_profiling.render.glyphs import UNICODE
from spanwise_profiling.render.report import profile_report
from spanwise_profiling.render.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rich.console import RenderableType

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.render.glyphs import Glyphs

GOLDEN = Path(__file__).parent.parent / "golden"
WIDTHS = (60, 80, 120, 200)


def recordings() -> list[str]:
    """Return the names of the recorded programs."""
    return sorted(path.name.removesuffix(".jsonl.gz") for path in (GOLDEN / "recordings").glob("*.jsonl.gz"))


@cache
def recorded(name: str) -> Profile:
    """Return the profile of a recorded program's last run."""
    run, _ = open_run(str(GOLDEN / "recordings" / f"{name}.jsonl.gz"), GOLDEN, (), None)
    [profile] = profiled([run])
    return profile


def printed(parts: Iterable[RenderableType], width: int) -> str:
    """Return the parts of a report as a terminal of this width shows them, without colour and spaces at the ends."""
    stream = StringIO()
    out = Console(file=stream, width=width, color_system=None, highlight=False)
    for part in parts:
        out.print(part, soft_wrap=True)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def screen(profile: Profile, width: int = 80, *, glyphs: Glyphs = UNICODE, **more: Any) -> str:
    """Return what `spanwise profile` prints of one run."""
    return printed(profile_report(profile, width, glyphs=glyphs, **more), width)


def shown(profile: Profile, width: int) -> str:
    """Return the tree that `spanwise show` prints of one run."""
    return printed([timeline(profile.run, width)], width)


PROFILES: Mapping[str, Callable[[], Profile]] = {
    "desk": desk_profile,
    **{name: (lambda name=name: recorded(name)) for name in recordings()},  # type: ignore[misc]
}
VIEWS: Mapping[str, Callable[[Profile, int], str]] = {"profile": screen, "show": shown}


def cases() -> list[tuple[str, str, int]]:
    """Return (view, profile, width) of every kept text."""
    return [(view, name, width) for view in VIEWS for name in PROFILES for width in WIDTHS]


def path_of(view: str, name: str, width: int) -> Path:
    """Return where a text is kept."""
    return GOLDEN / "screens" / f"{view}-{name}-{width}.txt"


def text_of(view: str, name: str, width: int) -> str:
    """Return a text as the program makes it now."""
    return VIEWS[view](PROFILES[name](), width)


if __name__ == "__main__":
    for case in cases():
        path_of(*case).write_text(text_of(*case), encoding="utf-8")
