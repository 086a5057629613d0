"""Many runs as columns: one numpy array an attribute, one row a span, about 60 bytes each.

The rows of one run stand together, and a text is a number into a common table. A run is a workflow's span with all
spans below it, as in `runs`; segments of a run in other traces are runs of their own here. `repairs` counts the spans
that had to be mended. `columns_join` makes `Columns` of a filled `Builder`.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

import numpy as np

from spanwise import conventions as c
from spanwise.journal.reader import STATUS_ERROR
from spanwise_profiling import kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spanwise.journal.reader import SpanRecord

    Meaning: TypeAlias = tuple[int, int, int, int, int]
    """Kind, agent, subject, input and output tokens."""
    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

KINDS: Final[tuple[kinds.Kind, ...]] = get_args(kinds.Kind)
NONE: Final = -1
KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}
ARRAYS: Final = (
    "trace", "span_id", "parent_id", "start", "end", "kind", "status", "name", "agent", "subject", "service",
    "input_tokens", "output_tokens",
)  # fmt: skip
"""The arrays of a `Builder`."""
MEANING: Final = struct.Struct("5i")
"""A `Meaning` in bytes."""
_OF_MEANING: Final = ("kind", "agent", "subject", "input_tokens", "output_tokens")
_OF_TEXTS: Final = ("name", "agent", "subject")
MOST_TOKENS: Final = (1 << 31) - 1
_LATEST: Final = (1 << 63) - 1
_LAST_SERVICE: Final = (1 << 15) - 1


@dataclass(frozen=True, slots=True)
class Columns:
    """Spans of many runs. Arrays of one row a span unless it says otherwise; -1 stands for none."""

    run: Array
    """int32: the run's number; -1 for what is in no run."""
    trace: Array
    """int32: index into `trace_ids`."""
    span_id: Array
    """uint64; of ids that are no 16 hexadecimal digits, a hash."""
    parent: Array
    """int32: row of the parent."""
    start: Array
    """int64: nanoseconds since 1970."""
    end: Array
    kind: Array
    """int8: index into `KINDS`."""
    status: Array
    """int8: OTLP's number."""
    name: Array
    """int32: index into `strings`."""
    agent: Array
    """int32: the span's own `gen_ai.agent.name`, as an index into `strings`."""
    subject: Array
    """int32: name of the model, tool, ... that the span is about, as an index into `strings`."""
    service: Array
    """int16: index into `services`."""
    input_tokens: Array
    """int32."""
    output_tokens: Array
    """int32."""
    run_rows: Array
    """int64, one more than there are runs: run `i` has the rows `run_rows[i]` to `run_rows[i + 1]`."""
    run_roots: Array
    """int32, one a run: row of the workflow's span, or of the first root."""
    strings: Sequence[str]
    services: Sequence[str]
    trace_ids: Sequence[str]
    repairs: Mapping[str, int]
    """What was bent, and in how many spans."""

    def __len__(self) -> int:
        return len(self.start)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        values = (getattr(self, name) for name in self.__slots__)
        return sum(value.nbytes for value in values if isinstance(value, np.ndarray))


class Texts(dict["str | None", int]):
    """Numbers of texts; a new one gets the next. No text and the empty one are -1."""

    def __init__(self) -> None:
        super().__init__({None: NONE, "": NONE})

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self) - 2
        return number

    @property
    def table(self) -> tuple[str, ...]:
        """The texts by their number."""
        return tuple(text for text in self if text)


@dataclass(slots=True)
class Builder:
    """Takes spans in any order. Its arrays grow in place, so that nothing is held twice."""

    trace: array[int] = field(default_factory=lambda: array("i"))
    span_id: array[int] = field(default_factory=lambda: array("Q"))
    parent_id: array[int] = field(default_factory=lambda: array("Q"))
    start: array[int] = field(default_factory=lambda: array("q"))
    end: array[int] = field(default_factory=lambda: array("q"))
    kind: array[int] = field(default_factory=lambda: array("b"))
    status: array[int] = field(default_factory=lambda: array("b"))
    name: array[int] = field(default_factory=lambda: array("i"))
    agent: array[int] = field(default_factory=lambda: array("i"))
    subject: array[int] = field(default_factory=lambda: array("i"))
    service: array[int] = field(default_factory=lambda: array("h"))
    input_tokens: array[int] = field(default_factory=lambda: array("i"))
    output_tokens: array[int] = field(default_factory=lambda: array("i"))
    strings: Texts = field(default_factory=Texts)
    services: dict[str, int] = field(default_factory=dict[str, int])
    traces: dict[str, int] = field(default_factory=dict[str, int])

    def service_number(self, name: object) -> int:
        """Return the number of a service; none for no name, and for the 32,768th and further ones."""
        if not isinstance(name, str):
            return NONE
        number = self.services.setdefault(name, len(self.services))
        return number if number <= _LAST_SERVICE else NONE

    def add(self, span: SpanRecord) -> None:
        """Take one span."""
        self.trace.append(self.traces.setdefault(span.trace_id, len(self.traces)))
        self.span_id.append(number_of(span.span_id))
        self.parent_id.append(number_of(span.parent_id) if span.parent_id else 0)
        # A file of our own format may be damaged, and yet be JSON: times must fit.
        self.start.append(max(0, min(span.start_ns, _LATEST)))
        self.end.append(max(0, min(span.end_ns, _LATEST)))
        self.status.append(span.status_code if 0 <= span.status_code <= STATUS_ERROR else 0)
        self.name.append(self.strings[span.name])
        self.service.append(self.service_number(span.resource.get("service.name")))
        for name, value in zip(_OF_MEANING, self.meaning_of(span), strict=True):
            getattr(self, name).append(value)

    def meaning_of(self, span: SpanRecord) -> Meaning:
        """Return what the attributes of `span` say."""
        return (
            KIND_NUMBERS[kinds.kind_of(span)],
            self.strings[kinds.text_of(span, c.AGENT_NAME)],
            self.strings[kinds.subject_of(span)],
            tokens_of(kinds.number_of(span, c.USAGE_INPUT_TOKENS)),
            tokens_of(kinds.number_of(span, c.USAGE_OUTPUT_TOKENS)),
        )

    def add_meanings(self, packed: Sequence[bytes]) -> None:
        """Take what the attributes of the next spans say, each a `MEANING` with counts of tokens as they come."""
        numbers = np.frombuffer(b"".join(packed), np.int32).reshape(-1, len(_OF_MEANING))
        for name, values in zip(_OF_MEANING, numbers.T, strict=True):
            column: array[int] = getattr(self, name)
            # None is below -1 but a count that makes no sense.
            column.frombytes(np.maximum(values, NONE).astype(column.typecode).tobytes())

    def extend(
        self, arrays: Mapping[str, memoryview], strings: Iterable[str], services: Iterable[str], traces: Iterable[str]
    ) -> None:
        """Take what another builder holds: its arrays by name, and what their numbers stand for."""
        texts = [self.strings[text] for text in strings]
        numbers: dict[str, list[int]] = {
            **dict.fromkeys(_OF_TEXTS, texts),
            "service": [self.service_number(name) for name in services],
            "trace": [self.traces.setdefault(trace_id, len(self.traces)) for trace_id in traces],
        }
        for name in ARRAYS:
            array_: array[int] = getattr(self, name)
            values = np.frombuffer(arrays[name], array_.typecode)
            if name in numbers:
                # The last one stands for -1.
                values = np.array([*numbers[name], NONE], array_.typecode)[values]
            array_.frombytes(values.view(np.uint8).data)


def number_of(span_id: str) -> int:
    """Return a span id as a number; of one that is not 16 hexadecimal digits, a hash."""
    if len(span_id) == 16:  # noqa: PLR2004 - 8 bytes in hexadecimal
        try:
            return int(span_id, 16)
        except ValueError:
            return _hash(span_id)
    return _hash(span_id)


def _hash(span_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(span_id.encode("utf-8", "replace"), digest_size=8).digest())


def tokens_of(count: float | None) -> int:
    """Return a count of tokens as the columns hold it."""
    return NONE if count is None else max(NONE, min(int(count), MOST_TOKENS))
