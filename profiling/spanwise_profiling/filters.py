"""Runs picked by what is recorded of them: service, workflow, when they began, errors."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanwise_profiling.runs import Run

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE: Final = re.compile(r"(\d{1,6})([smhdw])")


def matching(
    recorded: Iterable[Run], *, service: str | None, workflow: str | None, begin_ns: int | None, errors: bool
) -> Iterable[Run]:
    """Return those of the `recorded` runs that pass every filter given; `begin_ns` counts from 1970."""
    return (
        run
        for run in recorded
        if service in (None, run.service)
        and workflow in (None, run.workflow, run.title)
        and (begin_ns is None or run.start_ns >= begin_ns)
        and (not errors or run.totals.errors or run.error)
    )


def moment_ns(text: str, now: datetime, option: str = "--since") -> int:
    """Return the moment that `text` (an age before `now`, or an ISO date or time, local unless it says) means.

    Returns:
        Nanoseconds since 1970.

    Raises:
        InputError: it is neither.
    """
    age = _AGE.fullmatch(text)
    try:
        if age:
            return _nanoseconds(now - timedelta(**{_UNITS[age[2]]: int(age[1])}))
        return _nanoseconds(datetime.fromisoformat(text).astimezone())
    except (ValueError, OverflowError):
        raise InputError(f"{option} {text!r}: not understood; give an age (7d, 2h, 30m) or 2026-11-20T18:00") from None


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
