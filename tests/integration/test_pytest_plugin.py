"""The pytest plugin, as people use it: their own tests in their own process, with the plugin from its entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.pages import ROOT, blocks

from spanwise_cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow
PROGRAM = """
import asyncio, pytest, spanwise

async def work(calls, error=None):
    with spanwise.workflow("desk", seed=1):
        with spanwise.agent("writer"):
            for _ in range(calls):
                with spanwise.llm_call("sim") as call:
                    await asyncio.sleep(0.02)
                    call.usage(100, 20)
        if error is not None:
            raise error
"""
QUIET = ("-p", "no:randomly", "-p", "no:cacheprovider")


def outcome(pytester: pytest.Pytester, tests: str, *words: str) -> pytest.RunResult:
    pytester.makepyfile(test_desk=PROGRAM + tests)
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\naddopts = ['--strict-markers']\nfilterwarnings = ['error']")
    return pytester.runpytest_subprocess(*QUIET, *words, timeout=120)


def test_a_marked_test_is_recorded_and_judged(pytester: pytest.Pytester) -> None:
    result = outcome(
        pytester,
        """
@pytest.mark.performance(model_calls=2, tokens=240)
def test_kept(): asyncio.run(work(2))

@pytest.mark.performance(model_calls=2, seconds=0.01)
def test_broken(): asyncio.run(work(3))

@pytest.mark.performance(model_calls=2)
def test_failing_by_itself(): assert 1 == 2

@pytest.mark.performance(model_calls=2)
def test_nothing_ran(): pass

@pytest.mark.performance(model_calls=2)
def test_a_run_that_fails():
    with pytest.raises(ValueError):
        asyncio.run(work(1, ValueError("no")))

@pytest.mark.performance(model_call=2)
def test_misspelt(): pass

@pytest.mark.performance(2)
def test_positional(): pass

@pytest.mark.performance()
def test_empty(): pass

@pytest.mark.performance(tokens=-1)
def test_negative(): pass

@pytest.mark.performance(budgets="missing.yaml")
def test_no_budgets(): asyncio.run(work(1))

@pytest.mark.skip
@pytest.mark.performance(model_calls=2)
def test_skipped(): pass

def test_unmarked(): pass
""",
    )
    result.assert_outcomes(passed=2, failed=9, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_broken _*",
            "Gate failed: 2 failed, 1 passed of 3 checks",
            "  FAIL * desk: duration: 0.* s in 1 run; at most 0.010 s (performance.seconds)",
            " * writer: 0.* s (* %) of the critical path, mostly model",
            "  FAIL * desk: model calls: 3 in 1 run; at most 2 (performance.model_calls)",
            " * writer: 3 model calls",
            "*_ test_failing_by_itself _*",
            "E   *assert 1 == 2",
            "*_ test_nothing_ran _*",
            "NOTHING WAS MEASURED: 1 not measured of 1 check",
            "*_ test_a_run_that_fails _*",
            "  FAIL * desk: failures: 1 of 1 runs ended in an error (ValueError)",
            "*_ test_misspelt _*",
            "@pytest.mark.performance: unknown option 'model_call'; did you mean 'model_calls'? *",
            "*_ test_positional _*",
            "@pytest.mark.performance: takes names only, *",
            "*_ test_empty _*",
            "@pytest.mark.performance: nothing to judge by; *",
            "*_ test_negative _*",
            "@pytest.mark.performance: tokens is -1; *",
            "*_ test_no_budgets _*",
            "@pytest.mark.performance: *missing.yaml: no such file; *",
        ]
    )
    assert "During handling of the above exception" not in result.stdout.str()


def test_budgets_and_a_baseline_are_files_below_the_root(pytester: pytest.Pytester, tmp_path: Path) -> None:
    pytester.makefile(".yaml", budgets="version: 1\nworkflows: {desk: {run: {model_calls: 2}}}\n")
    tests = """
@pytest.mark.performance(baseline="baseline.jsonl", budgets="budgets.yaml")
def test_desk(): asyncio.run(work(CALLS))
"""
    first = outcome(pytester, tests.replace("CALLS", "2"), "--spanwise-journal", "kept")
    first.assert_outcomes(failed=1)
    first.stdout.fnmatch_lines(["*baseline.jsonl: no such baseline, which is never a pass; *--to baseline.jsonl"])
    kept, baseline = str(pytester.path / "kept"), str(pytester.path / "baseline.jsonl")
    assert main(["export", "last", "--journal", kept, "--to", baseline]) == 0
    outcome(pytester, tests.replace("CALLS", "2")).assert_outcomes(passed=1)
    worse = outcome(pytester, tests.replace("CALLS", "3"))
    worse.assert_outcomes(failed=1)
    worse.stdout.fnmatch_lines(
        [
            "Gate failed: 4 failed, *",
            "*desk: model calls: 3 in 1 run; at most 2 (workflows.desk.run.model_calls)",
            "*desk: model calls: 3, of the baseline 2",
            "*desk: input tokens: 300, of the baseline 200",
        ]
    )


def test_the_fixture_records_a_block_beside_what_the_program_configures(pytester: pytest.Pytester) -> None:
    outcome(
        pytester,
        """
import os
from spanwise.recording.telemetry import active

@pytest.fixture(scope="session")
def of_the_session(tmp_path_factory):
    telemetry = spanwise.configure(service_name="session", journal_dir=tmp_path_factory.mktemp("session"))
    yield telemetry.settings
    spanwise.shutdown()

def test_a_block(record_run, of_the_session):
    with record_run() as recorded:
        asyncio.run(work(2))
        asyncio.run(work(1))
    recorded.check(model_calls=2, tokens=240)
    assert [one.run.totals.llm_calls for one in recorded.profiles] == [2, 1]
    assert active().settings == of_the_session
    with pytest.raises(AssertionError, match="model calls: 2 in the worst of 2 runs, 1 are over it; at most 1"):
        recorded.check(model_calls=1)
    with pytest.raises(spanwise.InputError, match="unknown limit 'calls'"):
        recorded.check(calls=1)

def test_a_program_that_configures_itself(record_run, tmp_path):
    before = dict(os.environ)
    with record_run() as recorded:
        spanwise.configure(service_name="own")
        asyncio.run(work(1))
    assert [one.run.service for one in recorded.profiles] == ["own"]
    with record_run() as recorded:
        spanwise.configure(service_name="elsewhere", journal_dir=tmp_path)
        asyncio.run(work(1))
    assert [one.run.service for one in recorded.profiles] == ["elsewhere"]
    assert dict(os.environ) == {**before, "PYTEST_CURRENT_TEST": os.environ["PYTEST_CURRENT_TEST"]}

def test_an_error_in_the_block_is_the_tests_own(record_run):
    with pytest.raises(ZeroDivisionError):
        with record_run() as recorded:
            asyncio.run(work(1))
            1 / 0
    recorded.check(model_calls=1)
""",
    ).assert_outcomes(passed=3)


def test_workers_of_xdist_judge_their_own_runs_and_keep_them_together(pytester: pytest.Pytester) -> None:
    result = outcome(
        pytester,
        """
@pytest.mark.parametrize("calls", range(1, 7))
@pytest.mark.performance(model_calls=4)
def test_desk(calls): asyncio.run(work(calls))
""",
        "-n", "2", "--spanwise-journal", "kept",
    )  # fmt: skip
    result.assert_outcomes(passed=4, failed=2)
    assert main(["gate", "--journal", str(pytester.path / "kept"), "--budgets", str(_budgets(pytester.path))]) == 1


def _budgets(folder: Path) -> Path:
    file = folder / "budgets.yaml"
    file.write_text("version: 1\nworkflows: {desk: {run: {model_calls: 5, errors: 0}}}\n", encoding="utf-8")
    return file


def test_tests_without_the_marker_load_nothing_of_spanwise_but_the_plugin(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others load OpenTelemetry
    pytester.makepyfile(
        """
import sys

def test_nothing_is_loaded():
    ours = sorted(name for name in sys.modules if name.startswith(("spanwise", "opentelemetry", "numpy")))
    assert ours == ["spanwise_cli", "spanwise_cli.pytest_plugin"]
"""
    )
    pytester.runpytest_subprocess("-p", "spanwise").assert_outcomes(passed=1)


def test_the_examples_of_the_page_do_what_it_says(pytester: pytest.Pytester) -> None:
    page = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
    first, program, second = (text for language, text in blocks(page) if language == "python")
    [expected] = [text for language, text in blocks(page) if language == "text"]
    pytester.makepyfile(desk=program, test_first=first, test_second=second)
    result = pytester.runpytest_subprocess(*QUIET, "-p", "no:langsmith", "--import-mode=prepend")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(expected.splitlines())
