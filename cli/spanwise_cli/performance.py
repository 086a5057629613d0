"""Runs recorded in a test, and what is asserted of them: limits, a budget file, a baseline.

What a program configures itself is respected: its settings are in force inside the block, and again after it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import spanwise
from spanwise.config.run_budget import RunBudget
from spanwise.config.settings import resolve
from spanwise.errors import InputError, nearest
from spanwise.recording import telemetry as recording
from spanwise.setup import configured
from spanwise_alerts.budgets import load_budgets
from spanwise_cli.gate_limits import limits_of, run_limits
from spanwise_profiling.gate import Check, GateResult, Rules, check_limits, check_regression
from spanwise_profiling.gate.limits import check_failures, ended
from spanwise_profiling.load import load, load_runs
from spanwise_profiling.profiled import measured
from spanwise_profiling.render.gate import gate_report

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from spanwise_profiling.profile import Profile

_JOURNAL: Final = "SPANWISE_JOURNAL_DIR"
_LIMITS: Final = frozenset(one.name for one in fields(RunBudget))
_MORE: Final = frozenset({"budgets", "baseline", "margin", "allow", "seconds_decide"})


class RecordedRuns:
    """The runs of a block, filled when it ends; each check raises `AssertionError` that says where the time went."""

    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        """A profile of each run, the oldest first: `profiles[0].run.totals.llm_calls`."""

    def check(self, **limits: float) -> None:
        """Assert that no run takes more, as in `check(seconds=30, tokens=40_000, model_calls=12)`.

        Args:
            limits: the keys of a budget file's `run`.

        Raises:
            AssertionError: a run takes more, ended in an error, or none was recorded.
            InputError: a limit is unknown or no number.
        """
        Expected(limits=_budget(limits)).check(self)

    def check_budgets(self, file: str | Path) -> None:
        """Assert that the runs keep the budgets of their workflows.

        Raises:
            AssertionError: a budget is broken, cannot be judged, or there is none of a workflow.
            InputError: the file is not sound.
        """
        Expected(budgets=Path(file)).check(self)

    def check_baseline(
        self,
        baseline: str | Path,
        *,
        margin: float = 0.03,
        allow: Mapping[str, float] | None = None,
        seconds_decide: bool = False,
    ) -> None:
        """Assert that the runs are no worse than those in a file of recorded runs.

        Args:
            baseline: a file that is read here, such as one that `spanwise export` wrote.
            margin: a smaller change of the duration does not count.
            allow: by how much a count may grow, by its name: `{"input tokens": 0.05}`.
            seconds_decide: whether a slower duration fails, too, where the runs were made in turn.

        Raises:
            AssertionError: a count, the cost or the failures grew, or there is no baseline.
            InputError: the file cannot be read.
        """
        rules = Rules(margin=margin, allow=allow or {}, seconds=seconds_decide)
        Expected(baseline=Path(baseline), rules=rules).check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is asserted of recorded runs."""

    limits: RunBudget | None = None
    budgets: Path | None = None
    baseline: Path | None = None
    rules: Rules = field(default_factory=lambda: Rules(seconds=False))

    @classmethod
    def of_marker(cls, arguments: Sequence[object], options: Mapping[str, Any], *, root: Path) -> Expected:
        """Return what a marker asks for; files are below `root`.

        Raises:
            InputError: an option is unknown or cannot be used, or there is none.
        """
        if arguments:
            raise InputError("takes names only, as in performance(model_calls=12)")
        if unknown := sorted(set(options) - _LIMITS - _MORE):
            raise InputError(f"unknown option {unknown[0]!r}; {nearest(unknown[0], _LIMITS | _MORE)}")
        limits = {name: value for name, value in options.items() if name in _LIMITS}
        files = {name: root / options[name] for name in ("budgets", "baseline") if name in options}
        if not limits and not files:
            raise InputError("nothing to judge by; give a limit such as model_calls=12, budgets=FILE or baseline=FILE")
        rules = Rules(
            margin=options.get("margin", 0.03), allow=options.get("allow", {}),
            seconds=options.get("seconds_decide", False),
        )  # fmt: skip
        return cls(limits=_budget(limits) if limits else None, rules=rules, **files)

    def check(self, recorded: RecordedRuns) -> None:
        """Raise `AssertionError`, with everything that was found, unless the runs are as expected."""
        result = GateResult(tuple(self._checks(recorded.profiles)), {})
        if result.verdict != "pass":
            raise AssertionError("\n".join(line.plain for line in gate_report(result)))

    def _checks(self, profiles: Sequence[Profile]) -> list[Check]:
        if not profiles:
            text = "no run was recorded: the test has to run something in a `spanwise.workflow(...)`, in this process"
            return [Check("runs", "(no workflow)", "runs", "nothing_measured", text)]
        budgets = None if self.budgets is None else load_budgets(self.budgets)
        checks: list[Check] = []
        for workflow in dict.fromkeys(one.run.workflow for one in profiles):
            of_workflow = [one for one in profiles if one.run.workflow == workflow]
            judged = list(ended(of_workflow))
            if not judged:
                checks.append(Check("runs", workflow, "runs", "nothing_measured", "no run has ended"))
                continue
            limits = run_limits(self.limits, "performance") if self.limits is not None else []
            if budgets is not None:
                found = limits_of(budgets, workflow)
                text = f"{self.budgets} has no budget of this workflow, and no default"
                checks += [] if found else [Check("runs", workflow, "runs", "nothing_measured", text)]
                limits = [*limits, *found]
            checks += check_limits(limits, judged)
            if not any(limit.measure == "success_rate" for limit in limits):
                checks.append(check_failures(judged))
            if self.baseline is not None:
                checks += self._against(self.baseline, workflow, judged)
        return checks

    def _against(self, baseline: Path, workflow: str, judged: Sequence[Profile]) -> list[Check]:
        if not baseline.exists():
            text = f"{baseline}: no such baseline, which is never a pass; keep runs with --spanwise-journal DIR and "
            text += f"write it with: spanwise export last --journal DIR --to {baseline.name}"
            return [Check("baseline", workflow, "runs", "nothing_measured", text)]
        before = [run for run in load(baseline).runs if run.workflow == workflow]
        checks, _ = check_regression(workflow, measured(before), judged, self.rules)
        return [check for check in checks if check.kind != "failures"]


def _budget(limits: Mapping[str, Any]) -> RunBudget:
    if unknown := sorted(set(limits) - _LIMITS):
        raise InputError(f"unknown limit {unknown[0]!r}; {nearest(unknown[0], _LIMITS)}")
    try:
        return RunBudget(**limits)
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from None


@contextmanager
def recorded(journal: Path | None = None) -> Generator[RecordedRuns]:
    """Record inside the block; yields its runs, filled at the end, which are kept in `journal` where one is given.

    A program that configures spanwise inside the block records there, too, unless it names a journal of its own, which
    is then read.
    """
    runs = RecordedRuns()
    before = recording.active()
    variable = os.environ.get(_JOURNAL)
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="spanwise-test-")))
        os.environ[_JOURNAL] = str(folder)
        began_ns = time.time_ns()  # another journal may hold runs of before
        resolved = resolve({})
        spanwise.configure(journal_dir=folder, causality="on" if resolved["causality"].source == "default" else None)
        try:
            yield runs
        finally:
            last = recording.active()
            spanwise.shutdown()
            folders = {folder}
            if last is not None and last.settings.journal_dir is not None:
                folders.add(Path(last.settings.journal_dir))
            found = {run.run_id: run for one in folders for run in load_runs(one) if run.is_workflow}
            made = [run for run in found.values() if run.start_ns >= began_ns]
            runs.profiles = measured(sorted(made, key=lambda run: run.start_ns))
            if journal is not None:  # files of a journal have names of their own, also those of other test processes
                shutil.copytree(folder, journal, dirs_exist_ok=True)
            if variable is None:
                del os.environ[_JOURNAL]
            else:
                os.environ[_JOURNAL] = variable
            if before is not None:
                configured(before.settings, before.sources)
