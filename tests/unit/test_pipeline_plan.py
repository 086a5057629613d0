# ruff: noqa: PT012 - the flow's whole block is what must raise
"""A plan in JSON becomes steps of a flow while it streams in, and a wrong one is refused before anything runs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanwise.testing import run_virtual
from spanwise_pipeline import Flow, PlanError, PlanReader, run_plan
from spanwise_pipeline.scheduling.plan import Reference, Text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

PUBLISHED = """[{"id": 1, "action": "search_files", "dependencies": []}, {"id": 2, "action":
"read_file", "dependencies": []}, {"id": 3, "action": "analyze_content", "dependencies": [1, 2]}, {"id": 4, "action":
"create_report", "dependencies": [3]}]"""
EARLIER = "a step can only need earlier ones"
ACTIONS = ("search_files", "read_file", "analyze_content", "create_report")


class Desk:
    """Actions that note what they were called with, and take a second."""

    def __init__(self, results: dict[str, Any] | None = None) -> None:
        self.began: list[tuple[str, float]] = []
        self.arguments: dict[str, dict[str, Any]] = {}
        self.results = results or {}

    def actions(self) -> dict[str, Any]:
        return {name: self._action(name) for name in ACTIONS}

    def _action(self, name: str) -> Any:
        async def act(**arguments: Any) -> Any:
            self.began.append((name, asyncio.get_running_loop().time()))
            self.arguments[name] = arguments
            await asyncio.sleep(1)
            return self.results.get(name, name)

        return act


def step(number: Any, action: str = "read_file", *dependencies: Any, **parameters: Any) -> dict[str, Any]:
    return {"id": number, "action": action, "dependencies": list(dependencies), "parameters": parameters}


def read(*steps: Any, pieces: int | None = None) -> PlanReader:
    reader = PlanReader(ACTIONS)
    text = json.dumps(list(steps))
    for start in range(0, len(text), pieces or len(text)):
        reader.feed(text[start : start + (pieces or len(text))])
    reader.close()
    return reader


async def slowly(pieces: Iterable[str], seconds: float = 1.0) -> AsyncGenerator[str]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(seconds)


def test_the_published_plan_runs_each_step_when_its_own_inputs_are_ready() -> None:
    desk = Desk()

    async def main() -> dict[str, Any]:
        async with Flow() as flow:
            steps = await run_plan(flow, PUBLISHED, desk.actions())
        assert [step.name for step in flow.steps] == [f"{n} {name}" for n, name in enumerate(ACTIONS, 1)]
        return {name: step.result() for name, step in steps.items()}

    results, seconds = run_virtual(main)
    assert results == {"1": "search_files", "2": "read_file", "3": "analyze_content", "4": "create_report"}
    assert desk.began == [("search_files", 0), ("read_file", 0), ("analyze_content", 1), ("create_report", 2)]
    assert seconds == 3.0


def test_a_step_starts_while_the_plan_still_streams_in() -> None:
    desk = Desk()
    text = json.dumps([step(1), step(2, "create_report", 1)])
    cut = text.index('{"id": 2')
    pieces = ["Here is the plan:\n```json\n", text[:20], text[20:cut], text[cut:-1], "]\n```\nThat is all.", " Bye."]

    async def main() -> None:
        async with Flow() as flow:
            await run_plan(flow, slowly(pieces), desk.actions())

    run_virtual(main)
    assert desk.began == [("read_file", 2.0), ("create_report", 3.0)]


def test_a_plan_that_is_held_runs_when_it_is_whole() -> None:
    desk = Desk()

    async def main() -> None:
        async with Flow() as flow:
            await run_plan(flow, slowly([PUBLISHED[:-1], "]"], 5), desk.actions(), hold=True)

    run_virtual(main)
    assert min(time for _, time in desk.began) == 10.0


def test_references_keep_types_and_dollars() -> None:
    desk = Desk({"search_files": {"files": ["a.txt", "b.txt"], "count": 2, "ok": True}})
    plan = [
        step("find", "search_files", query="$100 or $step"),
        step(
            "read", "read_file",
            first="$stepfind.files.0", all="$stepfind.files", count="$stepfind.count", whole="$stepfind",
            text="read $stepfind.count files: $stepfind.files", price="$$stepfind costs $$5 or $5",
            nested={"paths": ["$stepfind.files.1", 7, None]},
        ),
    ]  # fmt: skip

    async def main() -> None:
        async with Flow() as flow:
            steps = await run_plan(flow, json.dumps(plan), desk.actions())
        assert [given.name for given in steps["read"].inputs] == ["find search_files"]

    run_virtual(main)
    assert desk.arguments["search_files"] == {"query": "$100 or $step"}
    assert desk.arguments["read_file"] == {
        "first": "a.txt",
        "all": ["a.txt", "b.txt"],
        "count": 2,
        "whole": {"files": ["a.txt", "b.txt"], "count": 2, "ok": True},
        "text": 'read 2 files: ["a.txt", "b.txt"]',
        "price": "$stepfind costs $5 or $5",
        "nested": {"paths": ["b.txt", 7, None]},
    }


def test_dependencies_are_those_that_are_listed_and_those_that_are_referred_to() -> None:
    reader = read(step(1), step(2), step(3, "create_report", "$step2", text="see $step1.title", other="$step2"))

    assert reader.steps[2].dependencies == ("2", "1")
    assert reader.steps[2].parameters == {
        "text": Text(("see ", Reference("1", ("title",)))), "other": Reference("2"),
    }  # fmt: skip


def test_what_else_a_step_says_is_kept() -> None:
    assert read({"id": 1, "action": "read_file", "critical": True}).steps[0].more == {"critical": True}


def test_the_steps_can_be_a_field_of_an_object() -> None:
    reader = PlanReader(ACTIONS)

    found = reader.feed(json.dumps({"goals": ["report"], "steps": [step(1), step(2)], "notes": ["done"]}))

    assert [planned.id for planned in found] == ["1", "2"]
    assert reader.close() == reader.steps


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step(1, "reed_file")], "step 1: unknown action 'reed_file'; did you mean 'read_file'? Allowed: {names}"),
        ([step(1), {"id": 2}], "step 2: unknown action None; Allowed: {names}"),
        (
            [step(1), step(2, "read_file", 9)],
            f"step 2: it needs step 9, which does not come before it (the steps before it are 1); {EARLIER}",
        ),
        (
            [step(1, "read_file", path="$step2"), step(2)],
            f"step 1: it needs step 2, which does not come before it (it is the first step); {EARLIER}",
        ),
        (
            [step(1, "read_file", 2), step(2, "read_file", 1)],
            f"step 1: it needs step 2, which does not come before it (it is the first step); {EARLIER}",
        ),
        ([step(1, "read_file", 1)], "step 1: it depends on itself; remove that dependency"),
        ([step(1), step("1")], "entry 2: the id 1 is taken by an earlier step; give each its own"),
        ([step(None)], "entry 1: its id is None; give a whole number or a word"),
        ([step(number=True)], "entry 1: its id is True; give a whole number or a word"),
        ([step("a b")], "entry 1: its id is 'a b'; give a whole number or a word"),
        (["read_file"], "entry 1: a step is an object with id, action, dependencies, parameters, this is 'read_file'"),
        ([{**step(1), "dependencies": 2}], "step 1: dependencies are a list of step ids, this is 2"),
        ([{**step(1), "dependencies": [[2]]}], "step 1: dependencies are a list of step ids, this is [[2]]"),
        ([{**step(1), "parameters": ["a"]}], "step 1: parameters are an object of names and values, this is ['a']"),
    ],
)
def test_a_wrong_plan_names_step_and_remedy_and_runs_nothing(steps: list[Any], message: str) -> None:
    desk = Desk()

    async def main() -> str:
        async with Flow() as flow:
            with pytest.raises(PlanError) as caught:
                await run_plan(flow, json.dumps(steps), desk.actions())
        assert flow.steps == ()
        return str(caught.value)

    names = ", ".join(sorted(ACTIONS))
    assert run_virtual(main)[0] == f"plan: {message.format(names=names)}"
    assert desk.began == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("I cannot plan that.", "plan: the plan ends before its list of steps began; "),
        ("[", "plan: the plan ends after 0 steps; "),
        (json.dumps([step(1)])[:-1], "plan: the plan ends after 1 steps; "),
        ('[{"id": 1, "action": }]', "plan: not valid JSON after 0 steps: "),
        ('[{"id": 1, "action": "read_file"}, nonsense]', "plan: not valid JSON after 1 steps: "),
        ('{"steps": 5}', "plan: the plan ends before its list of steps began; "),
    ],
)
def test_what_is_no_plan_is_refused(text: str, message: str) -> None:
    reader = PlanReader(ACTIONS)

    with pytest.raises(PlanError) as caught:
        reader.feed(text)
        reader.close()
    assert str(caught.value).startswith(message)


def test_a_later_step_that_is_wrong_cancels_those_that_run() -> None:
    desk = Desk()
    text = json.dumps([step(1), step(2, "read_file", 7)])
    cut = text.index('{"id": 2')

    async def main() -> list[str]:
        async with Flow() as flow:
            with pytest.raises(PlanError, match="step 2: it needs step 7"):
                await run_plan(flow, slowly([text[:cut], text[cut:]], 0.5), desk.actions())
        return [step.state for step in flow.steps]

    assert run_virtual(main) == (["cancelled"], 0.5)


def test_a_stream_that_breaks_off_cancels_what_runs() -> None:
    async def broken() -> AsyncGenerator[str]:
        yield json.dumps([step(1)])[:-1]
        await asyncio.sleep(0.5)
        raise ConnectionError("gone")

    async def main() -> list[str]:
        async with Flow() as flow:
            with pytest.raises(ConnectionError, match="gone"):
                await run_plan(flow, broken(), Desk().actions())
        return [step.state for step in flow.steps]

    assert run_virtual(main)[0] == ["cancelled"]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("$step1.pages", "$step1.pages: $step1 has no 'pages'; it is an object with files, note"),
        ("$step1.files.7", "$step1.files.7: $step1.files has no '7'; it is a list of 1"),
        ("$step1.files.first", "$step1.files.first: $step1.files has no 'first'; it is a list of 1"),
        ("$step1.note.x", "$step1.note.x: $step1.note has no 'x'; it is str 'text'"),
    ],
)
def test_a_part_that_a_result_lacks_fails_the_step_that_needs_it(reference: str, message: str) -> None:
    desk = Desk({"search_files": {"files": ["a"], "note": "text"}})
    plan = json.dumps([step(1, "search_files"), step(2, "read_file", path=reference), step(3, "create_report")])

    async def main() -> str:
        async with Flow() as flow:
            steps = await run_plan(flow, plan, desk.actions())
            await steps["2"].wait_until_done()
            error = steps["2"].error()
        assert steps["3"].result() == "create_report"
        return str(error)

    assert run_virtual(main)[0] == message


def test_a_plan_of_too_many_steps_is_refused() -> None:
    reader = PlanReader(ACTIONS, most_steps=2)

    with pytest.raises(PlanError, match="plan: more than 2 steps; ask for a shorter plan"):
        reader.feed(json.dumps([step(n) for n in range(3)]))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_however_a_plan_is_cut_it_is_read_the_same(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    texts = st.text(st.sampled_from('a$"\\{}[],é1.'), max_size=8)
    steps = [
        step(n, data.draw(st.sampled_from(ACTIONS)), *data.draw(st.lists(st.integers(0, n - 1), max_size=2) if n else st.just([])), value=data.draw(texts))  # noqa: E501
        for n in range(count)
    ]  # fmt: skip

    whole, cut = read(*steps), read(*steps, pieces=data.draw(st.integers(1, 9)))

    assert cut.steps == whole.steps
    assert len(whole.steps) == count
