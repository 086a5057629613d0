"""Attribute values that are broken, huge or endless: the span loses detail, the host loses nothing."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.journal_files import spans

import spanwise
from spanwise.helpers.base import error_type
from spanwise.journal.ledger import Counts
from spanwise.otel.values import DEEPEST, LONGEST, MOST, TOO_DEEP, clean
from spanwise.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Nasty(str):
    """A text whose own methods are traps."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no")

    def encode(self, *arguments: Any, **more: Any) -> bytes:
        raise RuntimeError("no")


class BrokenMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(("a",))

    def __len__(self) -> int:
        return 1


class Color(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("text", "text"),
        (True, True),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        pytest.param(Nasty("plain"), "plain", id="nasty"),
        (Unprintable(), "<unprintable Unprintable>"),
        (BrokenMapping(), "<unprintable BrokenMapping>"),
        ([Unprintable()], "<unprintable list>"),
        ({1: {2}}, {"1": "{2}"}),
        (bytearray(b"ab"), b"ab"),
        ([1, [2.5, None]], (1, (2.5, None))),
    ],
)
def test_a_value_becomes_plain_data(value: object, kept: object) -> None:
    assert (clean(value), type(clean(value))) == (kept, type(kept))


def test_a_cycle_ends_at_the_deepest_level() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    found: Any = clean(cycle)
    for _ in range(DEEPEST):
        [found] = found
    assert found == TOO_DEEP


def test_long_and_wide_values_are_cut() -> None:
    assert clean("x" * 10_000_000) == "x" * LONGEST
    assert len(clean(range(10**7))) == MOST
    assert clean(b"x" * 10_000_000) == b"x" * LONGEST


def test_a_list_that_changes_after_it_was_set_does_not_change_the_span() -> None:
    value = [1, 2]
    with capture() as spans, spanwise.step("s") as step:
        step.set("list", value)
        value.append(3)
    assert spans()[0]["attributes"]["list"] == (1, 2)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.characters(codec=None),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(value=json_like)
def test_cleaning_twice_is_the_same_as_once(value: object) -> None:
    assert repr(clean(clean(value))) == repr(clean(value))


@pytest.mark.usefixtures("isolated_provider")
def test_broken_values_reach_the_journal_as_far_as_they_can_be_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cycle: dict[str, Any] = {}
    cycle["me"] = cycle
    values: dict[str, Any] = {
        "raises": Unprintable(), "long": "é" * 10_000_000, "cycle": cycle, "nan": math.nan, "lone": "\ud800",
        "bytes": b"\xff\xfe", "huge": 10**400, "object": object, "nasty": Nasty("n" * 100),
    }  # fmt: skip
    telemetry = spanwise.configure(journal_dir=tmp_path)
    with spanwise.tool("t") as tool:
        for name, value in values.items():
            tool.set(name, value)
        tool.set("", 1).set(5, 1)  # type: ignore[arg-type]
    telemetry.flush(30)
    assert telemetry.ledger() == Counts(started=1, journaled=1)
    [span] = spans(tmp_path)
    found = {one["key"]: one["value"] for one in span["attributes"]}
    assert values.keys() <= found.keys()
    assert (span["droppedAttributesCount"], found["nan"], found["lone"]) == (
        2, {"doubleValue": "NaN"}, {"stringValue": "?"},
    )  # fmt: skip
    assert caplog.records == []


def test_an_exception_whose_own_attributes_raise_passes_through_unchanged() -> None:
    class BadError(Exception):
        @property
        def status_code(self) -> int:
            raise RuntimeError("no")

        def __str__(self) -> str:
            raise RuntimeError("no")

    error = BadError()

    def fail() -> None:
        with spanwise.step("s") as step:
            step.span.record_exception(error)
            raise error

    with capture() as spans, pytest.raises(BadError) as caught:
        fail()
    assert caught.value is error
    assert spans()[0]["attributes"]["error.type"] == error_type(error)
    assert error_type(error).endswith("BadError")
