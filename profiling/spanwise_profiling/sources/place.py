"""Where reading is, and what a reader says about what it met there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise.journal.reader import Skipped

if TYPE_CHECKING:
    from spanwise.journal.reader import ReadReport

OTHER_SIGNALS: Final = "request(s) with logs, metrics or profiles left out; spanwise reads spans"


@dataclass(slots=True)
class Place:
    """A place in a file, which readers report to."""

    name: str
    report: ReadReport
    number: int = 0
    """Number of the line, message or member, counted from 1."""

    def skip(self, reason: str) -> None:
        """Report that something at this place was left out: a damaged line, or a span that makes no sense."""
        self.report.skipped.append(Skipped(Path(self.name), self.number, reason))

    def note(self, what: str, count: int = 1) -> None:
        """Report a kind of thing that may be met very often; it becomes one warning with the number of times."""
        self.report.note(what, count)
