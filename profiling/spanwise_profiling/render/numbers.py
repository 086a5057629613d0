"""Numbers as people read them: about three digits that count, the unit always beside them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
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


def count(value: int, noun: str) -> str:
    """Return `1 agent`, `13 agents`; `noun` takes an s."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def moment(nanoseconds: int, zone: tzinfo | None = None) -> str:
    """Return a moment of recorded time as date and time in `zone` (default: this machine's)."""
    try:
        return datetime.fromtimestamp(nanoseconds // NANOSECONDS, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # a clock that was far off when it was recorded
        return "(no date)"
