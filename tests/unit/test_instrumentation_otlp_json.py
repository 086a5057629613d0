"""A journal line says what OpenTelemetry's protobuf encoder says of the same spans."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from spanwise.otlp.json_encoder import encode

EVERY_TYPE: dict[str, Any] = {
    "text": 'Größe 📈\n"quoted"',
    "empty": "",
    "yes": True,
    "no": False,
    "integer": 3,
    "zero": 0,
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "float": 0.1,
    "whole": 2.0,
    "large": 1e300,
    "nan": float("nan"),
    "infinite": float("inf"),
    "negative": float("-inf"),
    "bytes": b"\x00\xff",
    "texts": ("a", "b"),
    "integers": (1, 2),
    "mixed": (True, 1, 1.5, "x", None),
    "nothing": (),
    "none": None,
    "mapping": {"a": 1, "b": {"c": (1.5, "x")}},
    "empty mapping": {},
}
RESOURCE = Resource({"service.name": "desk", "spanwise.time.scale": 20.0}, schema_url="https://schema/1")
SCOPE = InstrumentationScope("spanwise", "0.1.0", "https://schema/2", {"a": 1})


def context(span_id: int, *, remote: bool = False, state: TraceState | None = None) -> SpanContext:
    return SpanContext(2**127 + 5, span_id, remote, TraceFlags(1), state)


def full(span_id: int = 3, **changes: Any) -> ReadableSpan:
    settings: dict[str, Any] = {
        "name": "chat größe",
        "context": context(span_id, state=TraceState([("vendor", "v"), ("other", "o")])),
        "parent": context(2, remote=True),
        "resource": RESOURCE,
        "attributes": EVERY_TYPE,
        "events": (Event("retry", {"attempt": 1}, timestamp=10**18 + 1), Event("bare", timestamp=10**18 + 2)),
        "links": (Link(context(9), {"spanwise.link.reason": "waits_on"}), Link(context(8, remote=True))),
        "kind": SpanKind.CLIENT,
        "status": Status(StatusCode.ERROR, "refused"),
        "start_time": 10**18,
        "end_time": 10**18 + 7,
        "instrumentation_scope": SCOPE,
    }
    return ReadableSpan(**settings | changes)


def bare(span_id: int = 4, **changes: Any) -> ReadableSpan:
    least: dict[str, Any] = {
        "context": context(span_id),
        "parent": None,
        "attributes": {},
        "events": (),
        "links": (),
        "status": Status(),
    }
    return full(**least | changes)


def encoders_words(spans: list[ReadableSpan]) -> Any:
    return with_hex_ids(MessageToDict(encode_spans(spans), use_integers_for_enums=True))


def with_hex_ids(value: Any) -> Any:
    """Turn protobuf's base64 ids into the hexadecimal ones of OTLP/JSON."""
    if isinstance(value, list):
        return [with_hex_ids(one) for one in value]
    if not isinstance(value, dict):
        return value
    ids = {"traceId", "spanId", "parentSpanId"}
    return {key: base64.b64decode(one).hex() if key in ids else with_hex_ids(one) for key, one in value.items()}


@pytest.mark.parametrize(
    "spans",
    [
        [],
        [full()],
        [bare()],
        [bare(kind=kind) for kind in SpanKind],
        [bare(status=Status(StatusCode.OK)), bare(status=Status(StatusCode.ERROR))],
        [full(parent=context(2)), bare(resource=Resource({})), bare(instrumentation_scope=None), full(5)],
        [
            bare(resource=Resource({"a": 1}), instrumentation_scope=InstrumentationScope("x")),
            bare(resource=Resource({"a": 1}), instrumentation_scope=InstrumentationScope("x")),
            bare(resource=Resource({"a": 1}), instrumentation_scope=InstrumentationScope("y")),
        ],
    ],
    ids=["nothing", "everything", "the least", "every kind", "status", "mixed", "equal resources and scopes"],
)
def test_a_line_is_what_the_protobuf_encoder_says(spans: list[ReadableSpan]) -> None:
    line = encode(spans)
    assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
    expected = encoders_words(spans)
    assert json.loads(line) == ({"resourceSpans": []} if not spans else expected)


def test_text_that_is_no_unicode_gets_question_marks() -> None:
    line = encode([bare(name="a\udcffb", resource=Resource({"k": "\ud800"}))])
    document = json.loads(line)
    [group] = document["resourceSpans"]
    assert group["resource"]["attributes"] == [{"key": "k", "value": {"stringValue": "?"}}]
    assert group["scopeSpans"][0]["spans"][0]["name"] == "a?b"


def test_an_integer_beyond_sixty_four_bits_becomes_text() -> None:
    line = encode([bare(resource=Resource({"k": 2**64}))])
    [group] = json.loads(line)["resourceSpans"]
    assert group["resource"]["attributes"] == [{"key": "k", "value": {"stringValue": str(2**64)}}]


SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(), st.binary()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3)
)


@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=5))
@settings(deadline=None, max_examples=100)
def test_any_attributes_are_what_the_protobuf_encoder_says(attributes: dict[str, Any]) -> None:
    spans = [bare(attributes=BoundedAttributes(attributes=attributes))]
    assert json.loads(encode(spans)) == encoders_words(spans)
