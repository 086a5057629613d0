"""What reading gives: spans as plain values, and what could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from spanwise import conventions as c

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise.journal.scan import Damage

STATUS_ERROR: Final = 2

AttributeValue: TypeAlias = (
    "str | bool | int | float | bytes | tuple[AttributeValue, ...] | Mapping[str, AttributeValue] | None"
)
Attributes: TypeAlias = Mapping[str, AttributeValue]
State: TypeAlias = Literal["ended", "open", "interrupted"]


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A link from a span to another one."""

    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened at one moment of a span."""

    time_ns: int
    """Nanoseconds since 1970, UTC."""
    name: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One span, or one wait, as it was recorded: ids in lower-case hexadecimal, times in unscaled nanoseconds."""

    trace_id: str
    span_id: str
    parent_id: str | None
    """None for a root."""
    name: str
    kind: int
    """OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer, 0 unknown."""
    start_ns: int
    """Nanoseconds since 1970, UTC."""
    end_ns: int
    """Likewise; 0 for a span without an end."""
    attributes: Attributes
    links: tuple[LinkRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    status_code: int = 0
    """OTLP's number: 0 unset, 1 ok, 2 error."""
    status_message: str = ""
    resource: Attributes = field(default_factory=dict[str, AttributeValue])
    scope_name: str = ""
    scope_version: str = ""
    trace_state: str = ""
    """As W3C has it; `ot=th:…` says how likely the trace was to be sampled."""
    state: State = "ended"
    """`open`: it goes on, and its process lives. `interrupted`: its process ended without an end of it."""

    @property
    def is_error(self) -> bool:
        """Whether the span ended in error."""
        return self.status_code == STATUS_ERROR

    @property
    def is_wait(self) -> bool:
        """Whether it says what a span waited for: from a record of that kind, or a span in that form."""
        return c.WAIT_KIND in self.attributes

    @property
    def is_open(self) -> bool:
        """Whether no end of the span is recorded."""
        return self.state != "ended"

    @property
    def duration_ns(self) -> int:
        """Length in nanoseconds; 0 where there is no end, or one before the start."""
        return max(0, self.end_ns - self.start_ns)


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
