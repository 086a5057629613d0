"""`spanwise gate`: whether runs keep their budgets and are no worse than a baseline, as an exit code."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from spanwise.errors import InputError, UnavailableError, nearest
from spanwise_cli.commands.compare import share_of
from spanwise_cli.commands.runs import warn
from spanwise_cli.opening import progress
from spanwise_cli.options import (
    DEFAULT_JOURNAL,
    JournalOption,
    JsonOption,
    MarkdownOption,
    PricesOption,
    check_one_output,
    console,
    emit_json,
)
from spanwise_profiling.render.glyphs import glyphs_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_alerts.budgets import Budgets
    from spanwise_profiling.comparison import Comparison
    from spanwise_profiling.gate import Check, GateResult, Rules
    from spanwise_profiling.profile import Profile
    from spanwise_profiling.run_sets import Library
    from spanwise_profiling.runs import Run

_BUDGETS: Final = Path("budgets.yaml")
_FILTER: Final = re.compile(r"[A-Za-z_][\w.]*=")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="gate")(gate)


def gate(
    *,
    runs: Annotated[
        str | None,
        typer.Argument(
            metavar="RUNS",
            help="The runs to judge: runs, files and folders with commas between them, and filters such as preset=new.",
            show_default="all recorded runs that are not in the baseline",
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="A", help="The runs to compare with, named likewise, such as baseline.jsonl.")
    ] = None,
    budgets: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The budget file.", show_default="budgets.yaml here, if any")
    ] = None,
    margin: Annotated[
        str, typer.Option(metavar="SHARE", help="A smaller change of the duration does not count.")
    ] = "3%",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COUNT=SHARE", help="Let a count grow, as in 'input tokens=5%'; repeatable.", show_default="none"
        ),
    ] = None,
    seconds: Annotated[
        bool, typer.Option("--seconds/--no-seconds", help="Whether seconds decide, or are only shown.")
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 3 where the comparison of seconds does not decide.")
    ] = False,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Compare all runs with all, though their seeds or tasks match.")
    ] = False,
    ignore_environment: Annotated[
        bool, typer.Option("--ignore-environment", help="Let seconds decide though machine or load differ.")
    ] = False,
    markdown: MarkdownOption = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the checks as JUnit XML.")] = None,
    prices: PricesOption = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Prove that the gate can tell: equal runs, and a planted slowdown.")
    ] = False,
    pairs: Annotated[int, typer.Option("--runs", min=6, metavar="N", help="Runs of each kind, with --self-test.")] = 12,
    slowdown: Annotated[str, typer.Option(metavar="SHARE", help="What to plant, with --self-test.")] = "10%",
    speed: Annotated[float, typer.Option(min=0.1, metavar="N", help="Of the provider, with --self-test.")] = 20.0,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Judge runs by their budgets and against a baseline.

    Exit codes: 0 passed, 1 a check failed, 3 undecided, 5 nothing was measured.

    Example: spanwise gate preset=new --baseline preset=old --budgets budgets.yaml
    """
    check_one_output(markdown=markdown, json=json)
    from spanwise_profiling.gate import GateResult, Rules  # noqa: PLC0415 - loads numpy, as few commands do

    rules = Rules(
        margin=share_of(margin), allow=_allowed(allow or ()), seconds=seconds, strict=strict, pair=not unpaired,
        ignore_surroundings=ignore_environment,
    )  # fmt: skip
    if self_test:
        raise typer.Exit(_test_itself(pairs, share_of(slowdown, "--slowdown "), speed, rules, json=json))
    file = _budgets(budgets)
    if baseline is None and file is None:
        raise InputError("gate: nothing to judge by; give --baseline A, --budgets FILE, or both")
    head, before, warnings, notes = _profiles(runs, baseline, journal, prices)
    checks, comparisons = _judge(head, before, file, rules)
    result = GateResult(tuple(checks), comparisons, tuple(notes))
    _print(result, warnings, markdown=markdown, json=json, junit=junit)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _test_itself(pairs: int, slowdown: float, speed: float, rules: Rules, *, json: bool) -> int:
    """Prove that the gate can tell, print how well, and return the exit code."""
    try:
        from spanwise_cli.gate_self_test import self_test as prove  # noqa: PLC0415 - loads the pipeline, an extra
    except ImportError as error:
        raise UnavailableError(
            f"gate --self-test: {error.name} is not installed; run: pip install 'spanwise[pipeline]'"
        ) from None
    found = prove(pairs=pairs, slowdown=slowdown, speed=speed, rules=rules)
    if json:
        emit_json(found.document())
    else:
        for line in found.lines():
            console().print(line, markup=False, soft_wrap=True)
    return int(not found.passed)


def _judge(
    head: Sequence[Profile], before: Sequence[Profile] | None, file: Budgets | None, rules: Rules
) -> tuple[list[Check], dict[str, Comparison]]:
    from spanwise_cli.gate_limits import limits_of  # noqa: PLC0415 - likewise
    from spanwise_profiling.gate import Check, check_limits, check_regression  # noqa: PLC0415 - likewise
    from spanwise_profiling.gate.limits import check_failures, ended, undecided  # noqa: PLC0415 - likewise

    checks: list[Check] = []
    comparisons: dict[str, Comparison] = {}
    of_head, of_before = _by_workflow(head), _by_workflow(before or ())
    for workflow in dict.fromkeys((*of_head, *of_before)):
        judged = list(ended(of_head.get(workflow, ())))
        limits = [] if file is None else limits_of(file, workflow)
        if limits and judged:
            found = check_limits(limits, judged)
            checks += found if rules.seconds else [undecided(check) if check.unit == "s" else check for check in found]
        has_success = any(limit.measure == "success_rate" for limit in limits)
        if before is not None:
            how = replace(rules, failures=not has_success)
            worse, comparison = check_regression(workflow, of_before.get(workflow, ()), judged, how)
            checks += worse
            if comparison is not None:
                comparisons[workflow] = comparison
        elif limits and judged:
            checks += [] if has_success else [check_failures(judged)]
        else:
            what = "no run has ended" if limits else "the budget file has no budget of this workflow, and no default"
            checks.append(Check("runs", workflow, "runs", "nothing_measured", what))
    return [*checks, *_missing(file, of_head)], comparisons


def _missing(file: Budgets | None, measured: dict[str, list[Profile]]) -> list[Check]:
    """Return a check for each workflow that has budgets of its own for a gate, and no run."""
    from spanwise_profiling.gate import Check  # noqa: PLC0415 - likewise

    if file is None:
        return []
    text = "no run of this workflow was found, and its budgets say what a run may take"
    return [
        Check("runs", name, "runs", "nothing_measured", text)
        for name, given in file.workflows.items()
        if given.run is not None and name not in measured
    ]


def _profiles(
    runs: str | None, baseline: str | None, journal: Path, table: Path | None
) -> tuple[list[Profile], list[Profile] | None, list[str], list[str]]:
    """Return the profiles to judge, those of the baseline, what could not be read, and what limits the verdict."""
    from spanwise_profiling import prices  # noqa: PLC0415 - likewise
    from spanwise_profiling.profiled import measured  # noqa: PLC0415 - likewise
    from spanwise_profiling.run_sets import Library  # noqa: PLC0415 - likewise

    known = prices.load(table)
    with progress() as tell:
        library = Library(journal, datetime.now(UTC), tell)
        before = None if baseline is None else _runs(library, baseline)
        named = library.everything() if runs is None else _runs(library, runs)
    if runs is None:
        ids = {run.run_id for run in before or ()}
        named = [run for run in named if run.run_id not in ids]
    unfinished = sum(run.state != "ended" for run in named)
    notes = [f"{unfinished} of {len(named)} runs have no end; they are left out"] if unfinished else []
    of_before = None if before is None else measured(before, known)
    return measured(named, known), of_before, list(dict.fromkeys(library.warnings)), notes


def _runs(library: Library, text: str) -> Sequence[Run]:
    """Return the runs that `text` names; none where a file in it is not there, or where nothing is recorded yet.

    Whoever asks for a verdict has to hear that nothing was measured, and not that a name is wrong.
    """
    from spanwise_profiling.load import is_path  # noqa: PLC0415 - likewise

    words = [word for word in text.split(",") if not _FILTER.match(word)]
    if any(is_path(word) and "://" not in word and not Path(word).exists() for word in words):
        return []
    elsewhere = any(Path(word).exists() or "://" in word for word in words)
    return library.runs(text) if elsewhere or library.everything() else []


def _by_workflow(profiles: Sequence[Profile]) -> dict[str, list[Profile]]:
    found: defaultdict[str, list[Profile]] = defaultdict(list)
    for profile in profiles:
        found[profile.run.workflow].append(profile)
    return dict(found)


def _budgets(path: Path | None) -> Budgets | None:
    from spanwise_alerts.budgets import load_budgets  # noqa: PLC0415 - loads YAML, which a baseline does not need

    if path is None and not _BUDGETS.exists():
        return None
    return load_budgets(path or _BUDGETS)


def _allowed(texts: Sequence[str]) -> dict[str, float]:
    """Return by how much each count may grow."""
    from spanwise_profiling.gate.regression import COUNTS  # noqa: PLC0415 - loads numpy, as few commands do

    allowed: dict[str, float] = {}
    for text in texts:
        name, separator, share = text.partition("=")
        name = name.strip().replace("_", " ")
        if name not in COUNTS or not separator:
            raise InputError(f"--allow {text}: no count; {nearest(name, COUNTS)}, as in 'input tokens=5%'")
        allowed[name] = share_of(share.strip(), option=f"--allow {name}=")
    return allowed


def _print(result: GateResult, warnings: Sequence[str], *, markdown: bool, json: bool, junit: Path | None) -> None:
    from spanwise_profiling.render import gate as rendering  # noqa: PLC0415 - likewise

    if junit is not None:
        try:
            junit.write_text(rendering.gate_junit(result), encoding="utf-8")
        except OSError as error:
            raise InputError(f"--junit {junit}: cannot be written ({error.strerror}); give another file") from None
    if json:
        emit_json(rendering.gate_document(result, warnings))
        return
    warn(list(warnings))
    if markdown:
        sys.stdout.write(rendering.gate_markdown(result))
        return
    out = console()
    for line in rendering.gate_report(result, glyphs=glyphs_for(out.encoding)):
        out.print(line, soft_wrap=True)
