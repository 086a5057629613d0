from __future__ import annotations

from typing import Any

import pytest

from spanwise_pipeline.provider.schema import SchemaFiller


def fill(schema: dict[str, Any], **facts: str) -> Any:
    return SchemaFiller(schema, facts).fill()


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "number"}, 1),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 1),
        ({"const": "x"}, "x"),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": "string", "default": "d"}, "d"),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({}, "text"),
    ],
)
def test_without_facts_the_plainest_value_stands(schema: dict[str, Any], value: Any) -> None:
    assert fill(schema) == value


@pytest.mark.parametrize(
    ("schema", "fact", "value"),
    [
        ({"type": "string"}, "12", "12"),
        ({"type": "integer"}, "12", 12),
        ({"type": "integer"}, "12.5", 1),
        ({"type": "number"}, "12.50", 12.5),
        ({"type": "number"}, "many", 1),
        ({"type": "boolean"}, "yes", True),
        ({"type": "boolean"}, "maybe", False),
        ({"enum": ["a", "b"]}, "b", "b"),
        ({"enum": ["a", "b"]}, "c", "a"),
        ({"type": "array", "items": {"type": "string"}}, "x, y", ["x", "y"]),
        ({"type": "array", "items": {"type": "integer"}}, "x, y", []),
        ({"type": "array"}, '[{"id": 1}]', [{"id": 1}]),
        ({"type": "object", "properties": {"b": {"type": "integer"}}}, '{"b": 2}', {"b": 2}),
    ],
)
def test_a_fact_fills_the_property_of_its_name_where_it_fits(schema: dict[str, Any], fact: str, value: Any) -> None:
    assert fill({"type": "object", "properties": {"a": schema}}, a=fact) == {"a": value}


def test_local_references_are_followed_and_endless_ones_end() -> None:
    node: dict[str, Any] = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/node"}},
    }
    schema: dict[str, Any] = {"$ref": "#/$defs/node", "$defs": {"node": node}}

    value = fill(schema, name="n")

    assert value["next"]["next"]["name"] == "n"
    assert fill({"$ref": "#/$defs/missing"}) == "text"


def test_a_schema_that_grows_without_bound_is_filled_to_an_end() -> None:
    names = "abcdefgh"
    schema = {"type": "object", "properties": {name: {"$ref": "#"} for name in names}}

    assert sorted(fill(schema)) == list(names)
