"""Each finding has a trace that raises it, with what it would save, and a near miss that must not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.traces import agent, cache_lookup, chat, failing, identifier, run_of, span, step, tool, wait, workflow

from spanwise import conventions as c
from spanwise_profiling.advice import findings_of
from spanwise_profiling.analysis import profile_of

if TYPE_CHECKING:
    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Finding

S = 1_000_000_000


def found(*spans: SpanRecord) -> list[Finding]:
    return list(findings_of(profile_of(run_of(*spans))))


def briefly(*spans: SpanRecord) -> list[tuple[str, float, str]]:
    """Return id, seconds saved and confidence of what is found."""
    return [(one.id, round(one.saves_ns / S, 3), one.confidence) for one in found(*spans)]


def reading(*sources: tuple[int, int, int], **more: Any) -> dict[str, Any]:
    """Attributes of a call whose prompt holds (span, characters, characters that are new) and that wrote 400."""
    text = " ".join(f"{identifier(number)}:{held}:{new}" for number, held, new in sources)
    return {c.REQUEST_SOURCES: text, c.RESPONSE_NEW_CHARACTERS: 400, **more}


def worker(number: int, start: float, end: float, *sources: tuple[int, int, int], **more: Any) -> list[SpanRecord]:
    """An agent of the workflow with one model call, whose number is one more."""
    inner = more.pop("call", {})
    return [
        agent(number, start, end, parent=1, **more),
        chat(number + 1, start, end, parent=number, attributes=reading(*sources, **inner)),
    ]


ROLE = {c.STEP_ROLE: "analyse"}


def test_agents_that_do_not_read_one_another_could_have_overlapped() -> None:
    spans = [
        workflow(1, 0, 9),
        *worker(10, 0, 2, name="plan"),
        *worker(20, 2, 5, (11, 400, 400), name="news"),
        *worker(30, 5, 7, (11, 400, 0), name="prices"),
        *worker(40, 7, 9, (21, 400, 400), (31, 400, 400), name="judge"),
    ]
    [finding] = found(*spans)
    assert (finding.id, finding.saves_ns, finding.confidence) == ("sequential-calls", 2 * S, "high")
    assert finding.title == "Run news and prices together"
    assert finding.why == "No prompt of theirs holds a line of another's answer."
    assert [(one.span_id, one.on_path_ns) for one in finding.evidence] == [
        (identifier(20), 3 * S),
        (identifier(30), 2 * S),
    ]


def test_an_agent_that_reads_the_one_before_is_no_sequence() -> None:
    assert briefly(
        workflow(1, 0, 9),
        *worker(10, 0, 2, name="plan"),
        *worker(20, 2, 5, (11, 400, 400), name="news"),
        *worker(30, 5, 9, (11, 400, 0), (21, 20, 20), name="judge", call={c.USAGE_OUTPUT_TOKENS: 10}),
    ) == []  # fmt: skip


def test_agents_whose_prompts_were_not_compared_are_no_sequence() -> None:
    plain = [agent(10, 0, 2, parent=1), chat(11, 0, 2, parent=10), agent(20, 2, 4, parent=1), chat(21, 2, 4, parent=20)]
    assert briefly(workflow(1, 0, 4), *plain) == []


@pytest.mark.parametrize("role", [ROLE, {}])
def test_agents_of_one_role_that_take_turns_on_the_same_inputs_might_overlap(role: dict[str, Any]) -> None:
    spans = [
        workflow(1, 0, 8),
        *worker(10, 0, 2, name="plan"),
        *worker(20, 2, 5, (11, 400, 400), name="bull", attributes=role),
        *worker(30, 5, 8, (11, 400, 0), (21, 400, 400), name="bear", attributes=role),
    ]
    assert briefly(*spans) == ([("sequential-calls", 3.0, "low")] if role else [])


def test_the_same_agent_speaking_again_is_another_round() -> None:
    assert briefly(
        workflow(1, 0, 8),
        *worker(10, 0, 2, name="plan"),
        *worker(20, 2, 5, (11, 400, 400), name="bull", attributes=ROLE),
        *worker(30, 5, 8, (11, 400, 0), (21, 400, 400), name="bull", attributes=ROLE),
    ) == []  # fmt: skip


def asked_for(number: int, start: float, end: float, **more: Any) -> SpanRecord:
    return replace(
        made := tool(number, start, end, parent=2, **more),
        attributes={**made.attributes, c.TOOL_CALL_ID: f"call_{number}"},
    )


def test_tools_of_one_answer_that_ran_in_turn_could_have_been_one_batch() -> None:
    spans = [workflow(1, 0, 6), agent(2, 0, 6, parent=1), chat(3, 0, 1, parent=2), chat(6, 5, 6, parent=2)]
    in_turn = [asked_for(4, 1, 4, name="prices"), asked_for(5, 4, 5, name="news")]
    [finding] = found(*spans, *in_turn)
    assert (finding.id, finding.saves_ns, finding.confidence) == ("sequential-calls", S, "high")
    assert finding.title == "Run the tools that one answer asked for together"
    assert finding.why == "They ran one after another (4 s on the path): prices and news."
    batch = [asked_for(4, 1, 4, name="prices"), asked_for(5, 1, 5, name="news")]
    assert briefly(*spans, *batch) == []


def test_tools_with_a_model_call_in_between_are_no_sequence() -> None:
    spans = [
        workflow(1, 0, 6),
        agent(2, 0, 6, parent=1),
        asked_for(4, 0, 2),
        chat(3, 2, 4, parent=2),
        asked_for(5, 4, 6),
    ]
    assert briefly(*spans) == []


def source(number: int, start: float, end: float, name: str, asks: str, **more: Any) -> SpanRecord:
    about = {c.OPERATION_NAME: "retrieval", c.DATA_SOURCE_ID: name, c.REQUEST_HASH: asks}
    return span(number, start, end, name=f"retrieval {name}", attributes=about, **more)


def test_sources_that_a_tool_reads_in_turn_could_be_read_together() -> None:
    spans = [workflow(1, 0, 4), tool(2, 0, 4, parent=1)]
    in_turn = [source(3, 0, 3, "prices", "a", parent=2), source(4, 3, 4, "news", "b", parent=2)]
    assert briefly(*spans, *in_turn) == [("sequential-calls", 1.0, "low")]
    together = [source(3, 0, 4, "prices", "a", parent=2), source(4, 1, 4, "news", "b", parent=2)]
    assert briefly(*spans, *together) == []


@pytest.mark.parametrize(("longer", "told"), [(3.0, True), (9.0, False)])
def test_a_branch_that_was_close_to_deciding_is_told_though_it_costs_nothing_now(*, longer: float, told: bool) -> None:
    decides = [agent(7, 0, longer, parent=1), chat(8, 0, longer, parent=7)]
    beside = [agent(2, 0, 2.9, parent=1), tool(5, 0, 2.9, parent=2)]
    reads = [source(3, 0, 1.9, "prices", "a", parent=5), source(4, 1.9, 2.9, "news", "b", parent=5)]
    findings = found(workflow(1, 0, longer), *decides, *beside, *reads)
    assert [(one.id, one.saves_ns) for one in findings] == ([("sequential-calls", 0)] if told else [])
    assert all(one.why.endswith(". Not what decided here, but close to it.") for one in findings)


def test_who_reads_several_at_once_and_waits_for_some_has_a_reason() -> None:
    spans = [workflow(1, 0, 4), tool(2, 0, 4, parent=1)]
    some = [
        source(3, 0, 2, "a", "a", parent=2),
        source(4, 0, 2, "b", "b", parent=2),
        source(5, 2, 4, "c", "c", parent=2),
    ]
    assert briefly(*spans, *some) == []


def level(*needs: tuple[int, ...]) -> list[SpanRecord]:
    """Two agents of 1 s and 4 s, then two of 3 s and 1 s after both, which read what `needs` says."""
    first, second = (tuple((writer, 400, 400) for writer in reads) for reads in needs)
    return [
        workflow(1, 0, 7),
        *worker(10, 0, 1, name="a"),
        *worker(20, 0, 4, name="b"),
        *worker(30, 4, 7, *first, name="c"),
        *worker(40, 4, 5, *second, name="d"),
    ]


def test_a_step_that_waited_for_a_barrier_it_does_not_need_could_have_begun() -> None:
    [finding] = found(*level((11,), (21,)))
    assert (finding.id, finding.saves_ns, finding.title) == (
        "idle-barrier",
        2 * S,
        "Start c without waiting for b",
    )


def test_a_barrier_that_everybody_needs_is_none() -> None:
    assert briefly(*level((11, 21), (11, 21))) == []


def hedged(slow: float, tokens: int = 20) -> list[SpanRecord]:
    calls = [chat(10 + i, 0, 1, parent=1) for i in range(4)]
    return [workflow(1, 0, slow), *calls, chat(20, 0, slow, parent=1, tokens=(100, tokens))]


def test_a_call_that_took_far_longer_than_those_like_it_is_a_straggler() -> None:
    assert briefly(*hedged(5)) == [("straggler", 3.0, "medium")]


def test_a_call_that_wrote_more_or_was_a_little_slower_is_no_straggler() -> None:
    assert briefly(*hedged(5, tokens=100)) == []
    assert briefly(*hedged(1.9)) == []


def test_a_question_that_was_asked_before_need_not_have_been() -> None:
    spans = [workflow(1, 0, 4), tool(2, 0, 4, parent=1)]
    twice = [source(3, 0, 2, "prices", "a", parent=2), source(4, 2, 4, "prices", "a", parent=2)]
    assert ("duplicate-calls", 2.0, "high") in briefly(*spans, *twice)
    other = [source(3, 0, 2, "prices", "a", parent=2), source(4, 2, 4, "prices", "b", parent=2)]
    assert "duplicate-calls" not in [one.id for one in found(*spans, *other)]


def test_a_question_asked_again_while_the_first_is_on_its_way_would_have_waited_for_it() -> None:
    spans = [workflow(1, 0, 4), *(tool(2 + i, 0, 4, parent=1) for i in range(4))]
    at_once = [source(10 + i, 0, 4, "prices", "a", parent=2 + i) for i in range(4)]
    assert briefly(*spans, *at_once) == [("duplicate-calls", 0.0, "high")]
    assert briefly(*spans, *at_once[:3]) == []


def test_another_attempt_of_a_call_is_no_repeat() -> None:
    again = {c.REQUEST_HASH: "a", c.RETRY_ATTEMPT: 2}
    failed = chat(3, 0, 2, parent=1, error="500", attributes={c.REQUEST_HASH: "a", c.RETRY_ATTEMPT: 1})
    assert briefly(workflow(1, 0, 4), failed, chat(4, 2, 4, parent=1, attributes=again)) == []
    useless = replace(failed, status_code=0, attributes={**failed.attributes, c.ERROR_TYPE: ""})
    assert briefly(workflow(1, 0, 4), useless, chat(4, 2, 4, parent=1, attributes=again)) == []
    asked_anew = {**again, c.RETRY_ATTEMPT: 1}
    assert briefly(workflow(1, 0, 4), useless, chat(4, 2, 4, parent=1, attributes=asked_anew)) != []


def lookup(number: int, at: float, key: str, result: str = "miss") -> SpanRecord:
    made = cache_lookup(number, at, at, result=result, parent=2)
    return replace(made, attributes={**made.attributes, c.CACHE_KEY_HASH: key})


@pytest.mark.parametrize(("key", "result", "saves"), [("k", "miss", 2.0), ("other", "miss", None), ("k", "hit", None)])
def test_a_cache_that_makes_a_value_again_is_too_small_or_forgets_too_soon(
    key: str, result: str, saves: float | None
) -> None:
    spans = [workflow(1, 0, 5), tool(2, 0, 5, parent=1)]
    first = [lookup(3, 0, "k"), source(4, 0, 2, "prices", "a", parent=2)]
    later = [lookup(5, 3, key, result), source(6, 3, 5, "volumes", "b", parent=2)]
    missed = [one for one in found(*spans, *first, *later) if one.id == "missed-cache"]
    assert [one.saves_ns / S for one in missed] == ([saves] if saves else [])


def test_attempts_that_fail_again_and_again_are_a_storm() -> None:
    assert briefly(*failing(3)) == [("retry-storm", 6.0, "medium")]
    assert briefly(*failing(2)) == []


def limited(kind: str, end: float, *more: SpanRecord) -> list[SpanRecord]:
    waited = [agent(2, 0, 4, parent=1), wait(3, 0, end, kind=kind, parent=2), chat(4, end, 4, parent=2)]
    return [workflow(1, 0, 4), *waited, *more]


@pytest.mark.parametrize(
    ("released_by", "note"),
    [("task Task-7 (refresh)", "released by task Task-7 (refresh)"), ("unknown", ""), (None, "")],
)
def test_evidence_names_the_task_that_ended_a_wait(released_by: str | None, note: str) -> None:
    run, waiter, waited, call = limited("concurrency", 2)
    about = {**waited.attributes} | ({c.WAIT_RELEASED_BY: released_by} if released_by else {})
    [finding] = found(run, waiter, replace(waited, attributes=about), call)
    assert [(one.span_id, one.note) for one in finding.evidence] == [(waited.span_id, note)]


def test_a_limit_that_the_path_waited_at_may_be_too_low() -> None:
    assert briefly(*limited("concurrency", 2)) == [("low-limit", 2.0, "medium")]
    assert briefly(*limited("human", 2)) == []
    assert briefly(*limited("concurrency", 0.01)) == []
    refused = chat(5, 2, 3, parent=2, error="429")  # then the provider's own limit may be near
    assert briefly(*limited("concurrency", 2, refused)) == [("low-limit", 2.0, "low")]


def test_a_wait_at_a_limit_beside_the_path_costs_nothing() -> None:
    beside = [agent(5, 0, 3, parent=1), wait(6, 0, 2, parent=5), chat(7, 2, 3, parent=5)]
    assert briefly(workflow(1, 0, 4), chat(2, 0, 4, parent=1), *beside) == []


def blocked(seconds: float) -> list[SpanRecord]:
    """A run of 4 s whose agent computes for so long without giving the loop back."""
    attributes = {c.LOOP_BLOCKED_SECONDS: seconds}
    return [workflow(1, 0, 4), agent(2, 0, 4, parent=1, name="busy", attributes=attributes), chat(3, 3, 4, parent=2)]


def test_a_span_that_kept_the_event_loop_from_the_path_is_told() -> None:
    [finding] = found(*blocked(1.0))
    assert (finding.id, finding.saves_ns, finding.title) == (
        "blocking-call", S, "Move busy off the event loop",
    )  # fmt: skip
    assert finding.why == "It kept the loop from everybody else for 1 s of the path: busy."
    assert [one.on_path_ns for one in finding.evidence] == [S]
    assert briefly(*blocked(0.01)) == []


def test_a_loop_that_was_blocked_beside_the_path_costs_nothing() -> None:
    beside = agent(5, 0, 1, parent=1, name="busy", attributes={c.LOOP_BLOCKED_SECONDS: 1.0})
    assert briefly(workflow(1, 0, 4), chat(2, 0, 4, parent=1), beside) == []


def connecting(new: int, calls: int = 4) -> list[SpanRecord]:
    opened = {c.CONNECTION_NEW: True, c.CONNECTION_SECONDS: 0.1}
    return [
        workflow(1, 0, calls),
        *(chat(10 + i, i, i + 1, parent=1, attributes=opened if i < new else None) for i in range(calls)),
    ]


def test_connections_that_were_not_kept_are_told() -> None:
    assert briefly(*connecting(4)) == [("connection-churn", 0.3, "high")]
    assert briefly(*connecting(3)) == []


def test_connections_that_are_needed_at_once_are_no_churn() -> None:
    opened = {c.CONNECTION_NEW: True, c.CONNECTION_SECONDS: 0.1}
    assert briefly(workflow(1, 0, 2), *(chat(10 + i, 0, 2, parent=1, attributes=opened) for i in range(8))) == []


def prompt(number: int, start: float, tokens: int, hashes: str, **more: Any) -> SpanRecord:
    """A call of 2 s whose first chunk comes 0.1 s and 1 ms a token after its start."""
    about = {c.REQUEST_PREFIX_HASHES: hashes, c.RESPONSE_TIME_TO_FIRST_CHUNK: 0.1 + tokens / 1000, **more}
    return chat(number, start, start + 2, parent=1, tokens=(tokens, 20), attributes=about)


def test_a_beginning_that_was_read_before_could_have_come_from_the_provider_s_cache() -> None:
    first, other = prompt(10, 0, 1100, "a b c"), prompt(11, 2, 200, "x")
    assert briefly(workflow(1, 0, 6), first, other, prompt(12, 4, 1200, "a b c")) == [
        ("uncached-prefix", 1.024, "medium")
    ]
    for_free = prompt(12, 4, 1200, "a b c", **{c.USAGE_CACHE_READ_INPUT_TOKENS: 1024})
    assert briefly(workflow(1, 0, 6), first, other, for_free) == []
    assert briefly(workflow(1, 0, 6), first, other, prompt(12, 4, 1200, "a b z")) == []


def context_of(characters: int) -> list[SpanRecord]:
    """A text of so many characters that goes to three agents, with 1 ms a token."""

    def attributes(tokens: int) -> dict[str, Any]:
        return {c.RESPONSE_TIME_TO_FIRST_CHUNK: tokens / 1000, c.USAGE_INPUT_TOKENS: tokens}

    spans = [workflow(1, 0, 40), *worker(10, 0, 10, name="a", call=attributes(100))]
    for i, name in enumerate(["b", "c", "d"], start=1):
        tokens = 100 + characters // 4
        before = ((10 * i + 1, 4, 4),)
        given = ((11, characters, characters if i == 1 else 0), *(before if i > 1 else ()))
        spans += worker(10 + 10 * i, 10 * i, 10 * i + 10, *given, name=name, call=attributes(tokens))
    return spans


def test_a_text_that_goes_into_the_prompts_of_several_agents_is_told() -> None:
    assert [one for one in briefly(*context_of(8000)) if one[0] == "repeated-context"] == [
        ("repeated-context", 4.0, "medium")
    ]


def test_a_little_shared_context_is_how_agents_work() -> None:
    assert "repeated-context" not in [one.id for one in found(*context_of(800))]


def conversation(*tokens: int) -> list[SpanRecord]:
    turns = [
        chat(
            10 + i,
            2 * i,
            2 * i + 2,
            parent=2,
            tokens=(size, 20),
            attributes={c.RESPONSE_TIME_TO_FIRST_CHUNK: size / 1000},
        )
        for i, size in enumerate(tokens)
    ]
    return [workflow(1, 0, 2 * len(tokens)), agent(2, 0, 2 * len(tokens), parent=1), *turns]


def test_a_context_that_grows_with_each_turn_is_told() -> None:
    assert briefly(*conversation(200, 500, 800, 1100)) == [("growing-context", 1.8, "low")]
    assert briefly(*conversation(200, 500, 400, 1100)) == []
    assert briefly(*conversation(1000, 1100, 1200, 1300)) == []


def passing_on(read: int, tokens: int = 200) -> list[SpanRecord]:
    """A call of 4 s, the first chunk after 1 s, of whose 400 characters the next one reads some."""
    streamed = {c.RESPONSE_TIME_TO_FIRST_CHUNK: 1.0, c.USAGE_OUTPUT_TOKENS: tokens}
    return [
        workflow(1, 0, 8),
        *worker(10, 0, 4, name="a", call=streamed),
        *worker(20, 4, 8, *([(11, read, read)] if read else []), name="b", call=streamed),
    ]


def test_an_answer_of_which_little_is_read_is_longer_than_it_has_to_be() -> None:
    assert briefly(*passing_on(100)) == [("unused-output", 2.25, "low")]


def test_an_answer_that_is_read_or_short_is_not_too_long() -> None:
    assert briefly(*passing_on(300)) == []
    assert briefly(*passing_on(100, tokens=40)) == []


def test_an_answer_that_no_prompt_holds_may_be_the_product() -> None:
    assert "unused-output" not in [one.id for one in found(*passing_on(0))]


def with_tool(*sources: tuple[int, int, int]) -> list[SpanRecord]:
    result = tool(3, 0, 2, parent=2, name="forecast")
    return [
        workflow(1, 0, 4),
        agent(2, 0, 4, parent=1),
        replace(result, attributes={**result.attributes, c.RESPONSE_NEW_CHARACTERS: 80}),
        chat(4, 2, 4, parent=2, attributes=reading(*sources)),
    ]


def test_a_tool_whose_result_no_prompt_holds_is_told() -> None:
    [finding] = found(*with_tool())
    assert (finding.id, finding.saves_ns, finding.confidence) == ("unread-tool-result", 2 * S, "medium")
    assert finding.title == "Drop forecast, or pass on what comes back"
    assert finding.why == "No later prompt holds a line of what forecast returned."
    assert briefly(*with_tool((3, 20, 20))) == []


def reviewed(*last: SpanRecord) -> list[SpanRecord]:
    spans = [workflow(1, 0, 9)]
    for i in range(2):
        spans += [agent(10 + i, 4 * i, 4 * i + 3, parent=1, name="writer"),
                  agent(20 + i, 4 * i + 3, 4 * i + 4, parent=1, name="critic")]  # fmt: skip
    return [*spans, *last]


def test_a_critic_after_whom_nothing_is_done_again_is_told() -> None:
    assert briefly(*reviewed()) == [("idle-critic", 2.0, "medium")]


def test_a_critic_who_is_asked_once_or_makes_somebody_work_again_is_not() -> None:
    again = agent(30, 8, 9, parent=1, name="writer")
    assert briefly(*reviewed(again)) == []
    assert (
        briefly(workflow(1, 0, 4), agent(2, 0, 3, parent=1, name="writer"), agent(3, 3, 4, parent=1, name="critic"))
        == []
    )


def asking_again(number: int, begin: float, *, resource: str = "p1", variant: str = "a") -> list[SpanRecord]:
    spans = [
        workflow(number, begin, begin + 4, trace=number, attributes={c.RUN_VARIANT: variant}),
        tool(number + 1, begin, begin + 4, parent=number, trace=number),
    ]
    spans = [replace(one, resource={**one.resource, "service.instance.id": resource}) for one in spans]
    return [spans[0], replace(spans[1], attributes={**spans[1].attributes, c.REQUEST_HASH: "same"})]


def test_what_an_earlier_run_of_the_same_process_asked_could_have_been_kept() -> None:
    later = profile_of(run_of(*asking_again(10, 5)))
    [finding] = findings_of(later, [run_of(*asking_again(1, 0))])
    assert (finding.id, finding.saves_ns) == ("repeated-runs", 4 * S)
    for other in (asking_again(1, 0, resource="p2"), asking_again(1, 0, variant="b"), asking_again(1, 9)):
        assert findings_of(later, [run_of(*other)]) == ()


def saying(number: int, start: float, end: float, prompt: str, answer: str, **more: Any) -> list[SpanRecord]:
    """An agent whose call has its texts, as other tools record them, and no fingerprints."""
    texts = {
        c.INPUT_MESSAGES: json.dumps([{"role": "user", "content": prompt}]),
        c.OUTPUT_MESSAGES: json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": answer}]}]),
    }
    return [
        agent(number, start, end, parent=1, **more),
        chat(number + 1, start, end, parent=number, attributes=texts),
    ]


def test_where_texts_are_recorded_they_tell_what_fingerprints_would() -> None:
    spans = [
        workflow(1, 0, 9),
        *saying(10, 0, 2, "Plan the work.", "look at prices\nlook at news", name="plan"),
        *saying(20, 2, 5, "Do this:\nlook at news", "the news is good", name="news"),
        *saying(30, 5, 7, "Do this:\nlook at prices", "the price is 17.5", name="prices"),
        *saying(40, 7, 9, "Judge:\n- the news is good\n- the price is 17.5", "buy", name="judge"),
    ]
    assert briefly(*spans) == [("sequential-calls", 2.0, "high")]


def test_a_text_that_was_cut_proves_nothing() -> None:
    spans = [
        workflow(1, 0, 5),
        *saying(10, 0, 2, "Plan the work.", "look at prices", name="plan"),
        *saying(20, 2, 5, "A long preface", "the news is good", name="news"),
    ]
    assert briefly(*spans) == [("sequential-calls", 2.0, "medium")]
    cut = {**spans[4].attributes, c.CONTENT_TRUNCATED: (c.INPUT_MESSAGES,)}
    assert briefly(*spans[:4], replace(spans[4], attributes=cut)) == []


def test_names_of_a_hostile_trace_are_cut_and_stay_on_their_line() -> None:
    spans = [workflow(1, 0, 6), agent(2, 0, 6, parent=1), chat(3, 0, 1, parent=2), chat(6, 5, 6, parent=2)]
    [finding] = found(*spans, asked_for(4, 1, 4, name="a\nb" * 1_000_000), asked_for(5, 4, 5, name="\u202enews"))
    assert len(finding.title) < 200
    assert "\n" not in finding.title


def test_an_empty_run_has_nothing_to_say() -> None:
    assert briefly(workflow(1, 0, 0)) == []
    assert briefly(step(1, 0, 5)) == []
