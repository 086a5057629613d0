"""The desk with a provider that fails, and the desk that is stopped half-way."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import openai
import pytest
from support.systems import SPEED, unspoiled
from support.trading import PRESETS, full_context, in_full, shipped_profile

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline.provider.profile import Failures
from spanwise_pipeline.systems.trading import SYSTEM, desk_tools, prompts

if TYPE_CHECKING:
    from spanwise_pipeline.provider.profile import Profile

presets = pytest.mark.parametrize("preset", list(PRESETS))


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "WORDS", dict.fromkeys(prompts.WORDS, (12, 12)))


def failing(**rates: float) -> Profile:
    profile = shipped_profile()
    failures = Failures(**rates)
    models = {name: dataclasses.replace(model, failures=failures) for name, model in profile.models.items()}
    return dataclasses.replace(profile, models=models)


def attempts(spans: list[dict[str, Any]], value: str) -> int:
    return sum(1 for span in spans if span["attributes"].get(value))


@presets
def test_a_flaky_provider_costs_time_and_nothing_else(preset: str) -> None:
    flags = PRESETS[preset]
    quiet, _ = in_full(flags, shipped_profile(), seed=2)

    with capture() as spans:
        seconds, outcome = in_full(
            flags, failing(error_500=0.05, drop=0.05, malformed=0.05, stall=0.05, stall_s=5.0), seed=2
        )

    assert outcome.answer == unspoiled(SYSTEM, flags).answer
    assert outcome.grade == "A+"
    assert attempts(spans(), "spanwise.retry.scheduled") > 0
    assert seconds > quiet


def test_a_provider_that_only_fails_ends_the_run_with_its_error() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        in_full(PRESETS["optimized"], failing(error_500=1.0))

    assert [type(error) for error in caught.value.exceptions] == [openai.InternalServerError]


def test_a_tool_that_fails_ends_the_run_with_its_error_and_leaves_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreachable(*_: Any) -> Any:
        raise ConnectionError("the source is not reachable")

    monkeypatch.setattr(desk_tools.DeskTools, "macro_news", unreachable)

    with pytest.raises(ExceptionGroup) as caught:
        in_full(PRESETS["optimized"], shipped_profile())

    assert [str(error) for error in caught.value.exceptions] == ["the source is not reachable"]


@presets
@pytest.mark.parametrize("share", [0.02, 0.2, 0.45, 0.9])
def test_stopping_the_desk_leaves_no_task_and_no_open_span(preset: str, share: float) -> None:
    flags = PRESETS[preset]
    after = in_full(flags, shipped_profile())[0] / SPEED * share

    async def run() -> None:
        with spanwise.workflow("trading"):
            await SYSTEM.run(full_context(shipped_profile()), flags)

    async def main() -> set[str]:
        task = asyncio.create_task(run())
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return {other.get_name() for other in asyncio.all_tasks() if other is not asyncio.current_task()}

    with capture() as spans:
        left, _ = run_virtual(main)
    ids = {span["span_id"] for span in spans()}
    below_open_spans = [
        span["name"] for span in spans() if span["parent_id"] is not None and span["parent_id"] not in ids
    ]

    assert left == set()
    assert below_open_spans == []
    assert max(span["end_ns"] for span in spans()) == spans()[0]["end_ns"]
    assert spans()[0]["name"] == "invoke_workflow trading"
    assert spans()[0]["status"] == "ERROR"
