"""What one destination gets: fewer spans, less content, and requests that it takes; the ledger says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import spanwise
from spanwise.content.filters import Outlet, portions, rule
from spanwise.destinations.otlp import Sender
from spanwise.journal.ledger import Ledger
from spanwise.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan


def made(*spans: tuple[str, dict[str, Any]]) -> tuple[ReadableSpan, ...]:
    found: list[ReadableSpan] = []
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    for name, attributes in spans:
        span: Any = tracer.start_span(name, attributes=attributes)
        span.end()
        found.append(span)
    return tuple(found)


SPANS = made(
    ("wait slots", {"n": 1}),
    ("GET /health", {"http.route": "/health/live", "sampled": True}),
    ("chat m", {"gen_ai.input.messages": "[]", "gen_ai.output.messages": "[]", "input.value": "x", "n": 2}),
)


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
    assert [span.name for span in Outlet(drop=drop).admitted(SPANS)] == left


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
    [*_, chat] = Outlet(content).admitted(SPANS)
    assert set(chat.attributes or {}) == left
    assert set(SPANS[2].attributes or {}) == {"gen_ai.input.messages", "gen_ai.output.messages", "input.value", "n"}


def test_a_rule_without_one_of_its_sides_is_an_error() -> None:
    for text in ("name", "name=", "=x"):
        with pytest.raises(ValueError, match=text):
            rule(text)


def test_requests_stay_below_what_a_receiver_takes() -> None:
    heavy = made(*((str(n), {"text": "x" * 2**20}) for n in range(5)), ("giant", {"text": "x" * 2**23}), ("6", {}))
    assert [[span.name for span in one] for one in portions(heavy)] == [["0", "1", "2"], ["3", "4"], ["giant"], ["6"]]
    assert list(portions(())) == []


class Receiver(SpanExporter):
    def __init__(self) -> None:
        self.got: list[tuple[str, list[str]]] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.got += [(span.name, sorted(span.attributes or {})) for span in spans]
        return SpanExportResult.SUCCESS


def test_the_ledger_counts_what_was_filtered() -> None:
    receiver, ledger = Receiver(), Ledger(("otlp",))
    recorder = Recorder(ledger=ledger, sender=Sender(receiver, ledger, Outlet((), ["name=wait *"])))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(recorder)
    tracer = provider.get_tracer("t")
    tracer.start_span("wait slots").end()
    tracer.start_span("chat m", attributes={"gen_ai.input.messages": "[]", "n": 1}).end()
    assert recorder.force_flush()
    recorder.shutdown()
    assert receiver.got == [("chat m", ["n"])]
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
