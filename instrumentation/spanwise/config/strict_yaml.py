"""YAML into frozen dataclasses, refusing everything that plain loading lets through in silence.

A duplicate key, an unknown key, a missing key and a value of the wrong type are each one `InputError` that names file,
line and remedy. Plain YAML loading keeps the last duplicate and leaves unknown keys to whoever reads them.

A schema is a (frozen) dataclass whose fields are `str`, `int`, `float`, `bool`, `Literal[...]`, an optional of these,
`tuple[T, ...]`, `Mapping[str, T]`, a class with a class method `parse(text)` that raises `ValueError`, or another such
dataclass. A `ValueError` from `__post_init__` is reported at the mapping's line.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from spanwise.errors import InputError, nearest

T = TypeVar("T")
_KIND = {"str": "text", "int": "integer", "float": "number", "bool": "boolean", "null": "nothing"}


def load(path: str | Path, schema: type[T]) -> T:
    """Read the YAML file at `path` as a `schema`; raises `InputError` with file, line and remedy."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    return loads(text, schema, source=str(path))


def loads(text: str, schema: type[T], *, source: str) -> T:
    """Read YAML `text` as a `schema`; `source` stands for the file in messages."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{source}{line}: not valid YAML: {problem}") from None
    if node is None and typing.get_origin(schema) is Mapping:
        return typing.cast("T", types.MappingProxyType({}))
    if node is None:
        raise InputError(f"{source}: empty; it needs the keys {', '.join(f.name for f in _fields(schema))}")
    return typing.cast("T", _Reader(source).read(node, schema, where=""))


def _fields(schema: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    return tuple(field for field in dataclasses.fields(schema) if field.init)


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source

    def read(self, node: yaml.Node, wanted: Any, where: str) -> Any:
        origin = typing.get_origin(wanted)
        if origin in (types.UnionType, typing.Union):
            return self._optional(node, wanted, where)
        if origin is typing.Literal:
            return self._literal(node, wanted, where)
        if origin is tuple:
            return self._sequence(node, typing.get_args(wanted)[0], where)
        if origin is Mapping:
            return self._mapping(node, typing.get_args(wanted)[1], where)
        if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
            return self._dataclass(node, wanted, where)
        return self._scalar(node, wanted, where)

    def _parsed(self, node: yaml.ScalarNode, parse: Any, where: str) -> Any:
        try:
            return parse(node.value)
        except ValueError as error:
            raise self._fail(node, where, str(error)) from None

    def _fail(self, node: yaml.Node, where: str, problem: str) -> InputError:
        at = f"{where}: " if where else ""
        return InputError(f"{self._source}:{node.start_mark.line + 1}: {at}{problem}")

    def _optional(self, node: yaml.Node, wanted: Any, where: str) -> Any:
        kinds = [kind for kind in typing.get_args(wanted) if kind is not types.NoneType]
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            return None
        return self.read(node, kinds[0], where)

    def _literal(self, node: yaml.Node, wanted: Any, where: str) -> Any:
        allowed = typing.get_args(wanted)
        value = self._scalar(node, type(allowed[0]), where)
        if value not in allowed:
            raise self._fail(node, where, f"unknown value {value!r}; {nearest(str(value), map(str, allowed))}")
        return value

    def _sequence(self, node: yaml.Node, item: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._fail(node, where, f"a list is needed, this is {_describe(node)}; start each entry with '- '")
        return tuple(self.read(entry, item, f"{where}[{i}]") for i, entry in enumerate(node.value))

    def _entries(self, node: yaml.Node, where: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self._fail(node, where, f"'key: value' lines are needed, this is {_describe(node)}")
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in entries:
                first = entries[name][0].start_mark.line + 1
                raise self._fail(key, where, f"duplicate key {name!r} (first on line {first}); remove one of the two")
            entries[name] = (key, value)
        return entries

    def _mapping(self, node: yaml.Node, item: Any, where: str) -> Mapping[str, Any]:
        entries = self._entries(node, where)
        return types.MappingProxyType(
            {name: self.read(v, item, _join(where, name)) for name, (_, v) in entries.items()}
        )

    def _dataclass(self, node: yaml.Node, wanted: type[Any], where: str) -> Any:
        entries = self._entries(node, where)
        fields = {field.name: field for field in _fields(wanted)}
        for name, (key, _) in entries.items():
            if name not in fields:
                raise self._fail(key, where, f"unknown key {name!r}; {nearest(name, fields)}")
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and name not in entries:
                raise self._fail(node, where, f"the key {name!r} is missing; add it")
        hints = typing.get_type_hints(wanted)
        values = {name: self.read(value, hints[name], _join(where, name)) for name, (_, value) in entries.items()}
        try:
            return wanted(**values)
        except ValueError as error:
            raise self._fail(node, where, str(error)) from None

    def _scalar(self, node: yaml.Node, wanted: Any, where: str) -> Any:
        kind = _describe(node)
        if isinstance(node, yaml.ScalarNode) and (parse := getattr(wanted, "parse", None)) is not None:
            return self._parsed(node, parse, where)
        scalars = {str: {"text"}, int: {"integer"}, float: {"integer", "number"}, bool: {"boolean"}}
        accepted: set[str] = scalars.get(wanted, set())
        if kind not in accepted:
            hint = "; put it in quotes" if wanted is str and isinstance(node, yaml.ScalarNode) else ""
            raise self._fail(node, where, f"{_article(wanted)} is needed, this is {kind}{hint}")
        loader: Any = yaml.SafeLoader("")
        value = node.value if wanted is str else loader.construct_object(node)
        return float(value) if wanted is float else value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _describe(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    short = node.tag.rsplit(":", 1)[-1]
    return _KIND.get(short, short)


def _article(wanted: type[Any]) -> str:
    words = {str: "text", int: "an integer", float: "a number", bool: "true or false"}
    return words.get(wanted, f"a {wanted.__name__.lower()}")
