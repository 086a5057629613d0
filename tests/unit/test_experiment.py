"""Experiments: what is planned, and that each run is read back whole from the journal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.finished import SYSTEM

import spanwise
from spanwise.errors import InputError
from spanwise_cli.finished import read_back
from spanwise_pipeline import experiment
from spanwise_pipeline.system import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spanwise_pipeline.runner import RunPlan

pytestmark = pytest.mark.usefixtures("isolated_provider")


class Silent:
    """Shows nothing."""

    def begin(self, preset: str, plan: RunPlan) -> Callable[[str, float], None]:
        return lambda _agent, _seconds: None

    def end(self) -> None:
        pass


def test_a_preset_is_found_by_its_name_and_its_alias() -> None:
    system = replace(SYSTEM, aliases={"baseline": "slow", "optimized": "fast"})

    assert experiment.check_presets(system, ["optimized", "slow"]) == ("fast", "slow")
    assert experiment.check_presets(system, []) == ("slow", "fast")
    with pytest.raises(
        InputError, match=r"unknown preset 'basline' of desk; did you mean 'baseline'\? Allowed: baseline"
    ):
        experiment.check_presets(system, ["basline"])


def test_a_run_that_crosses_segments_of_the_journal_is_read_back_whole(tmp_path: Path) -> None:
    started: list[spanwise.Telemetry] = []

    async def run(context: Any, flags: Any) -> Outcome:
        (telemetry,) = started
        for name in ("first", "second"):
            with spanwise.agent(name):
                pass
            assert telemetry.flush(5.0)
            segment = telemetry.journal_path
            telemetry.processor._stream.segments.rotate()  # type: ignore[union-attr]
            assert telemetry.journal_path != segment
        return Outcome({}, {}, "A+", 100.0)

    asked = experiment.Experiment(
        replace(SYSTEM, run=run), ("slow",), {}, runs=2, base_url="http://127.0.0.1:9/v1", speed=1.0
    )
    with experiment.recording("desk", journal=tmp_path, speed=1.0) as telemetry:
        started.append(telemetry)
        executed = list(experiment.execute(asked, telemetry=telemetry, watcher=Silent()))

    assert [one.report.error for one in executed] == [None, None]
    runs = [one.run for one in read_back(executed, telemetry)]
    assert [(run.totals.spans, run.totals.agents, run.state) for run in runs if run] == [(3, 2, "ended")] * 2
