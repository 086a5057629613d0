"""What is too long is cut: JSON stays JSON, the cut says how much is missing, and no secret is halved."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanwise.content.redact import Redactor
from spanwise.content.truncate import truncated

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=60,
)


def test_what_is_short_enough_stays() -> None:
    assert truncated('["a"]', 5) == '["a"]'


def test_plain_text_says_how_much_is_missing() -> None:
    assert truncated("a" * 300, 256) == "a" * 256 + "…[44 characters more]"


def test_of_messages_the_long_texts_are_cut_and_the_first_and_last_messages_stay() -> None:
    messages = [{"role": "user", "parts": [{"type": "text", "content": f"{n}" + "x" * 5_000}]} for n in range(3)]
    cut = json.loads(truncated(json.dumps(messages), 2_000))
    assert [one["parts"][0]["content"][0] for one in cut] == ["0", "1", "2"]
    assert {one["parts"][0]["content"][-17:] for one in cut} == {" characters more]"}


def test_of_a_long_list_the_middle_goes() -> None:
    cut = json.loads(truncated(json.dumps(list(range(10_000))), 500))
    assert (cut[0], cut[-1], len(cut) < 200) == (0, 9_999, True)


@given(st.lists(VALUES, min_size=1) | st.dictionaries(st.text(), VALUES, min_size=1), st.integers(64, 400))
def test_json_stays_json_and_gets_short(value: object, limit: int) -> None:
    text = json.dumps(value)
    cut = truncated(text, limit)
    json.loads(cut)
    assert len(cut) <= max(limit, 64)


@pytest.mark.parametrize("text", ["[not json " * 100, "[" * 5_000, '{"a": ' * 500])
def test_what_only_looks_like_json_is_cut_as_text(text: str) -> None:
    assert truncated(text, 256) == f"{text[:256]}…[{len(text) - 256} characters more]"


def test_what_is_nested_too_deep_becomes_nothing_there() -> None:
    text = "[" * 90 + '"x"' + "]" * 90 + " " * 300
    assert json.loads(truncated(text, 256)) is not None


def test_a_secret_at_the_cut_does_not_stay_in_halves() -> None:
    redactor = Redactor()
    for limit in range(256, 300):
        text = json.dumps({"content": "x" * 110 + " ada.lovelace@example.com " + "y" * 900})
        shown = redactor.text(truncated(text, limit, redactor.cut))
        json.loads(shown)
        assert "lovelace" not in shown
