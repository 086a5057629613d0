"""The JSON Schema of the budget file, for editors: made from the classes that read it, so that both know the same keys.

An editor knows types and keys and no more; `spanwise budgets check` also knows which values make sense.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import textwrap
import types
import typing
from collections.abc import Mapping
from typing import Any, Final

from spanwise_alerts.budgets import Budgets

SCHEMA_NAME: Final = "budgets.schema.json"
_TYPES: Final[Mapping[Any, str]] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema_text() -> str:
    """Return the JSON Schema as it is written to disk."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "spanwise budgets",
        **_of_class(Budgets),
    }
    return json.dumps(document, indent=2) + "\n"


def _of_class(schema: type[Any]) -> dict[str, Any]:
    hints, comments = typing.get_type_hints(schema), _comments(schema)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in dataclasses.fields(schema):
        properties[field.name] = _of_type(hints[field.name])
        if field.name in comments:
            properties[field.name]["description"] = comments[field.name]
        if field.default is not dataclasses.MISSING and field.default is not None:
            properties[field.name]["default"] = field.default
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            required.append(field.name)
    found: dict[str, Any] = {"type": "object", "description": _first_line(schema), "properties": properties}
    found["additionalProperties"] = False
    return found | ({"required": required} if required else {})


def _of_type(wanted: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        [kind] = [one for one in arguments if one is not types.NoneType]
        return _of_type(kind)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _of_type(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _of_type(arguments[1])}
    if dataclasses.is_dataclass(wanted):
        return _of_class(typing.cast("type[Any]", wanted))
    return {"type": _TYPES[wanted]}


def _comments(schema: type[Any]) -> dict[str, str]:
    """Return what stands below each field of a class and of those that it inherits from, as one line."""
    found: dict[str, str] = {}
    for one in reversed(schema.__mro__[:-1]):
        if not dataclasses.is_dataclass(one):
            continue
        [body] = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(body, ast.ClassDef)
        for field, comment in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(comment):
                found[field.target.id] = " ".join(str(comment.value.value).split())  # type: ignore[attr-defined]
    return found


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _first_line(schema: type[Any]) -> str:
    return (inspect.getdoc(schema) or "").partition("\n")[0]
