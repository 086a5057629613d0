"""An answer that is handed on counts as read, in whatever form: as the recorder notes it, and as it is worked out."""

from __future__ import annotations

import html
import json
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from support.traces import agent, chat, run_of, workflow

from spanwise import conventions as c
from spanwise.content.fingerprints import Texts
from spanwise_profiling.advice.contents import with_fingerprints
from spanwise_profiling.advice.view import view_of
from spanwise_profiling.analysis import profile_of
from spanwise_profiling.kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ANSWER = """\
## Outlook for ACME
Revenue grew by 12.5 % and the "naïve" estimate was beaten & raised.
- The valuation (21.5 times earnings) is above its five-year median.
Verdict: hold until the third quarter's figures are out."""
LINES = ANSWER.splitlines()
FORMS: Mapping[str, Callable[[], str]] = {
    "as it is": lambda: ANSWER,
    "on one line of a sentence": lambda: f"Given {' '.join(LINES)} decide now.",
    "in tags": lambda: f"<report>{ANSWER}</report>",
    "each line in tags": lambda: "".join(f"<p>{line}</p>" for line in LINES),
    "in quotes": lambda: f'The analyst said: "{ANSWER}". What follows?',
    "joined with semicolons": lambda: "; ".join(LINES),
    "as JSON": lambda: json.dumps({"analyst": ANSWER}),
    "as JSON in JSON": lambda: json.dumps(json.dumps({"analyst": ANSWER})),
    "as JSON with its own letters": lambda: json.dumps({"analyst": ANSWER}, ensure_ascii=False),
    "as an item of a list": lambda: f"1. {ANSWER}\n2. Another one.",
    "as a quotation": lambda: "\n".join(f"> {line}" for line in LINES),
    "indented": lambda: textwrap.indent(ANSWER, "    "),
    "its first 40 characters": lambda: f"Summary: {' '.join(LINES)[:40]}…",
    "its last 40 characters": lambda: f"…{' '.join(LINES)[-40:]} Do you agree?",
    "one sentence": lambda: f"They say that {LINES[2][2:-1].lower()}, and you?",
    "wrapped anew": lambda: textwrap.fill(" ".join(LINES), 30),
    "in capitals": lambda: " ".join(LINES).upper(),
    "with words in bold": lambda: f"Note: {' '.join(LINES).replace('valuation', '**valuation**')}",
    "in a row of a table": lambda: f"| analyst | {' / '.join(LINES)} |",
    "as HTML": lambda: f"<td>{html.escape(' '.join(LINES))}</td>",
}


def noted(prompt: str) -> list[str]:
    """Return the sources that the recorder notes of a prompt, after a first one and an answer to it."""
    texts = Texts()
    texts.read(["You are an analyst. Write a report on ACME in a few lines, with a verdict at the end."])
    texts.written(7, ANSWER)
    return texts.read(["You are the manager of a desk.", prompt])


def worked_out(prompt: str) -> list[tuple[str, bool]]:
    """Return who is read by the second of two calls that were recorded with their texts."""

    def texts(told: str, answer: str) -> dict[str, Any]:
        return {
            c.INPUT_MESSAGES: json.dumps([{"role": "user", "parts": [{"type": "text", "content": told}]}]),
            c.OUTPUT_MESSAGES: json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": answer}]}]),
        }

    run = run_of(
        workflow(1, 0, 4), agent(2, 0, 2, parent=1),
        chat(3, 0, 2, parent=2, attributes=texts("Write on ACME.", ANSWER)),
        agent(4, 2, 4, parent=1), chat(5, 2, 4, parent=4, attributes=texts(prompt, "Agreed.")),
    )  # fmt: skip
    view = view_of(profile_of(run))
    [reads] = [reads for call, reads in view.reads.items() if call.startswith("0005")]
    return [(writer[:4], read.in_part) for writer, read in reads.items()]


def test_there_are_twenty_forms() -> None:
    assert len(FORMS) == 20


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_is_read_in_every_form_in_which_it_is_handed_on(form: str) -> None:
    prompt = FORMS[form]()
    [source] = noted(prompt)
    assert source.startswith(f"{7:016x}:")
    [(writer, _)] = worked_out(prompt)
    assert writer == "0003"


def test_a_part_is_told_apart_from_lines() -> None:
    assert noted(ANSWER)[0].count(":") == 2
    assert noted(FORMS["its first 40 characters"]())[0].endswith(":p")
    assert worked_out(FORMS["in tags"]()) == [("0003", False)]
    assert worked_out(FORMS["as JSON in JSON"]()) == [("0003", True)]


@pytest.mark.parametrize(
    "prompt",
    [
        "Write a report on ACME in a few lines, with a verdict at the end.",
        "Revenue and valuation of ACME: what do you hold of them?",
        "",
    ],
)
def test_words_that_happen_to_be_the_same_are_no_reading(prompt: str) -> None:
    assert noted(prompt) == []


def test_what_a_prompt_had_held_before_is_nobody_s() -> None:
    texts = Texts()
    told = "Answer with a verdict, three figures and the sources that you used for them."
    texts.read([told])
    texts.written(7, f"I will: {told}")
    assert texts.read([f"As before. {told}"]) == []


def test_a_short_line_is_found_whole_inside_another() -> None:
    texts = Texts()
    texts.written(7, "ACME: strong hold")
    assert texts.read(["The trader says ACME: strong hold, so act."]) == [f"{7:016x}:14:14:p"]
    assert texts.read(["The trader says ACME is strong."]) == []


def test_texts_that_are_recorded_give_the_same_as_the_recorder() -> None:
    spans = {
        span.span_id: span
        for span in (
            chat(3, 0, 2, attributes={c.OUTPUT_MESSAGES: ANSWER}),
            chat(5, 2, 4, attributes={c.INPUT_MESSAGES: FORMS["in capitals"]()}),
        )
    }
    made = with_fingerprints(spans, {span_id: kind_of(span) for span_id, span in spans.items()})
    texts = Texts()
    texts.written(3, ANSWER)
    [expected] = texts.read([FORMS["in capitals"]()])
    [told] = [str(span.attributes[c.REQUEST_SOURCES]) for span in made.values() if c.REQUEST_SOURCES in span.attributes]
    assert told.split(":")[1:] == expected.split(":")[1:]
