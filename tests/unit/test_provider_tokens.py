from __future__ import annotations

from spanwise_pipeline.provider.prompt import Answer, Message, Prompt, ToolCall
from spanwise_pipeline.provider.tokens import compact, cut, slices, tokens


def test_a_token_is_four_bytes_begun_ones_included() -> None:
    assert [tokens(text) for text in ("", "a", "abcd", "abcde", "é€𝄞")] == [0, 1, 1, 2, 3]


def test_prompt_tokens_are_framing_messages_and_tool_calls() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = (Message("system", "12345678"), Message("assistant", "", (call,)), Message("tool", "abc", (), "c"))

    assert len(compact([call])) == 71
    assert Prompt("m", messages).tokens == 3 + (4 + 2) + (4 + 18) + (4 + 1)


def test_tool_definitions_count_as_compact_json_and_none_counts_nothing() -> None:
    definition = {"type": "function", "function": {"name": "f"}}
    bare = Prompt("m", (Message("user", "abcd"),))

    assert bare.tokens == 3 + 5
    assert Prompt("m", bare.messages, tool_definitions=(definition,)).tokens == 8 + tokens(compact([definition]))


def test_completion_tokens_are_the_text_and_the_calls() -> None:
    call = ToolCall("c", "f", "{}")

    assert Answer("abcde").tokens == 2
    assert Answer("", (call,)).tokens == tokens(compact([call.as_chat()]))


def test_cutting_never_splits_a_character() -> None:
    assert cut("ééé", 1) == "éé"
    assert cut("a€€", 1) == "a€"
    assert cut("ab€", 1) == "ab"


def test_slices_make_up_the_text() -> None:
    text = "a€bc𝄞déf, and so on"

    pieces = slices(text, [1, 1, 3, tokens(text)])

    assert pieces[1] == ""
    assert "".join(pieces) == text
