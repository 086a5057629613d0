"""What tables of one run and of two have in common: letters for the runs, columns for each, and the change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanwise_profiling.render import numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.profile import Profile

LETTERS: Final = ("A", "B")
NONE: Final = "&ndash;"
"""Where there is no value."""


def badge(profiles: Sequence[Profile], position: int) -> str:
    """Return the letter of a run of two, with a space after it; nothing for one."""
    return f'<b class="run-{LETTERS[position]}">{LETTERS[position]}</b> ' if len(profiles) > 1 else ""


def heads(profiles: Sequence[Profile], measure: str) -> list[str]:
    """Return the headings of a measured column: of one run with its share of it, of two with the change."""
    if len(profiles) == 1:
        return [f"#{measure}", "#of the run"]
    return [*(f"#{badge(profiles, position)}" for position in range(len(profiles))), "#change"]


def cells(profiles: Sequence[Profile], seconds: Sequence[float]) -> list[str]:
    """Return the cells below `heads` for scaled seconds, one for each run."""
    shown = [numbers.seconds(value) for value in seconds]
    if len(profiles) > 1:
        return [*shown, _change(*seconds)]
    whole = profiles[0].run.seconds
    return [*shown, f"{seconds[0] / whole:.1%}" if whole else NONE]


def _change(first: float, second: float) -> str:
    difference = second - first
    sign = "+" if difference > 0 else "&minus;" if difference < 0 else "&plusmn;"
    return f'<span class="{"more" if difference > 0 else "less"}">{sign}{numbers.seconds(abs(difference))}</span>'
