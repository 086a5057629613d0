"""What tests of delivering need: a clock that jumps, a connection that answers as it is told, streams with spans."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from spanwise.destinations.transport import Reply
from spanwise.journal.format import END
from spanwise.journal.segment import SegmentWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ACCEPTED = Reply("accepted")
AWAY = Reply("later", "not reachable")


class JumpingTime:
    """Time that passes only by resting; ends delivering at a moment, if one is given."""

    def __init__(self, until: float = float("inf")) -> None:
        self.seconds = 0.0
        self.until = until
        self.rests: list[float] = []

    def now(self) -> float:
        return self.seconds

    def rest(self, seconds: float, *, obeying: bool) -> bool:
        self.rests.append(seconds)
        self.seconds += seconds
        return self.seconds < self.until


class Line:
    """A transport whose replies a function gives; it keeps the names of the spans of each request."""

    def __init__(self, reply: Callable[[list[str]], Reply] = lambda _: ACCEPTED) -> None:
        self.reply = reply
        self.requests: list[list[str]] = []
        self.accepted: list[str] = []

    def send(self, body: bytes) -> Reply:
        message = ExportTraceServiceRequest.FromString(body)
        names = [s.name for r in message.resource_spans for g in r.scope_spans for s in g.spans]
        self.requests.append(names)
        reply = self.reply(names)
        if reply.verdict == "accepted":
            self.accepted += names
        return reply

    def close(self) -> None:
        pass


def in_turn(*replies: Reply) -> Callable[[list[str]], Reply]:
    """Return a function that gives `replies` in turn, then accepts."""
    left = list(replies)
    return lambda _: left.pop(0) if left else ACCEPTED


def payload(names: Sequence[str], **attributes: str) -> bytes:
    """Return ended spans of those names as they are journaled."""
    spans: list[dict[str, Any]] = [
        {
            "traceId": f"{1:032x}", "spanId": f"{number + 1:016x}", "name": name, "kind": 1,
            "startTimeUnixNano": "1", "endTimeUnixNano": "2",
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
        }
        for number, name in enumerate(names)
    ]  # fmt: skip
    request = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "t"}, "spans": spans}]}]}
    return json.dumps(request).encode() + b"\n"


def write(folder: Path, stream: str, *records: Sequence[str], limit_bytes: int = 2**24) -> SegmentWriter:
    """Write a stream of records with spans of those names; the caller closes what is returned, or writes on."""
    folder.mkdir(exist_ok=True)
    writer = SegmentWriter(folder, stream, limit_bytes=limit_bytes)
    for names in records:
        writer.append(END, payload(names), len(names))
    return writer
