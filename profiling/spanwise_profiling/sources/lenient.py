"""Decoding into typed messages where a detail may be odd: that detail is lost, and what it is part of stays.

The strict decoder is tried first and is enough for sound files. Where it refuses, each field is fitted by itself: a
number in place of a text, an integer as `7.0` or `"7"`, an object as JSON text or as pairs. What does not fit is left
out and counted by the name of its field. Only what has no meaning without the field is given up.
"""

from __future__ import annotations

import types
import typing
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec

from spanwise_profiling.sources import json_text
from spanwise_profiling.sources.values import is_list, is_object

if typing.TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from spanwise_profiling.sources.place import Place

T = TypeVar("T")
_DEEPEST: Final = 100
_UNIONS: Final = (typing.Union, types.UnionType)
_TRUTHS: Final = {"true": True, "false": False, "1": True, "0": False}


_WORDS: Final = {"str": "text", "int": "whole number", "float": "number", "dict": "object"}


class UnfitError(ValueError):
    """A value that cannot be what it should be."""


def decoder(model: type[T], essential: AbstractSet[str] = frozenset()) -> Callable[[bytes, Place], T]:
    """Return what decodes JSON into `model`.

    Args:
        model: A type of msgspec.
        essential: Names of fields without which the value says nothing, required or not.

    Raises (the returned function):
        ValueError: the value has not even the fields that it needs.
    """
    strict = msgspec.json.Decoder(model)

    def decode(content: bytes, place: Place) -> T:
        try:
            return strict.decode(content)
        except (msgspec.MsgspecError, ValueError):
            return fitted(json_text.loads(content), model, place, essential)

    return decode


def fitted(value: Any, model: type[T], place: Place, essential: AbstractSet[str] = frozenset()) -> T:
    """Return a decoded JSON value as `model`; what does not fit is told to `place`.

    Raises:
        ValueError: as in `decoder`.
    """
    try:
        return msgspec.convert(value, model)
    except (msgspec.MsgspecError, ValueError):
        fit: T = _Fitting(place, essential).fit(value, model, 0)
        return fit


class _Fitting:
    def __init__(self, place: Place, essential: AbstractSet[str]) -> None:
        self._place, self._essential = place, essential

    def fit(self, value: Any, kind: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise UnfitError("is nested too deeply")
        options = get_args(kind) if get_origin(kind) in _UNIONS else (kind,)
        if value is None and type(None) in options:
            return None
        why = ""
        for option in options:
            try:
                return self._as(value, option, depth)
            except UnfitError as error:
                why = why or str(error)
        raise UnfitError(why)

    def _as(self, value: Any, option: Any, depth: int) -> Any:
        origin = get_origin(option) or option
        if option is Any:
            return value
        if origin in (list, dict) or _is_struct(origin):
            return self._as_container(_opened(value), option, origin, depth)
        return _scalar(value, origin)

    def _as_container(self, value: Any, option: Any, origin: Any, depth: int) -> Any:
        if _is_struct(origin) and isinstance(value, dict):
            return self._struct(typing.cast("dict[str, Any]", value), option, depth)
        members = get_args(option)
        listed: Any = value
        if origin is list and is_object(value) and _is_struct(get_origin(members[0]) or members[0]):
            listed = _pairs(value, members[0])
        if origin is list and is_list(listed):
            return self._list(listed, members[0] if members else Any, depth)
        if origin is dict and isinstance(value, dict):
            kind = members[1] if members else Any
            return {str(key): self.fit(item, kind, depth + 1) for key, item in typing.cast("Any", value).items()}
        raise UnfitError(f"{_shown(value)} is no {_named(option)}")

    def _list(self, values: list[Any], kind: Any, depth: int) -> list[Any]:
        kept: list[Any] = []
        for value in values:
            try:
                kept.append(self.fit(value, kind, depth + 1))
            except ValueError as error:
                self._place.skip(f"{_named(kind)}: {error}")
        return kept

    def _struct(self, value: dict[str, Any], model: Any, depth: int) -> Any:
        given: dict[str, Any] = {}
        for field in msgspec.structs.fields(model):
            if field.encode_name not in value:
                if field.required:
                    raise UnfitError(f"has no {field.encode_name}")
                continue
            try:
                given[field.name] = self.fit(value[field.encode_name], field.type, depth + 1)
            except ValueError as error:
                if field.required or field.encode_name in self._essential:
                    raise UnfitError(f"{field.encode_name}: {error}") from None
                self._place.note(f"value(s) of {field.encode_name} that cannot be read, left out")
        return model(**given)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _opened(value: Any) -> Any:
    """Return what JSON in a text stands for, as databases keep objects."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json_text.loads(value.encode("utf-8", "replace"))
        except json_text.FAULTS:
            return value
    return value


def _pairs(value: dict[str, Any], model: Any) -> list[Any]:
    """Return an object as the pairs of key and value that OTLP has in place of objects."""
    names = [field.encode_name for field in msgspec.structs.fields(model)]
    if names[:2] != ["key", "value"]:
        raise UnfitError("is an object, not a list")
    return [{"key": key, "value": _any_value(item)} for key, item in value.items()]


def _any_value(value: Any) -> dict[str, Any]:
    if is_list(value):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    if is_object(value):
        return {"kvlistValue": {"values": [{"key": key, "value": _any_value(item)} for key, item in value.items()]}}
    plain = {bool: "boolValue", str: "stringValue", int: "intValue", float: "doubleValue"}
    return {plain[type(value)]: value} if type(value) in plain else {}


def _scalar(value: Any, kind: Any) -> Any:
    """Return `value` as text, number or truth; raises `UnfitError` where it is none."""
    wrong = UnfitError(f"{_shown(value)} is no {_named(kind)}")
    is_truth, is_plain = isinstance(value, bool), isinstance(value, str | int | float)
    try:
        if kind is str and is_plain:
            return str(value).lower() if is_truth else str(value)
        if kind is bool and is_plain:
            return _TRUTHS[str(value).lower()]
        if kind in (int, float) and is_plain and not is_truth:
            whole = isinstance(value, int) or str(value).isdecimal()
            return float(value) if kind is float else int(value) if whole else _whole(float(value))
    except (KeyError, ValueError, OverflowError):
        raise wrong from None
    raise wrong


def _whole(number: float) -> int:
    if not number.is_integer():
        raise UnfitError(f"{number} is no whole number")
    return int(number)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:37]}..."  # noqa: PLR2004 - fits a line


def _named(kind: Any) -> str:
    if get_origin(kind) in _UNIONS:
        return " or ".join(_named(option) for option in get_args(kind) if option is not type(None))
    name = getattr(get_origin(kind) or kind, "__name__", str(kind))
    return {"str": "text", "int": "whole number", "float": "number", "dict": "object"}.get(
        name, name.strip("_").lower()
    )
