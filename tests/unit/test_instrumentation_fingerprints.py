"""Fingerprints: what can be told of texts that are not recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import spanwise
from spanwise import conventions as c
from spanwise.content import fingerprints
from spanwise.testing import capture

if TYPE_CHECKING:
    from collections.abc import Sequence


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def asked(*messages: dict[str, Any], model: str = "m", tools: Sequence[Any] = ()) -> fingerprints.Request:
    request = fingerprints.of_request({"model": model}, messages, tools)
    assert request is not None
    return request


def test_equal_requests_have_equal_hashes_and_others_have_not() -> None:
    first = asked(user("a"), user("b"))
    assert first == asked(user("a"), user("b"))
    others = [asked(user("ab")), asked(user("a"), user("b"), model="n"), asked(user("a"), user("b"), tools=[{"t": 1}])]
    assert len({first.hash, *(other.hash for other in others)}) == 4


def test_prompts_share_as_many_prefix_hashes_as_they_share_doubled_kibibytes() -> None:
    common = "x" * 5000
    first, second = asked(user(common + "a" * 4000)), asked(user(common + "b" * 4000))
    shared = [one == other for one, other in zip(first.prefixes, second.prefixes, strict=True)]
    assert shared == [True, True, True, False]


def test_a_message_in_parts_reads_as_its_text() -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
    convention = [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]
    assert asked(*parts) == asked(*convention) == asked(user("hello"))


def test_what_is_too_long_or_cannot_be_read_has_no_fingerprint() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    long = "x" * (fingerprints.LONGEST + 1)
    assert fingerprints.of_request({}, [user(long)]) is None
    assert fingerprints.of_request({}, [{"role": "user", "content": [Broken()]}]) is None
    assert fingerprints.of_value("tool", Broken()) is None
    assert fingerprints.of_text(long) is None
    assert fingerprints.Texts().written(1, long) is None


def test_a_prompt_names_the_spans_whose_lines_it_holds_and_what_is_read_for_the_first_time() -> None:
    texts = fingerprints.Texts()
    assert texts.written(1, "- alpha = 1.0\nshort\nbeta = 22.5") == 22
    assert texts.written(2, "alpha = 1.0\ngamma = 333") == 11
    assert texts.read(["Use this:", "> alpha = 1.0"]) == [f"{1:016x}:11:11"]
    assert texts.read(["alpha = 1.0\ngamma = 333\nalpha = 1.0"]) == [f"{1:016x}:11:0", f"{2:016x}:11:11"]


@pytest.mark.parametrize("line", ["", "short", "  - * -  "])
def test_lines_that_many_texts_have_name_no_source(line: str) -> None:
    texts = fingerprints.Texts()
    texts.written(1, line)
    assert texts.read([line]) == []


def test_calls_tools_and_retrievals_carry_hashes_and_no_text() -> None:
    with capture(fingerprints=True) as spans, spanwise.agent("risk"):
        with spanwise.tool("prices") as tool:
            tool.arguments({"ticker": "ACME"})
            tool.result("close = 17.25")
        with spanwise.retrieval("news") as search:
            search.query("ACME")
        with spanwise.llm_call("m") as call:
            call.input([user("Judge this:\nclose = 17.25")])
            call.output("The share is dear.")
    by_name = {span["name"]: span["attributes"] for span in spans()}
    tool_id = next(span["span_id"] for span in spans() if span["name"] == "execute_tool prices")
    chat = by_name["chat m"]
    assert chat[c.REQUEST_SOURCES] == f"{tool_id:016x}:13:13"
    assert chat[c.RESPONSE_NEW_CHARACTERS] == 18
    assert by_name["execute_tool prices"][c.REQUEST_HASH] == fingerprints.of_value(
        "execute_tool prices", {"ticker": "ACME"}
    )
    assert by_name["retrieval news"][c.REQUEST_HASH] == fingerprints.of_value("retrieval news", "ACME")
    assert "17.25" not in str(by_name)
    assert "dear" not in str(by_name)


def test_instructions_count_as_part_of_the_request() -> None:
    with capture(fingerprints=True) as spans:
        for instructions in ("be brief", "be thorough"):
            with spanwise.llm_call("m") as call:
                call.instructions(instructions)
                call.input([user("hello")])
    first, second = (span["attributes"][c.REQUEST_HASH] for span in spans())
    assert first != second


def test_runs_do_not_read_one_another() -> None:
    with capture(fingerprints=True) as spans:
        for _ in range(2):
            with spanwise.workflow("desk"), spanwise.llm_call("m") as call:
                call.input([user("ticker = ACME")])
                call.output("ticker = ACME")
    assert [span["attributes"].get(c.REQUEST_SOURCES) for span in spans() if span["name"] == "chat m"] == ["", ""]


def test_they_are_off_unless_asked_for() -> None:
    with capture() as spans, spanwise.agent("risk"), spanwise.llm_call("m") as call:
        call.input([user("hello")])
        call.output("good day to you")
    assert not [name for span in spans() for name in span["attributes"] if "hash" in name or "source" in name]
