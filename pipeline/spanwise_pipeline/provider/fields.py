"""Reading fields of a request body: each reader checks one JSON type and raises OpenAI's 400 that names the field."""

from __future__ import annotations

from typing import Any, Final, TypeAlias, TypeGuard

from spanwise_pipeline.provider.errors import bad_request, missing, wrong_type

JsonObject: TypeAlias = dict[str, Any]
_LARGEST: Final = 2**63 - 1


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Tell whether `value` is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether `value` is a JSON array."""
    return isinstance(value, list)


def as_object(value: Any, param: str) -> JsonObject:
    """Return `value` as a JSON object."""
    if not is_object(value):
        raise wrong_type(param, "an object")
    return value


def as_list(value: Any, param: str) -> list[Any]:
    """Return `value` as a JSON array."""
    if not is_list(value):
        raise wrong_type(param, "an array")
    return value


def as_text(value: Any, param: str) -> str:
    """Return `value` as a string."""
    if not isinstance(value, str):
        raise wrong_type(param, "a string")
    return value


def required_text(body: JsonObject, name: str, param: str | None = None) -> str:
    """Return the non-empty string `body[name]`; `param` is its path in messages."""
    if not body.get(name):
        raise missing(param or name)
    return as_text(body[name], param or name)


def optional_flag(body: JsonObject, name: str, *, default: bool = False) -> bool:
    """Return the boolean `body[name]`, or `default` where it is absent or null."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise wrong_type(name, "a boolean")
    return value


def optional_object(body: JsonObject, name: str) -> JsonObject:
    """Return the object `body[name]`, empty where it is absent or null."""
    value = body.get(name)
    return {} if value is None else as_object(value, name)


def optional_count(body: JsonObject, name: str) -> int | None:
    """Return the positive integer `body[name]`, or None where it is absent or null."""
    value = optional_integer(body, name)
    if value is not None and value < 1:
        raise bad_request(f"Invalid '{name}': expected a value >= 1, got {value}.", name, "integer_below_min_value")
    return value


def optional_integer(body: JsonObject, name: str) -> int | None:
    """Return the integer `body[name]`, or None where it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, "an integer")
    if abs(value) > _LARGEST:
        code = "integer_above_max_value" if value > 0 else "integer_below_min_value"
        raise bad_request(f"Invalid '{name}': expected an integer of at most 64 bits.", name, code)
    return value


def content_text(value: Any, param: str) -> str:
    """Return the text of a message's content: a string, nothing, or the text parts of a list joined by line breaks."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    parts = [as_object(part, f"{param}[{i}]") for i, part in enumerate(as_list(value, param))]
    texts = [part["text"] for part in parts if part.get("text") is not None]
    return "\n".join(as_text(text, param) for text in texts)
