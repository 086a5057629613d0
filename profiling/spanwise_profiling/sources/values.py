"""Times, identifiers and attribute values as foreign tools write them, made into ours.

Each function raises `ValueError` for what it cannot read; the caller skips the span and says so.
"""

from __future__ import annotations

import base64
import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from spanwise_profiling.sources import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise.journal.reader import AttributeValue

_SECOND: Final = 1_000_000_000
_ISO: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d:\d\d)(?:[.,](?P<part>\d{1,12}))?\s*"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?|UTC|GMT)?",
    re.ASCII,
)
_ZONES: Final[dict[str, str]] = dict.fromkeys(("", "Z", "UTC", "GMT"), "+00:00")
_HEX: Final = re.compile(r"[0-9a-f]+", re.ASCII)
_BASE64_BYTES: Final = {24: 16, 12: 8}
_LATEST_NS: Final = 1 << 63
# A number counts seconds, milliseconds, microseconds or nanoseconds since 1970; between 1973 and 5138 its size tells.
_UNITS: Final = ((10**11, _SECOND), (10**14, 10**6), (10**17, 10**3), (math.inf, 1))
_DEEPEST: Final = 50
_COUNT: Final = re.compile(r"\s*\+?\d{1,18}(?:\.\d*)?(?:[eE]\+?\d{1,2})?\s*", re.ASCII)
_FRACTION: Final = re.compile(r"\d{1,19}\.\d*|\d(?:\.\d+)?e\+?\d\d?", re.ASCII | re.IGNORECASE)
_MOST: Final = 1 << 53
_MOST_FLOAT: Final = 10**300


def nanoseconds(value: object) -> int:
    """Return a time as nanoseconds since 1970: ISO 8601 text (UTC where it names no zone) or a number of any unit."""
    if isinstance(value, str):
        if match := _ISO.fullmatch(value.strip()):
            return _from_iso(match)
        value = float(value) if "." in value or "e" in value.lower() else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no time")
    unit = next(unit for below, unit in _UNITS if abs(value) < below)
    return within_64_bits(round(value * unit))


def within_64_bits(time_ns: int | str) -> int:
    """Return nanoseconds as they are, or raise `ValueError` where they do not fit the columns."""
    if isinstance(time_ns, str):
        time_ns = int(float(time_ns)) if _FRACTION.fullmatch(time_ns) else int(time_ns)
    if not 0 <= time_ns < _LATEST_NS:
        raise ValueError(f"{time_ns} is no time")
    return time_ns


def _from_iso(match: re.Match[str]) -> int:
    told: str = match["zone"] or ""
    zone = _ZONES.get(told, told)
    moment = datetime.fromisoformat(f"{match['day']}T{match['time']}{zone}")
    seconds = round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return within_64_bits(seconds * _SECOND + int((match["part"] or "0").ljust(9, "0")[:9]))


def identifier(value: object) -> str:
    """Return a span or trace id in lower case: hexadecimal, a UUID, base64 of 8 or 16 bytes, a number, or any text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value & (1 << 64) - 1:016x}"
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no id")
    text = value.lower().removeprefix("0x")
    if _HEX.fullmatch(plain := text.replace("-", "")):
        return plain
    if size := _BASE64_BYTES.get(len(value)):
        try:
            content = base64.b64decode(value, validate=True)
        except ValueError:
            return value
        if len(content) == size:
            return content.hex()
    return value


def parent_identifier(value: object) -> str | None:
    """Return the id of a parent; None where it is absent, empty or zero."""
    if value is None or value == "":
        return None
    parent = identifier(value)
    return parent if parent.strip("0") else None


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a decoded JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a decoded JSON value is a list."""
    return isinstance(value, list)


def members(value: object) -> dict[str, Any]:
    """Return the members of a JSON object, which may be given as text; none where it is no object."""
    if isinstance(value, str) and value[:1] == "{":
        try:
            value = json_text.loads(value.encode("utf-8", "replace"))
        except json_text.FAULTS:
            return {}
    return value if is_object(value) else {}


def integer(value: int | str) -> int:
    """Return an integer of 64 bits, or raise `ValueError`."""
    number = int(value)
    if not -_LATEST_NS <= number < _LATEST_NS:
        raise ValueError("it has more than 64 bits")
    return number


def count(value: object) -> int | None:
    """Return a number of tokens, also where it is `7.0` or a text; None where it is none, or makes no sense."""
    if isinstance(value, str):
        value = float(value) if _COUNT.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST:
        return None
    return int(value)


def attribute(value: Any, depth: int = 0) -> AttributeValue:
    """Return a JSON value as an attribute's: lists become tuples; what is nested over 50 deep becomes text."""
    if depth > _DEEPEST:
        return "…"
    if is_object(value):
        return {key: attribute(item, depth + 1) for key, item in value.items()}
    if is_list(value):
        return tuple(attribute(item, depth + 1) for item in value)
    if isinstance(value, int) and not -_LATEST_NS <= value < _LATEST_NS:
        return float(value) if abs(value) < _MOST_FLOAT else str(value)
    return value if isinstance(value, str | int | float | bool | bytes) or value is None else str(value)


def attributes(values: object) -> dict[str, AttributeValue]:
    """Return a JSON object's members as attributes; none where it is no object."""
    return {key: attribute(value) for key, value in members(values).items()}


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, AttributeValue]:
    """Return nested objects as dotted names (`{"llm": {"model_name": …}}` as `llm.model_name`)."""
    flat: dict[str, AttributeValue] = {}
    stack: list[tuple[str, Mapping[str, Any]]] = [(prefix, values)]
    while stack:
        head, inner = stack.pop()
        for key, value in inner.items():
            name = f"{head}{key}"
            if (below := members(value)) and name.count(".") < _DEEPEST:
                stack.append((f"{name}.", below))
            else:
                flat[name] = attribute(value)
    return flat


def binary(value: str | None) -> bytes | None:
    """Return the bytes that base64 text stands for."""
    return None if value is None else base64.b64decode(value)
