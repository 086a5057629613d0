"""Attribute values as OTLP/JSON has them, for whoever writes spans.

Integers of 64 bits are strings (the OTLP specification's JSON mapping), and floats that JSON lacks are strings as in
protobuf's JSON mapping. What JSON cannot hold is made to fit: text that is no Unicode gets question marks, an integer
beyond 64 bits becomes text.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

_INT64: Final = range(-(2**63), 2**63)


def text_of(text: str) -> str:
    """Return `text` with question marks for lone surrogates, which undecodable bytes become in Python."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def key_values(attributes: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return attributes as OTLP/JSON has them."""
    return [{"key": text_of(key), "value": value_of(value)} for key, value in tuple((attributes or {}).items())]


def value_of(value: Any) -> dict[str, Any]:  # noqa: PLR0911 - one case a type
    """Return a value as an OTLP AnyValue."""
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)} if value in _INT64 else {"stringValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else _non_finite(value)}
        case str():
            return {"stringValue": text_of(value)}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode("ascii")}
        case Mapping():
            pairs = key_values(cast("Mapping[str, Any]", value))
            return {"kvlistValue": {"values": pairs} if pairs else {}}
        case _:
            members = [value_of(one) for one in cast("Sequence[Any]", value)]
            return {"arrayValue": {"values": members} if members else {}}


def _non_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
