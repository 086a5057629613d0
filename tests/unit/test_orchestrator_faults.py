"""The orchestrator with a provider that fails, plans that are none, documents that change, and when it is stopped."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest
from support.orchestrator import SPEED, in_full, shipped_profile, shorten
from support.systems import Call, Spoiling, run_directly, unspoiled

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import Clock, PlanError, Resources, SystemContext
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Failures
from spanwise_pipeline.systems.orchestrator import SYSTEM
from spanwise_pipeline.systems.orchestrator.library import Library

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise_pipeline import Outcome
    from spanwise_pipeline.provider.profile import Profile

presets = pytest.mark.parametrize("preset", list(SYSTEM.presets))


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


def failing(models: tuple[str, ...] = (), **rates: float) -> Profile:
    """The shipped profile with failures, of all models or those named."""
    profile = shipped_profile()
    changed = {
        name: dataclasses.replace(model, failures=Failures(**rates)) if name in (models or profile.models) else model
        for name, model in profile.models.items()
    }
    return dataclasses.replace(profile, models=changed)


@pytest.mark.slow
@presets
def test_twenty_percent_failures_cost_time_and_nothing_else(preset: str) -> None:
    flags, seed = SYSTEM.presets[preset], 2
    quiet, _ = in_full(flags, shipped_profile(), seed)

    with capture() as spans:
        seconds, outcome = in_full(
            flags, failing(error_500=0.05, drop=0.05, malformed=0.05, stall=0.05, stall_s=5.0), seed
        )

    tried = sum(1 for span in spans() if span["attributes"].get("spanwise.retry.scheduled"))
    assert (outcome.grade, outcome.faults) == ("A+", ())
    assert outcome.answer == unspoiled(SYSTEM, flags).answer
    assert tried > 3
    assert seconds > quiet


@presets
def test_a_provider_that_only_fails_ends_the_run_with_its_error(preset: str) -> None:
    with pytest.raises((openai.InternalServerError, ExceptionGroup)) as caught:
        in_full(SYSTEM.presets[preset], failing(error_500=1.0))

    error: Any = caught.value
    while hasattr(error, "exceptions"):  # several texts were being embedded
        (error,) = error.exceptions
    assert "Error code: 500" in str(error)


@pytest.mark.slow
@presets
def test_a_verifier_s_model_that_fails_leaves_an_answer_that_says_what_was_not_done(preset: str) -> None:
    _, outcome = in_full(SYSTEM.presets[preset], failing(("orchestrator-small",), error_500=1.0))

    checks = [fault for fault in outcome.faults if "verify failed" in fault]
    assert checks
    assert all("Error code: 500" in fault for fault in checks)
    # Nothing is reported on a decision that was not verified; in the background the analyses are there all the same.
    assert "decision" not in outcome.answer or "report_check" not in outcome.answer
    assert "Report" not in outcome.report
    assert outcome.score < 90


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "refused"), [(0, True), (6, False)])
def test_below_the_provider_s_limits_nobody_is_refused(limit: int, *, refused: bool) -> None:
    profile = shipped_profile()
    tight = {name: dataclasses.replace(model, requests_per_minute=6) for name, model in profile.models.items()}
    flags = dataclasses.replace(SYSTEM.presets["optimized"], requests_per_minute=limit, tokens_per_minute=0)

    with capture() as spans:
        seconds, outcome = in_full(flags, dataclasses.replace(profile, models=tight))

    assert (outcome.grade, outcome.faults) == ("A+", ())
    assert any("429" in str(span["attributes"].get("error.type")) for span in spans()) is refused
    # Ten calls of the large model through a bucket that holds 90 % of six and gains as many a minute.
    assert seconds > (10 - 6) * 10


@presets
def test_a_memory_that_cannot_be_updated_costs_no_answer(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_: Library) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Library, "save", full)
    flags = dataclasses.replace(SYSTEM.presets[preset], background_memory=False)

    outcome = unspoiled(SYSTEM, flags)

    assert (outcome.score, outcome.answer["decision"]) == (100.0, "move")
    assert outcome.faults == ("the memory was not updated: [Errno 28] No space left on device",)
    with pytest.raises(ExceptionGroup, match="background steps failed"):
        unspoiled(SYSTEM, dataclasses.replace(flags, background_memory=True))


def spoiled(flags: Any, agent: str, change: Callable[[str], str]) -> Outcome:
    """The outcome where one agent's texts are changed."""

    def reply(call: Call, text: str) -> str:
        return change(text) if call.agent == agent else text

    return run_virtual(lambda: run_directly(SYSTEM, flags, Spoiling(reply=reply)))[0]


@presets
def test_an_analysis_that_does_not_work_out_again_is_reported_and_not_built_on_where_it_is_critical(
    preset: str,
) -> None:
    flags = SYSTEM.presets[preset]

    wrong_sum = spoiled(flags, "cost_analyst", lambda text: text.replace("mover_total = 8790", "mover_total = 8700"))
    wrong_end = spoiled(flags, "decision_maker", lambda text: text.replace("decision = move", "decision = wait"))

    assert "step 5: the verifier does not confirm offers" in wrong_sum.faults
    assert wrong_sum.report["Check of moving offers"].count("offers_check = refuted") == 1
    assert "step 22 verify failed: step 22: the verifier does not confirm decision" in wrong_end.faults
    assert "Report" not in wrong_end.report
    assert "total_cost" not in wrong_end.answer


def plan_with(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[str], str]:
    """Changes the steps of a plan."""

    def changed(text: str) -> str:
        plan = json.loads(text)
        change(plan["steps"])
        return json.dumps(plan)

    return changed


def forward(steps: list[dict[str, Any]]) -> None:
    steps[1]["parameters"]["path"] = "$step9.files.0"


def circular(steps: list[dict[str, Any]]) -> None:
    steps[4]["dependencies"] = [5]


def unknown_tool(steps: list[dict[str, Any]]) -> None:
    steps[1]["action"] = "read_files"


def twice(steps: list[dict[str, Any]]) -> None:
    steps[1]["id"] = 1


@presets
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (forward, "plan: step 2: it needs step 9, which does not come before it (the steps before it are 1)"),
        (circular, "plan: step 5: it depends on itself; remove that dependency"),
        (unknown_tool, "plan: step 2: unknown action 'read_files'; did you mean 'read_file'?"),
        (twice, "plan: entry 2: the id 1 is taken by an earlier step; give each its own"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_ends_the_run_with_the_step_and_a_remedy(
    preset: str, change: Callable[[list[dict[str, Any]]], None], problem: str
) -> None:
    with pytest.raises(PlanError) as caught:
        spoiled(SYSTEM.presets[preset], "planner", plan_with(change))

    assert problem in str(caught.value)


def no_such_part(steps: list[dict[str, Any]]) -> None:
    steps[1]["parameters"]["path"] = "$step1.paths.0"


def no_such_document(steps: list[dict[str, Any]]) -> None:
    steps[1]["parameters"] = {"path": "offers/brand.txt"}


def no_such_parameter(steps: list[dict[str, Any]]) -> None:
    steps[1]["parameters"]["pages"] = 3


def no_such_topic(steps: list[dict[str, Any]]) -> None:
    steps[4]["parameters"]["topic"] = "offer"


@presets
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (no_such_part, "step 2 read_file failed: $step1.paths.0: $step1 has no 'paths'; it is an object with files"),
        (
            no_such_document,
            "step 2 read_file failed: offers/brand.txt: no such document of the user; did you mean 'offers/brandt",
        ),
        (no_such_parameter, "step 2 read_file failed: step 2: read_file takes path: Additional properties"),
        (no_such_topic, "step 5 analyze_content failed: nobody analyses the topic 'offer'; did you mean 'offers'?"),
    ],
)
def test_a_step_that_fails_costs_what_depends_on_it_and_the_answer_says_why(
    preset: str, change: Callable[[list[dict[str, Any]]], None], fault: str
) -> None:
    outcome = spoiled(SYSTEM.presets[preset], "planner", plan_with(change))

    assert any(found.startswith(fault) for found in outcome.faults), outcome.faults[:3]
    assert outcome.answer["available"] == 9900.0
    assert not {"Moving offers", "Decision", "Report"} & set(outcome.report)
    assert outcome.grade not in {"A+", "A"}


@presets
def test_a_document_that_changes_during_a_run_is_named_and_the_answer_keeps_to_what_was_read(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Library.write

    async def change_then_write(self: Library, path: str, text: str) -> None:
        if path.startswith("reports/"):
            await write(self, "budget/grant.txt", "The region has changed its mind.\ngrant_amount = 0\n")
        await write(self, path, text)

    monkeypatch.setattr(Library, "write", change_then_write)

    outcome = unspoiled(SYSTEM, SYSTEM.presets[preset])

    assert outcome.faults == ("budget/grant.txt changed after it was read; ask again",)
    assert outcome.answer["available"] == 9900.0


def below(top: dict[str, Any], spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The spans below one."""
    children = [span for span in spans if span["parent_id"] == top["span_id"]]
    return [*children, *(span for child in children for span in below(child, spans))]


@pytest.mark.slow
def test_a_plan_that_is_written_again_goes_on_with_the_steps_that_have_begun() -> None:
    flags = SYSTEM.presets["optimized"]
    profile = shipped_profile()
    large = dataclasses.replace(profile.models["orchestrator-large"], failures=Failures(drop=0.3))
    dropping = dataclasses.replace(profile, models={**profile.models, "orchestrator-large": large})
    again = 0

    for seed in range(1, 10):
        with capture() as spans:
            _, outcome = in_full(flags, dropping, seed)
        recorded = spans()
        (plan,) = [span for span in recorded if span["name"] == "invoke_agent planner"]
        steps = [span for span in recorded if span["name"].endswith("search_files")]
        assert outcome.faults == ()
        assert len(steps) == 5
        again = sum(1 for span in below(plan, recorded) if span["attributes"].get("spanwise.retry.scheduled"))
        if again:
            break

    assert again


@pytest.mark.slow
@presets
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_stopping_a_run_leaves_no_task_no_folder_and_no_open_span(
    preset: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = SYSTEM.presets[preset]
    after = in_full(flags, shipped_profile())[0] / SPEED * share
    folders: list[Any] = []

    async def run() -> None:
        clock = Clock(SPEED)
        app = create_app(shipped_profile(), speed=SPEED)
        async with Resources(SYSTEM.name, SYSTEM.needs(flags), clock=clock) as resources:
            folders.append(resources.folder)
            context = SystemContext(
                base_url="http://in-process/v1", api_key="k", clock=clock, seed=1, label_requests=True,
                publish=lambda _agent, _text: None, resources=resources,
                transport=lambda pooled: InProcessTransport(app, pooled=pooled),
            )  # fmt: skip
            with spanwise.workflow("orchestrator"):
                async with resources.background:
                    await SYSTEM.run(context, flags)

    async def main() -> set[str]:
        task = asyncio.create_task(run())
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return {other.get_name() for other in asyncio.all_tasks() if other is not asyncio.current_task()}

    with capture() as spans:
        left, _ = run_virtual(main)
    recorded = spans()
    ids = {span["span_id"] for span in recorded}

    assert left == set()
    assert not folders[0].exists()
    assert [span["name"] for span in recorded if span["parent_id"] is not None and span["parent_id"] not in ids] == []
    assert (recorded[0]["name"], recorded[0]["status"]) == ("invoke_workflow orchestrator", "ERROR")
