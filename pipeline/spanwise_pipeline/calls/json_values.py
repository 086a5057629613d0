"""Reading JSON that need not be what it should: the value where it has the type, else an empty one."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeGuard

JsonObject: TypeAlias = dict[str, Any]


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Tell whether `value` is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether `value` is a JSON array."""
    return isinstance(value, list)


def object_of(value: object) -> JsonObject:
    """Return `value` where it is an object, else an empty one."""
    return value if is_object(value) else {}


def list_of(value: object) -> list[Any]:
    """Return `value` where it is an array, else an empty one."""
    return value if is_list(value) else []


def text_of(value: object) -> str:
    """Return `value` where it is a string, else an empty one."""
    return value if isinstance(value, str) else ""
