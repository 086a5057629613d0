"""How values become bytes for a store, and come back."""

from __future__ import annotations

import json
from typing import Any, Generic, Protocol, TypeVar

import msgspec

T = TypeVar("T")


class Codec(Protocol[T]):
    """Makes bytes of values, and values of bytes."""

    def encode(self, value: T, /) -> bytes:
        """Return the bytes of a value; raises TypeError or ValueError for one that it cannot take."""
        ...

    def decode(self, data: bytes, /) -> T:
        """Return the value; raises ValueError for bytes that are none of its."""
        ...


class JsonCodec:
    """Values that JSON holds as they are: texts, numbers, lists and dictionaries."""

    def encode(self, value: Any, /) -> bytes:
        """Return the value as JSON."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()

    def decode(self, data: bytes, /) -> Any:
        """Return what the JSON says."""
        return json.loads(data)


class TypedCodec(Generic[T]):
    """Values of one type (a dataclass, a TypedDict, a list of them) as JSON, checked when they come back."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._encoder = msgspec.json.Encoder()

    def encode(self, value: T, /) -> bytes:
        """Return the value as JSON."""
        return self._encoder.encode(value)

    def decode(self, data: bytes, /) -> T:
        """Return the value; raises ValueError for bytes of another type."""
        return self._decoder.decode(data)
