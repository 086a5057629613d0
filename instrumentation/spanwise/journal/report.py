"""What a reading met: how much it read, and what it could not read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise.journal.scan import Damage


@dataclass(frozen=True, slots=True)
class Skipped:
    """A damaged line, or a record whose content is none."""

    path: Path
    line: int
    """Of a file of lines, counted from 1; of a segment, the offset of the record."""
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: skipped: {self.reason}"


@dataclass(slots=True)
class ReadReport:
    """What a reading met; filled while its spans are taken."""

    files: int = 0
    spans: int = 0
    """Ended ones and others."""
    incomplete: int = 0
    """Files whose end is still being written, or, of lines, was cut off."""
    unknown: int = 0
    """Records of kinds that a newer version wrote and this one does not know."""
    skipped: list[Skipped | Damage] = field(default_factory=list["Skipped | Damage"])
    noted: dict[str, int] = field(default_factory=dict[str, int])
    """Kinds of things that were repaired or left out without an entry of their own, with how many there were."""

    def note(self, what: str, count: int = 1) -> None:
        """Count something that is told once, however often it was met."""
        self.noted[what] = self.noted.get(what, 0) + count
