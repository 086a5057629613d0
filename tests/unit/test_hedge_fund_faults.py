"""The hedge fund with a provider that fails, and the fund that is stopped half-way."""

from __future__ import annotations

import asyncio
import dataclasses
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from support.hedge_fund import PRESETS, failing, shipped_profile
from support.systems import Spoiling, direct, run_directly

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline.bound import bound_of
from spanwise_pipeline.provider.profile import Failures
from spanwise_pipeline.systems.hedge_fund import SYSTEM

if TYPE_CHECKING:
    from support.systems import Call

A_FIFTH = Failures(error_500=0.05, drop=0.05, malformed=0.05, stall=0.05, stall_s=60.0)
"""One request in five fails, in all four ways."""


@pytest.mark.parametrize(("preset", "tries"), [("baseline", 4), ("phase2", 2)])
def test_the_model_that_is_out_of_service_is_asked_as_often_as_the_flag_says(preset: str, tries: int) -> None:
    with capture() as spans:
        bound = bound_of(SYSTEM, PRESETS[preset], shipped_profile(), 1)

    calls = [span["attributes"] for span in spans() if span["name"] == "chat sentiment-large"]
    assert [call["spanwise.attempts"] for call in calls] == [tries]
    assert bound.outcome.score == 100.0


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["published", "optimized"])
def test_a_fifth_of_failures_costs_no_run_fifteen_seconds_and_few_analysts(preset: str) -> None:
    runs = [bound_of(SYSTEM, PRESETS[preset], failing(A_FIFTH), seed) for seed in range(1, 16)]

    assert max(run.seconds for run in runs) <= 15.0
    assert sum(run.outcome.answer["analysts"] for run in runs) / (17 * len(runs)) > 0.95
    quiet = bound_of(SYSTEM, PRESETS[preset], shipped_profile(), 1).seconds
    assert median(run.seconds for run in runs) > quiet


def test_an_analyst_that_fails_is_left_out_and_the_answer_says_so() -> None:
    def mute(call: Call, text: str) -> str:
        return "" if call.agent == "growth" else text

    outcome = direct(SYSTEM, PRESETS["published"], Spoiling(reply=mute))

    assert outcome is not None
    assert outcome.answer["analysts"] == 16
    assert "growth" not in outcome.report
    assert outcome.grade != "A+"


def test_without_any_prediction_there_is_no_decision() -> None:
    managers = {"risk_manager", "portfolio_manager"}
    silent = Spoiling(reply=lambda call, text: text if call.agent in managers else "")

    with pytest.raises(ExceptionGroup) as caught:
        run_virtual(lambda: run_directly(SYSTEM, PRESETS["published"], silent))

    assert [str(error) for error in caught.value.exceptions] == [
        "no analyst gave a prediction, so there is nothing to decide on; run again"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["baseline", "published", "optimized"])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.9])
def test_stopping_the_fund_leaves_no_task_and_no_open_span(preset: str, share: float) -> None:
    flags = PRESETS[preset]
    whole = bound_of(SYSTEM, flags, shipped_profile(), 1).seconds
    left: set[str] = set()

    async def stopped(context: Any, flags: Any) -> Any:
        async def run() -> None:
            with spanwise.workflow("hedge_fund"):
                await SYSTEM.run(context, flags)

        before = asyncio.all_tasks()
        task = asyncio.create_task(run())
        await asyncio.sleep(whole * share)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        left.update(other.get_name() for other in asyncio.all_tasks() - before)
        raise asyncio.CancelledError

    with capture() as spans, pytest.raises(asyncio.CancelledError):
        bound_of(dataclasses.replace(SYSTEM, run=stopped), flags, shipped_profile(), 1)
    ids = {span["span_id"] for span in spans()}

    assert left == set()
    assert [s["name"] for s in spans() if s["parent_id"] is not None and s["parent_id"] not in ids] == []
    assert (spans()[0]["name"], spans()[0]["status"]) == ("invoke_workflow hedge_fund", "ERROR")
