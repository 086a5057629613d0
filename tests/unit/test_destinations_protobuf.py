"""Journaled JSON becomes the protobuf that OpenTelemetry's own encoder makes of the same spans."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState, set_span_in_context

from spanwise.content.outlet import Outlet
from spanwise.destinations import batches
from spanwise.otlp import json_encoder as otlp_json
from spanwise.otlp.protobuf import varint


def made(**attributes: Any) -> ReadableSpan:
    provider = TracerProvider(shutdown_on_exit=False, resource=Resource({"service.name": "desk", "n": 3}, "https://r"))
    tracer = provider.get_tracer("library", "1.2", "https://scope", {"scope": True})
    outer = tracer.start_span("outer")
    context = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")]))
    span = tracer.start_span(
        "chat m", set_span_in_context(outer), attributes=attributes, links=[Link(context, {"why": "it waited"})]
    )
    span.add_event("happened", {"count": 2}, 1_700_000_000_000_000_001)
    span.set_status(Status(StatusCode.ERROR, "no position"))
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


def sent(*spans: ReadableSpan, outlet: Outlet | None = None) -> ExportTraceServiceRequest:
    entries = batches.entries(otlp_json.encode(spans), len(spans), outlet or Outlet())
    return ExportTraceServiceRequest.FromString(batches.request(entries))


VALUES: dict[str, Any] = {
    "text": "ünï\n😀", "long": "x" * 1000, "empty": "", "true": True, "false": False, "zero": 0, "small": 127,
    "large": 2**62, "negative": -1, "least": -(2**63), "float": 0.1, "whole": 2.0, "list": ["a", "b"], "ints": [1, -2],
    "none of it": [], "bytes": b"\x00\xff",
}  # fmt: skip


def test_a_span_with_everything_is_what_opentelemetry_makes_of_it() -> None:
    span = made(**VALUES)
    assert sent(span) == encode_spans([span])


def test_spans_are_grouped_by_resource_and_scope() -> None:
    spans = [made(n=number) for number in range(3)]
    assert sent(*spans) == encode_spans(spans)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_floats_that_json_lacks_arrive(value: float) -> None:
    [of_resource] = sent(made(x=value)).resource_spans
    [attribute] = of_resource.scope_spans[0].spans[0].attributes
    assert repr(attribute.value.double_value) == repr(value)


@given(st.integers(0, 2**64 - 1))
@settings(max_examples=200)
def test_integers_are_encoded_as_protobuf_decodes_them(number: int) -> None:
    encoded, value = varint(number), 0
    for position, byte in enumerate(encoded):
        value |= (byte & 0x7F) << (7 * position)
    assert (value, [byte >> 7 for byte in encoded]) == (number, [1] * (len(encoded) - 1) + [0])


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_SCALARS = st.one_of(_TEXTS, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))


@given(st.dictionaries(_TEXTS.filter(bool), st.one_of(_SCALARS, st.lists(_TEXTS, max_size=3)), max_size=8))
@settings(max_examples=100, deadline=None)
def test_any_attributes_are_what_opentelemetry_makes_of_them(attributes: dict[str, Any]) -> None:
    span = made(**attributes)
    assert sent(span) == encode_spans([span])


def test_what_another_program_wrote_is_taken_whole() -> None:
    document = (
        b'{"resourceSpans":[{"resource":{"attributes":[],"droppedAttributesCount":2},"scopeSpans":[{"scope":{"name":"s",'
        b'"droppedAttributesCount":3},"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708",'
        b'"traceState":"k=v","name":"n","kind":2,"startTimeUnixNano":1,"endTimeUnixNano":"2","droppedAttributesCount":4,'
        b'"droppedEventsCount":5,"droppedLinksCount":6,"attributes":[{"key":"m","value":{"kvlistValue":{"values":[{"key":'
        b'"a","value":{"intValue":5}}]}}},{"key":"nothing","value":{}}],"unknown":1}]}]}]}'
    )
    [entry] = batches.entries(document, 1, Outlet())
    message = json_format.MessageToDict(ExportTraceServiceRequest.FromString(batches.request([entry])))
    [span] = message["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceState"], span["kind"], span["droppedLinksCount"]) == ("k=v", "SPAN_KIND_SERVER", 6)
    assert span["attributes"] == [
        {"key": "m", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": "5"}}]}}},
        {"key": "nothing", "value": {}},
    ]


@pytest.mark.parametrize(
    "span",
    [b'{"spanId":"0102030405060708"}', b'{"traceId":"xyz","spanId":"01"}', b'{"traceId":"01","spanId":"01"}', b"3"],
)
def test_what_cannot_be_encoded_has_a_fault_and_the_others_are_sent(span: bytes) -> None:
    sound = b'{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"}'
    payload = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b,%b]}]}]}' % (span, sound)
    broken, whole = batches.entries(payload, 2, Outlet())
    assert (broken.wire, broken.fault[:18], whole.fault) == (None, "cannot be encoded:", "")


def test_a_payload_that_is_no_request_counts_its_spans() -> None:
    for payload in (b"{", b"[]", b"{}", b'{"resourceSpans":3}'):
        assert [entry.fault[:14] for entry in batches.entries(payload, 3, Outlet())] == ["cannot be read"] * 3


def test_spans_that_were_purged_from_a_record_have_expired() -> None:
    entries = batches.entries(otlp_json.encode([made()]), 3, Outlet())
    assert [entry.is_expired for entry in entries] == [False, True, True]
