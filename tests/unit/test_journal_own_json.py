"""Spans of ours as JSON from remembered pieces: what is remembered lets nothing through, and confuses nothing."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

import spanwise
from spanwise.config.settings import Settings
from spanwise.content.guard import Guard
from spanwise.content.redact import LARGE
from spanwise.journal import otlp_json, own_json, reader
from spanwise.recorder import Recorder
from spanwise.span_maker import SpanMaker, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from spanwise.own_span import OwnSpan

CARD = 4_111_111_111_111_111
MAIL = "ann@example.com"


class Taking(Recorder):
    """Keeps nothing."""

    def take(self, span: Any) -> None:
        pass


def ended(name: str = "s", **attributes: Any) -> OwnSpan:
    """Return an ended span with these attributes; `__` in a name stands for a dot."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    assert isinstance(tracer, Tracer)
    maker = SpanMaker(tracer, Taking(), Watch(others=False))
    about = {key.replace("__", "."): value for key, value in attributes.items()}
    span = maker.start(name, SpanKind.INTERNAL, about, Context())
    span.end()
    return span


def guarded(**settings: Any) -> own_json.OwnJson:
    return otlp_json.own_json(Guard(Settings(**settings)))


def values(encoder: own_json.OwnJson, span: OwnSpan) -> dict[str, Any] | None:
    """Return the attributes that were written, with their OTLP types; none where the span was not."""
    text = encoder.text(span)
    return None if text is None else {one["key"]: one["value"] for one in json.loads(text).get("attributes", [])}


def test_numbers_that_are_equal_keep_their_types() -> None:
    encoder = guarded()
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
        {"app__mapping": {"a": 1}},
        {"app__long": "x" * 300},
    ],
)
def test_a_span_that_has_to_be_changed_is_not_written_however_often_it_comes(attributes: dict[str, Any]) -> None:
    encoder = guarded(content_limit=200)
    assert [values(encoder, ended(**attributes)) for _ in range(3)] == [None] * 3
    assert values(encoder, ended(app__text="fine")) == {"app.text": {"stringValue": "fine"}}


def test_nor_is_one_whose_name_or_status_has_to_be_looked_at() -> None:
    encoder = guarded()
    said = ended()
    said._status = Status(StatusCode.ERROR, "words")
    assert [encoder.text(ended(f"to {MAIL}")), encoder.text(ended(f"to {MAIL}")), encoder.text(said)] == [None] * 3


def test_a_text_that_is_harmless_under_one_name_is_not_let_through_under_another() -> None:
    encoder = guarded()
    assert values(encoder, ended(app__text="tulip")) == {"app.text": {"stringValue": "tulip"}}
    assert values(encoder, ended(app__password="tulip")) is None


def test_any_name_is_written_as_it_is() -> None:
    names = ["100%", "%s %d %%", 'a "quoted" one', "größe", "a\nb", "{0}"]
    about: dict[str, Any] = dict.fromkeys(names, "100 %")
    span = ended(**about)
    assert values(guarded(), span) == {name: {"stringValue": "100 %"} for name in names}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_json, "_MEMORY", 10)
    monkeypatch.setattr(own_json, "_MOST_TEMPLATES", 10)
    text, name, template = own_json._Texts(None), own_json._Names(None), own_json._Templates(None)
    for number in range(35):
        assert text[f"value {number}"] == f'"stringValue":"value {number}"'
        assert name[f"name {number}"] == f'"name {number}"'
        assert f"name {number}" in "".join(template[f"name {number}",][0])
    assert text["x" * 1_000].endswith('x"')
    assert max(len(text), len(name), len(template)) <= 10
    assert all(type(key) is str and len(key) < 600 for key in text)


def test_a_number_that_nobody_looks_at_is_no_payment_cards() -> None:
    assert own_json.SMALL <= LARGE


@pytest.mark.usefixtures("isolated_provider")
def test_a_journal_has_harmless_and_redacted_spans_side_by_side_in_their_order(tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path)
    for text in ("one", MAIL, "one", MAIL):
        with spanwise.step("s") as step:
            step.set("app.text", text)
    assert telemetry.flush()
    written = [span.attributes["app.text"] for span in reader.read(tmp_path)]
    assert written == ["one", "[redacted:email]", "one", "[redacted:email]"]


in_c = pytest.mark.skipif(own_json.compiled is None, reason="it is put together in Python here")
TEXT = st.text(st.characters(codec=None), max_size=40) | st.text(min_size=1_000, max_size=6_000)
VALUE = TEXT | st.integers() | st.booleans() | st.floats() | st.lists(st.text(max_size=5), max_size=3).map(tuple)
FIELDS = st.tuples(
    st.integers(0, 2**128 - 1), st.integers(0, 2**64 - 1), st.just(0) | st.integers(1, 2**64 - 1), TEXT,
    st.integers(0, 5), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1),
    st.dictionaries(TEXT, VALUE, max_size=12), st.none() | st.just(Status(StatusCode.OK)),
)  # fmt: skip


@in_c
@given(fields=FIELDS)
def test_c_writes_what_python_writes(fields: Any) -> None:
    memory = otlp_json.own_json()._memory
    assert own_json.compiled.filled(memory, fields) == own_json._filled_in_python(memory, fields)


@in_c
def test_c_has_python_look_at_large_numbers() -> None:
    looked_at: list[Any] = []

    def other(value: Any) -> str:
        looked_at.append(value)
        return '"intValue":"0"'

    *memory, _, state = otlp_json.own_json()._memory
    numbers = [own_json.SMALL - 1, own_json.SMALL, 2**63, -(2**63), -(2**63) - 1, True, 1.0]
    about = {f"app.{index}": number for index, number in enumerate(numbers)}
    own_json.compiled.filled((*memory, other, state), (1, 2, 0, "s", 1, 3, 4, about, None))
    assert list(map(repr, looked_at)) == list(map(repr, [own_json.SMALL, 2**63, -(2**63) - 1, True, 1.0]))


class Interfering(dict[Any, Any]):
    """Changes a span's attributes while it is looked at."""

    def __init__(self, attributes: dict[str, Any], answer: object) -> None:
        super().__init__()
        self._attributes, self._answer = attributes, answer

    def __missing__(self, key: object) -> object:
        self._attributes.clear()
        self._attributes.update({f"other.{number}": "text" * number for number in range(50)})
        return self._answer


TEMPLATE = ("",) * 17
PLAIN = (1, 2, 0, "s", 1, 3, 4, {"a": "b"}, None)


def answering(answer: object) -> Callable[[object], object]:
    return lambda _: answer


def wrong_fields() -> Iterator[tuple[Any, Any]]:
    """Yield what nobody should hand to C: the memories, or the fields, with something else in one place each."""
    memory = otlp_json.own_json()._memory
    for wrong in (None, object(), "text", -1, 2**200, [], {}, (), TEMPLATE):
        for place in range(len(memory)):
            yield (*memory[:place], wrong, *memory[place + 1 :]), PLAIN
        for place in range(len(PLAIN)):
            yield memory, (*PLAIN[:place], wrong, *PLAIN[place + 1 :])
        yield memory, wrong
        yield wrong, PLAIN
        for both in ((wrong, TEMPLATE), (wrong,), ((wrong,) * 17, TEMPLATE), (TEMPLATE[1:], TEMPLATE)):
            yield (*memory[:2], {("a",): both}, *memory[3:]), PLAIN
        yield (*memory[:4], answering(wrong), memory[5]), (*PLAIN[:7], {"a": 1.5}, None)


@in_c
def test_whatever_c_is_handed_it_answers_or_raises() -> None:
    raised = 0
    for memory, fields in wrong_fields():
        try:
            assert type(own_json.compiled.filled(memory, fields)) is bytes
        except (TypeError, ValueError, OverflowError, LookupError, AttributeError):
            raised += 1
    assert raised
    for given_wrong in ((), (1,), (1, 2, 3), ((), ())):
        with pytest.raises(TypeError):
            own_json.compiled.filled(*given_wrong)


@in_c
@pytest.mark.parametrize("place", range(4))
def test_attributes_that_change_meanwhile_do_no_harm(place: int) -> None:
    about = {"a": "b", "c": "d"}
    gaps = ("",) * 19
    memory: list[Any] = list(otlp_json.own_json()._memory)
    memory[place] = Interfering(about, [gaps, gaps] if place == 2 else "text")  # the templates
    assert type(own_json.compiled.filled(tuple(memory), (1, 2, 0, "s", 1, 3, 4, about, None))) is bytes


@in_c
def test_c_leaves_nothing_behind() -> None:
    memory = otlp_json.own_json()._memory
    about = {"a": "text", "b": 3, "c": 1.5, "d": "größe" * 2_000, "e": "\ud800"}
    spans = [
        (1, 2, 3, "name", 1, 10**18, 10**18, about, Status(StatusCode.OK)),
        (1, 2, 0, "name", 1, 10**18, 10**18, {}, None),
    ]
    refused = list(wrong_fields())

    def write() -> None:
        for span in spans:
            own_json.compiled.filled(memory, span)
        for wrong in refused:
            with suppress(TypeError, ValueError, OverflowError, LookupError, AttributeError):
                own_json.compiled.filled(*wrong)

    def counted() -> list[int]:
        gc.collect()
        return [tracemalloc.get_traced_memory()[0], *map(sys.getrefcount, held)]

    write()
    remembered = [one for memories in memory[:4] for pair in memories.items() for one in pair]
    held = [*memory, *spans, *[one for span in spans for one in span], *about.values(), *remembered]
    tracemalloc.start()
    try:
        write()
        before = counted()
        for _ in range(100):
            write()
        grown, *references = [after - earlier for after, earlier in zip(counted(), before, strict=True)]
    finally:
        tracemalloc.stop()
    assert grown < 2_000  # an object lost each time were at least 4,000
    assert [number for number in references if number > 50] == []  # a hundred were lost at least
