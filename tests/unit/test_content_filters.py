"""What one destination gets: fewer spans, less content, and requests that it takes; the ledger says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from support.deliveries import Line
from support.otlp_json import attributes

import spanwise
from spanwise.content.outlet import Outlet, rule
from spanwise.destinations.batches import MOST_SPANS, Entry, portions
from spanwise.destinations.sending import Sender
from spanwise.journal.ledger import Ledger
from spanwise.recording.processor import RecordingProcessor

if TYPE_CHECKING:
    from collections.abc import Mapping


def made(*spans: tuple[str, dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple({"name": name, "attributes": attributes(values)} for name, values in spans)


SPANS = made(
    ("wait slots", {"n": 1}),
    ("GET /health", {"http.route": "/health/live", "sampled": True}),
    ("chat m", {"gen_ai.input.messages": "[]", "gen_ai.output.messages": "[]", "input.value": "x", "n": 2}),
)


def keys(span: Mapping[str, Any] | None) -> set[str]:
    assert span is not None
    return {pair["key"] for pair in span["attributes"]}


@pytest.mark.parametrize(
    ("drop", "left"),
    [
        ([], ["wait slots", "GET /health", "chat m"]),
        (["name=wait *"], ["GET /health", "chat m"]),
        (["http.route=/health*", "n=1"], ["chat m"]),
        (["sampled=true"], ["wait slots", "chat m"]),
        (["name=chat"], ["wait slots", "GET /health", "chat m"]),
    ],
)
def test_rules_keep_spans_from_a_destination(drop: list[str], left: list[str]) -> None:
    outlet = Outlet(drop=drop)
    assert [span["name"] for span in SPANS if outlet.admitted(span) is not None] == left


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (("same",), {"gen_ai.input.messages", "gen_ai.output.messages", "input.value", "n"}),
        ((), {"n"}),
        (("completions",), {"gen_ai.output.messages", "n"}),
    ],
)
def test_a_destination_gets_only_the_kinds_of_content_that_are_its_own(
    content: tuple[str, ...], left: set[str]
) -> None:
    assert keys(Outlet(content).admitted(SPANS[2])) == left
    assert keys(SPANS[2]) == {"gen_ai.input.messages", "gen_ai.output.messages", "input.value", "n"}


def test_content_in_events_is_kept_from_a_destination_too() -> None:
    event = {"name": "e", "attributes": attributes({"gen_ai.event.content": "secret", "n": 1})}
    admitted = Outlet(()).admitted({**SPANS[0], "events": [event]})
    assert admitted is not None
    assert [keys(event) for event in admitted["events"]] == [{"n"}]


def test_rules_see_values_of_every_type() -> None:
    span: dict[str, Any] = {
        "name": "s",
        "attributes": [
            {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}}},
            {"key": "float", "value": {"doubleValue": 0.5}},
            {"key": "nothing", "value": {}},
            {"key": "none"},
        ],
    }
    for text in ("list=a,b", "float=0.5"):
        assert Outlet(drop=[text]).admitted(span) is None
    assert Outlet(drop=["nothing=x", "none=x", "absent=*"]).admitted(span) == span


def test_a_rule_without_one_of_its_sides_is_an_error() -> None:
    for text in ("name", "name=", "=x"):
        with pytest.raises(ValueError, match=text):
            rule(text)


def test_requests_stay_below_what_a_receiver_takes() -> None:
    weights = [2**20] * 5 + [2**23, 1]
    heavy = [Entry((b"", b"", b"x" * weight), None) for weight in weights]
    assert [[entry.weight for entry in one] for one in portions(heavy)] == [weights[:3], weights[3:5], [2**23], [1]]
    assert [len(one) for one in portions(heavy[-1:] * (2 * MOST_SPANS + 1))] == [MOST_SPANS, MOST_SPANS, 1]
    assert list(portions(())) == []


def test_the_ledger_counts_what_was_filtered() -> None:
    line, ledger = Line(), Ledger(("otlp",))
    sender = Sender("otlp", line, Outlet((), ["name=wait *"]), ledger, journaled=False)
    provider = TracerProvider(shutdown_on_exit=False)
    recorder = RecordingProcessor(ledger=ledger, destinations=(sender,))
    provider.add_span_processor(recorder)
    tracer = provider.get_tracer("t")
    tracer.start_span("wait slots").end()
    tracer.start_span("chat m", attributes={"gen_ai.input.messages": "[]", "n": 1}).end()
    assert recorder.force_flush()
    recorder.shutdown()
    assert line.accepted == ["chat m"]
    assert ledger.counts().destinations == {
        "otlp": {"delivered": 1, "pending": 0, "set_aside": 0, "filtered": 1, "expired": 0}
    }


@pytest.mark.usefixtures("isolated_provider")
def test_the_settings_reach_the_destination() -> None:
    telemetry = spanwise.configure(
        endpoint="http://127.0.0.1:1", shutdown_timeout=0.05, otlp_content="none", otlp_drop=["name=step *"]
    )
    with spanwise.step("s"):
        pass
    assert telemetry.flush(timeout=5)
    assert telemetry.ledger().destinations["otlp"]["filtered"] == 1
