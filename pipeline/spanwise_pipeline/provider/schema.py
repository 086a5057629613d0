"""Values for a JSON schema: from facts by property name, else the plainest value that the schema allows.

Covers what tool and output schemas use: type, enum, const, default, properties, items, anyOf/oneOf/allOf, and local
references. Exotic constraints (pattern, multipleOf) are not looked at.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline.provider.facts import number
from spanwise_pipeline.provider.fields import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise_pipeline.provider.fields import JsonObject

_MAX_DEPTH: Final = 8
_MAX_VALUES: Final = 2000
"""In one fill: schemas that refer to themselves twice grow without bound."""
_MAX_ITEMS: Final = 8
"""Of an array without a fact."""
_UNSET: Final = object()


class SchemaFiller:
    """Fills one schema; `facts` maps names to text, and `root` is where local references point."""

    def __init__(self, root: JsonObject, facts: Mapping[str, str]) -> None:
        self._root = root
        self._facts = facts
        self._values_left = _MAX_VALUES

    def fill(self) -> Any:
        """Return a value for the whole schema."""
        return self._plain(self._root, 0)

    def _resolve(self, schema: Any, depth: int) -> JsonObject:
        found: JsonObject = schema if is_object(schema) else {}
        while isinstance(found.get("$ref"), str) and depth < _MAX_DEPTH:
            found, depth = self._lookup(found["$ref"]), depth + 1
        for key in ("anyOf", "oneOf", "allOf"):
            options = _list(found, key)
            if options and depth < _MAX_DEPTH:
                return self._resolve(options[0], depth + 1)
        return found

    def _lookup(self, reference: str) -> JsonObject:
        node: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            node = node.get(part) if is_object(node) and part else node
        return node if is_object(node) else {}

    def _property(self, name: str, schema: Any, depth: int) -> Any:
        resolved = self._resolve(schema, depth)
        if name in self._facts:
            value = self._coerce(self._facts[name], resolved, depth)
            if value is not _UNSET:
                return value
        return self._plain(resolved, depth)

    def _plain(self, schema: Any, depth: int) -> Any:
        schema = self._resolve(schema, depth)
        self._values_left -= 1
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if options := _list(schema, "enum"):
            return options[0]
        kind = _kind(schema)
        deeper = depth < _MAX_DEPTH and self._values_left > 0
        if kind == "object" and deeper:
            properties = schema.get("properties")
            parts = properties if is_object(properties) else {}
            return {name: self._property(name, part, depth + 1) for name, part in parts.items()}
        if kind == "array" and deeper:
            return [self._plain(schema.get("items"), depth + 1) for _ in range(_count(schema, "minItems"))]
        return _scalar(kind, schema)

    def _coerce(self, text: str, schema: JsonObject, depth: int) -> Any:
        kind = _kind(schema)
        if kind in ("array", "object"):
            return self._compound(text, kind, schema, depth)
        value = _read(text, kind)
        options = _list(schema, "enum")
        return _UNSET if options and value not in options else value

    def _compound(self, text: str, kind: str, schema: JsonObject, depth: int) -> Any:
        parsed = _parsed(text)
        if is_list(parsed) if kind == "array" else is_object(parsed):
            return parsed
        if kind == "object":
            return _UNSET
        items = self._resolve(schema.get("items"), depth + 1)
        values = [self._coerce(part.strip(), items, depth + 1) for part in text.split(",")]
        return _UNSET if _UNSET in values else values


def _list(schema: JsonObject, key: str) -> list[Any]:
    value = schema.get(key)
    return value if is_list(value) else []


def _count(schema: JsonObject, key: str) -> int:
    value = schema.get(key)
    return min(value, _MAX_ITEMS) if isinstance(value, int) else 0


def _kind(schema: JsonObject) -> str:
    kind = schema.get("type")
    if is_list(kind):
        kind = next((name for name in kind if name != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "string"


def _scalar(kind: str, schema: JsonObject) -> Any:
    smallest = schema.get("minimum")
    if not isinstance(smallest, (int, float)):
        smallest = 1
    plain: JsonObject = {
        "integer": smallest,
        "number": smallest,
        "boolean": False,
        "null": None,
        "array": [],
        "object": {},
    }
    return plain.get(kind, "text")


def _read(text: str, kind: str) -> Any:
    value = number(text)
    if kind == "boolean":
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), _UNSET)
    if kind == "integer":
        return _UNSET if value is None or value != int(value) else int(value)
    if kind == "number":
        return _UNSET if value is None else plain_number(text)
    return text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def plain_number(text: str) -> float | str:
    """Return the number that `text` spells (an integer where it has no fraction), or `text` itself."""
    value = number(text)
    if value is None:
        return text
    return int(value) if value == int(value) and abs(value) < 2**53 else value
