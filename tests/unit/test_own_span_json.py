"""Spans of ours as JSON from remembered pieces: what is remembered lets nothing through, and confuses nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

import spanwise
from spanwise.config.settings import Settings
from spanwise.content.filter import ContentFilter
from spanwise.journal import reader
from spanwise.otel.span import Watch
from spanwise.otlp.json_values import value_of
from spanwise.otlp.own_span_json import OwnSpanEncoder
from spanwise.process.memo import Memo
from spanwise.recording.processor import RecordingProcessor
from spanwise.recording.tracer import OwnTracer

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise.otel.span import OwnSpan

CARD = 4_111_111_111_111_111
MAIL = "ann@example.com"


class Taking(RecordingProcessor):
    """Keeps nothing."""

    def take(self, span: Any) -> None:
        pass


def ended(name: str = "s", **attributes: Any) -> OwnSpan:
    """Return an ended span with these attributes; `__` in a name stands for a dot."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    assert isinstance(tracer, Tracer)
    own_tracer = OwnTracer(tracer, Taking(), Watch(others=False))
    about = {key.replace("__", "."): value for key, value in attributes.items()}
    span = own_tracer.start(name, SpanKind.INTERNAL, about, Context())
    span.end()
    return span


class Guarded:
    """Encodes spans that may be recorded as they are."""

    def __init__(self, **settings: Any) -> None:
        self._filter = ContentFilter(Settings(**settings))
        self._encoder = OwnSpanEncoder(value_of)

    def text(self, span: OwnSpan) -> bytes | None:
        return self._encoder.encode(span) if self._filter.admit(span) is span else None


def values(encoder: Guarded, span: OwnSpan) -> dict[str, Any] | None:
    """Return the attributes that were written, with their OTLP types; none where the span was not."""
    text = encoder.text(span)
    return None if text is None else {one["key"]: one["value"] for one in json.loads(text).get("attributes", [])}


def test_numbers_that_are_equal_keep_their_types() -> None:
    encoder = Guarded()
    numbers: dict[str, Any] = {"a": 1, "b": True, "c": 1.0, "d": 0, "e": False, "f": -0.0, "g": -(2**63)}
    for _ in range(2):
        assert values(encoder, ended(**numbers)) == {
            "a": {"intValue": "1"}, "b": {"boolValue": True}, "c": {"doubleValue": 1.0}, "d": {"intValue": "0"},
            "e": {"boolValue": False}, "f": {"doubleValue": -0.0}, "g": {"intValue": str(-(2**63))},
        }  # fmt: skip


@pytest.mark.parametrize(
    "attributes",
    [
        {"app__text": MAIL},
        {"app__password": "tulip"},
        {"app__password": 7},
        {"app__number": CARD},
        {"app__texts": ("a", MAIL)},
        {"gen_ai__input__messages": "hello"},
        {"app__long": "x" * 300},
    ],
)
def test_a_span_that_has_to_be_changed_is_not_written_however_often_it_comes(attributes: dict[str, Any]) -> None:
    encoder = Guarded(content_limit=200)
    assert [values(encoder, ended(**attributes)) for _ in range(3)] == [None] * 3
    assert values(encoder, ended(app__text="fine")) == {"app.text": {"stringValue": "fine"}}


def test_nor_is_one_whose_name_or_status_has_to_be_looked_at() -> None:
    encoder = Guarded()
    said = ended()
    said._status = Status(StatusCode.ERROR, "words")
    assert [encoder.text(ended(f"to {MAIL}")), encoder.text(ended(f"to {MAIL}")), encoder.text(said)] == [None] * 3


def test_a_text_that_is_harmless_under_one_name_is_not_let_through_under_another() -> None:
    encoder = Guarded()
    assert values(encoder, ended(app__text="tulip")) == {"app.text": {"stringValue": "tulip"}}
    assert values(encoder, ended(app__password="tulip")) is None


def test_any_name_is_written_as_it_is() -> None:
    names = ["100%", "%s %d %%", 'a "quoted" one', "größe", "a\nb", "{0}"]
    about: dict[str, Any] = dict.fromkeys(names, "100 %")
    span = ended(**about)
    assert values(Guarded(), span) == {name: {"stringValue": "100 %"} for name in names}


def test_what_is_remembered_is_bounded() -> None:
    memo: Memo[str, str] = Memo(str.upper, most=10, fits=lambda key, _: len(key) < 600)
    for number in range(35):
        assert memo[f"value {number}"] == f"VALUE {number}"
    assert memo["x" * 1_000] == "X" * 1_000
    assert len(memo) <= 10
    assert all(len(key) < 600 for key in memo)


@pytest.mark.usefixtures("isolated_provider")
def test_a_journal_has_harmless_and_redacted_spans_side_by_side_in_their_order(tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path)
    for text in ("one", MAIL, "one", MAIL):
        with spanwise.step("s") as step:
            step.set("app.text", text)
    assert telemetry.flush()
    written = [span.attributes["app.text"] for span in reader.read(tmp_path)]
    assert written == ["one", "[redacted:email]", "one", "[redacted:email]"]
