"""What reading gives: spans as plain values, and what could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from spanwise import conventions as c

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
