from __future__ import annotations

import json
from typing import Any

import pytest

from spanwise_pipeline.provider.instructions import MalformedInstructionError
from spanwise_pipeline.provider.prompt import Answer, Message, OutputFormat, Prompt, Tool
from spanwise_pipeline.provider.reply import reply

FACTS = "rsi = 55.2\nprice = 103\nstance = bullish\n"


def text(*lines: str, **settings: Any) -> str:
    return ask("\n".join(lines), **settings).text


def ask(content: str, *, strict: bool = True, **settings: Any) -> Answer:
    return reply(Prompt("m", (Message("user", content),), **settings), strict=strict)


def test_named_facts_are_stated_in_order_and_a_missing_one_is_said_to_be_unknown() -> None:
    assert text(FACTS, "State price, volume, rsi.") == "price = 103\nvolume is not known.\nrsi = 55.2"


def test_every_fact_is_stated_in_order_of_appearance() -> None:
    assert text("b = 1", "- a = two words.", "State every fact.") == "b = 1\na = two words"


def test_the_last_line_of_a_name_wins_and_keeps_its_first_place() -> None:
    assert text("a = 1", "b = 2", "a = 3", "State every fact.") == "a = 3\nb = 2"


def test_facts_come_from_every_role_and_instructions_only_from_system_and_user() -> None:
    messages = (
        Message("system", "State a, b, c."),
        Message("assistant", "a = 1\nState d."),
        Message("tool", "b = 2\nTitle: no", (), "x"),
        Message("user", "c = 3"),
    )

    assert reply(Prompt("m", messages)).text == "a = 1\nb = 2\nc = 3"


@pytest.mark.parametrize("line", ["A = 1", "a=1", "a == 1", "say a = 1", "a ="])
def test_other_lines_are_no_facts(line: str) -> None:
    assert text(line, "State a.") == "a is not known."


def test_the_last_title_is_the_first_line() -> None:
    assert text("Title: One.", "State rsi.", FACTS, "- Title: Two") == "## Two\nrsi = 55.2"


def test_several_state_lines_add_up_and_none_is_said_twice() -> None:
    assert text(FACTS, "State rsi.", "- State price, rsi.") == "rsi = 55.2\nprice = 103"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("(rsi - 50) / 10", "0.52"),
        ("price * 2 + 1", "207"),
        ("-price", "-103"),
        ("min(rsi, price, 3)", "3"),
        ("max(rsi, price)", "103"),
        ("abs(rsi - price)", "47.8"),
        ("round(rsi / 3, 2)", "18.4"),
        ("round(rsi)", "55"),
        ("1 / 3", "0.3333"),
        ("0 - 0.00001", "0"),
    ],
)
def test_computed_numbers_have_up_to_four_decimals(expression: str, value: str) -> None:
    assert text(FACTS, f"Compute x: {expression}.") == f"x = {value}"


@pytest.mark.parametrize("expression", ["volume + 1", "stance + 1", "price / 0", "price / (rsi - 55.2)"])
def test_what_cannot_be_computed_is_not_known(expression: str) -> None:
    assert text(FACTS, f"Compute x: {expression}.") == "x is not known."


@pytest.mark.parametrize(
    ("conditions", "value"),
    [
        ("BUY if rsi > 50; else HOLD", "BUY"),
        ("BUY if rsi > 60; SELL if price <= 103; else HOLD", "SELL"),
        ("BUY if rsi < 50; else HOLD", "HOLD"),
        ("BUY if stance == bullish and not price != 103; else HOLD", "BUY"),
        ('BUY if stance == "bearish" or 50 < rsi < 60; else HOLD', "BUY"),
        ("BUY if stance != bullish; else 'stay out'", "stay out"),
        ("BUY if price == 103.0; else HOLD", "BUY"),
        ("BUY if stance == 3 or price == bullish; else HOLD", "not known"),
    ],
)
def test_the_first_condition_that_holds_concludes(conditions: str, value: str) -> None:
    expected = "d is not known." if value == "not known" else f"d = {value}"

    assert text(FACTS, f"Conclude d: {conditions}.") == expected


@pytest.mark.parametrize("conditions", ["A if rsi > 50; B if volume > 1; else C", "A if mood == bullish; else B"])
def test_an_unknown_fact_in_any_condition_leaves_the_conclusion_unknown(conditions: str) -> None:
    assert text(FACTS, f"Conclude d: {conditions}.") == "d is not known."


def test_the_majority_is_the_most_frequent_value_and_the_first_named_of_equals() -> None:
    votes = "a = up\nb = down\nc = down\nd = up"

    assert text(votes, "Conclude v: majority of a, b, c.") == "v = down"
    assert text(votes, "Conclude v: majority of b, a, c, d.") == "v = down"
    assert text(votes, "Conclude v: majority of a, b, e.") == "v is not known."


def test_results_are_facts_for_later_instructions() -> None:
    lines = ("Compute x: rsi + 1.", "Compute y: x * 2.", "Conclude d: HIGH if y > 100; else LOW.", "State d.")

    assert text(FACTS, *lines) == "x = 56.2\ny = 112.4\nd = HIGH"


def test_a_lost_input_leaves_everything_after_it_unknown() -> None:
    assert text("Compute x: rsi + 1.", "Conclude d: HIGH if x > 1; else LOW.") == "x is not known.\nd is not known."


def test_prose_has_the_words_asked_for_beside_each_known_fact() -> None:
    lines = text(FACTS, "State rsi, volume.", "Use about 5 words for each fact.", "Use about 33 words for each fact.")

    stated, prose, unknown = lines.splitlines()
    assert (stated, unknown) == ("rsi = 55.2", "volume is not known.")
    assert len(prose.split()) == 33


@pytest.mark.parametrize(
    "line",
    [
        "Title: .",
        "State rsi price.",
        "State",
        "Compute x.",
        "Compute X: 1 + 1.",
        "Compute x: rsi ** 2.",
        "Compute x: __import__('os').",
        "Compute x: rsi[0].",
        "Compute x: 1 if rsi else 2.",
        "Compute x: round().",
        "Compute x: min(rsi, default=1).",
        "Compute x: True.",
        "Conclude d: A if rsi.",
        "Conclude d: A when rsi > 1; else B.",
        "Conclude d: A if rsi >; else B.",
        "Conclude d: A if rsi = 1; else B.",
        "Conclude d: majority of A.",
        "Use about ten words for each fact.",
        "Use about 99999 words for each fact.",
        "Call the tools get price.",
        "Answer in JSON with care.",
        "Answer in JSON, then about 9999 words.",
    ],
)
def test_a_malformed_instruction_is_refused_with_its_line(line: str) -> None:
    if line == "State":
        assert text(line) == 'This is a simulated answer to: "State".'
        return

    with pytest.raises(MalformedInstructionError) as caught:
        text(FACTS, f"- {line}")

    assert f"Malformed instruction {f'- {line}'!r}: " in str(caught.value)


def test_where_instructions_are_not_strict_a_malformed_one_is_text() -> None:
    assert text("State your reasons briefly.", strict=False).startswith("This is a simulated answer to: ")


def test_without_instructions_the_answer_is_made_from_the_facts() -> None:
    assert text(FACTS) == "The request gives 3 facts: rsi is 55.2, price is 103, stance is bullish."


def test_without_facts_the_answer_quotes_the_last_user_message() -> None:
    messages = (Message("user", "first"), Message("assistant", "hm"), Message("user", "How\nare you?"))

    assert reply(Prompt("m", messages)).text == 'This is a simulated answer to: "How are you?".'
    assert reply(Prompt("m", (Message("system", "x"),))).text == "This is a simulated answer."


def test_an_answer_over_the_limit_is_cut_and_says_so() -> None:
    assert ask(FACTS + "State rsi, price.", max_tokens=2) == Answer("rsi = 55", finish_reason="length")
    assert ask(FACTS + "State rsi.", max_tokens=3) == Answer("rsi = 55.2")


def tool(name: str, **properties: Any) -> Tool:
    return Tool(name, {"type": "object", "properties": properties})


PRICE = tool("get_price", ticker={"type": "string"}, days={"type": "integer"}, kind={"enum": ["close", "open"]})
NEWS = tool("news", ticker={"type": "string"})
TASK = "ticker = ACME\ndays = 5\nCall the tools get_price, news.\nState close, mood."


def test_tools_are_called_with_facts_as_arguments() -> None:
    answer = ask(TASK, tools=(PRICE, NEWS))

    assert (answer.text, answer.finish_reason) == ("", "tool_calls")
    assert [(call.name, json.loads(call.arguments)) for call in answer.tool_calls] == [
        ("get_price", {"ticker": "ACME", "days": 5, "kind": "close"}),
        ("news", {"ticker": "ACME"}),
    ]
    assert len({call.id for call in answer.tool_calls}) == 2


def test_calls_come_one_at_a_time_where_they_must_not_be_parallel_and_end_with_the_results() -> None:
    messages = [Message("user", TASK)]
    called = []
    for result in ("close = 7", "mood = good"):
        answer = reply(Prompt("m", tuple(messages), (PRICE, NEWS), parallel_tool_calls=False))
        called.append([call.name for call in answer.tool_calls])
        messages.append(Message("assistant", "", tuple(call.as_chat() for call in answer.tool_calls)))
        messages.append(Message("tool", result, (), answer.tool_calls[0].id))

    assert called == [["get_price"], ["news"]]
    assert reply(Prompt("m", tuple(messages), (PRICE, NEWS))) == Answer("close = 7\nmood = good")


def test_only_offered_tools_are_called() -> None:
    assert [call.name for call in ask(TASK, tools=(NEWS,)).tool_calls] == ["news"]
    assert ask(TASK).text == "close is not known.\nmood is not known."


@pytest.mark.parametrize(
    ("choice", "names"), [("none", []), ("required", ["get_price"]), ("=news", ["news"]), ("auto", [])]
)
def test_the_tool_choice_is_honoured(choice: str, names: list[str]) -> None:
    answer = ask("Hello", tools=(PRICE, NEWS), tool_choice=choice)

    assert [call.name for call in answer.tool_calls] == names


def test_json_holds_what_is_said_with_numbers_as_numbers() -> None:
    lines = FACTS + "State price, stance, volume.\nCompute x: rsi + 1."

    assert json.loads(ask(lines, output=OutputFormat("json_object")).text) == {
        "price": 103,
        "stance": "bullish",
        "volume": None,
        "x": 56.2,
    }


def test_an_answer_in_json_holds_what_is_said_and_as_many_words_after_it_as_asked_for() -> None:
    lines = FACTS + "State price, volume.\nTitle: Left out.\nCompute x: rsi + 1."

    alone, followed = (text(lines, f"Answer in JSON{more}.") for more in ("", ", then about 21 words"))
    answer, _, rest = followed.partition("\n\n")

    assert alone == answer
    assert json.loads(alone) == {"price": 103, "volume": None, "x": 56.2}
    assert len(rest.split()) == 21


def test_json_with_a_schema_has_exactly_its_properties() -> None:
    schema = {
        "type": "object",
        "properties": {
            "decision": {"type": "string", "enum": ["SELL", "BUY"]},
            "x": {"type": "number"},
            "nested": {"type": "object", "properties": {"stance": {"type": "string"}}},
            "confidence": {"type": "number", "minimum": 0},
        },
    }
    lines = FACTS + "Compute x: rsi + 1.\nConclude decision: BUY if x > 1; else SELL."

    assert json.loads(ask(lines, output=OutputFormat("json_schema", schema)).text) == {
        "decision": "BUY",
        "x": 56.2,
        "nested": {"stance": "bullish"},
        "confidence": 0,
    }
