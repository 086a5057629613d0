"""Numbers as people read them: about three digits that count, the unit always beside them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from math import floor, log10
from typing import Final

from spanwise_profiling.runs import NANOSECONDS

_WHOLE_FROM: Final = 9999.95


def seconds(value: float) -> str:
    """Return scaled seconds: `291 s` reads `290.9 s`, a tenth of one `0.102 s`, none at all `0 s`."""
    if value == 0:
        return "0 s"
    if value >= _WHOLE_FROM:
        return f"{value:,.0f} s"
    if value < 0.9995:  # noqa: PLR2004 - what three decimals round to one second
        return f"{value:.3f} s"
    return f"{value:.1f} s" if value >= 99.995 else f"{value:.2f} s"  # noqa: PLR2004 - the same for two decimals


def rough(value: float) -> str:
    """Return scaled seconds as one says an estimate, with two digits that count: `140 s`, `3.7 s`, `0.062 s`."""
    if value <= 0:
        return "0 s"
    digits = 1 - floor(log10(value))
    rounded = round(value, digits)
    return f"{rounded:,.0f} s" if rounded >= 10 else f"{rounded:.{max(digits, 0)}f} s"  # noqa: PLR2004 - two digits


def fixed(value: float, longest: float) -> str:
    """Return scaled seconds with as many decimals as `longest`, with which it stands in a column, needs."""
    decimals = 1 if longest >= 10 else 2 if longest >= 1 else 3  # noqa: PLR2004 - three digits that count
    return f"{value:,.{decimals}f} s"


def count(value: int, noun: str) -> str:
    """Return `1 agent`, `13 agents`; `noun` takes an s."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def moment(nanoseconds: int, zone: tzinfo | None = None) -> str:
    """Return a moment of recorded time as date and time in `zone` (default: this machine's)."""
    try:
        return datetime.fromtimestamp(nanoseconds // NANOSECONDS, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # a clock that was far off when it was recorded
        return "(no date)"
