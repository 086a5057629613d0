"""The table of runs and its notes, as text on a terminal of 80 columns, and what is said beside them."""

from __future__ import annotations

import io

from rich.console import Console
from support.finished import finished

from spanwise.config.settings import Settings
from spanwise.destinations import otlp
from spanwise.errors import UnavailableError
from spanwise.journal.ledger import Ledger
from spanwise.recording.processor import RecordingProcessor
from spanwise.recording.telemetry import Telemetry
from spanwise_cli.finished import undelivered
from spanwise_cli.progress import Progress
from spanwise_cli.report import comparison_table, footnotes


def shown(*runs: object, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(comparison_table(runs))  # type: ignore[arg-type]
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_row_for_each_preset_beside_what_was_published_the_target_and_the_bound() -> None:
    fast = finished("fast", seconds=96.0, tokens=(2_000, 400), results=(), bound_s=90.0)

    assert shown(finished("slow"), fast) == [
        "preset  seconds  published  of target  bound  tokens  tok/s  cache     grade",
        "slow      180.0      200.0      150 %  150.0   5,000   27.8   50 %  A+ (100)",
        "fast       96.0          -       80 %   90.0   2,400   25.0      -  A+ (100)",
    ]


def test_figures_are_medians_over_seeds_and_the_grade_is_the_worst() -> None:
    runs = [
        finished(seed=1, seconds=100.0), finished(seed=2, seconds=130.0, score=71.5, grade="B"),
        finished(seed=3, seconds=190.0),
    ]  # fmt: skip

    assert shown(*runs)[1:] == ["slow      130.0      200.0      108 %  150.0   5,000   38.5   50 %  B (71.5)"]


def test_a_run_that_failed_counts_for_nothing_but_is_shown() -> None:
    failed = finished(error=UnavailableError("gone"))

    assert shown(failed)[1:] == ["slow     failed          -          -      -       -      -      -      -"]
    assert shown(failed, finished(seed=2))[1:] == shown(finished(seed=2))[1:]


def test_flags_that_were_set_are_another_row_that_has_no_published_figures_and_a_note() -> None:
    changed = finished("fast", changed=",parallel_analysts=true,quick=false")

    assert shown(finished("slow"), changed)[1:] == [
        "slow      180.0      200.0      150 %  150.0   5,000   27.8   50 %  A+ (100)",
        "fast*     180.0          -      150 %  150.0   5,000   27.8   50 %  A+ (100)",
    ]
    assert footnotes([finished("slow"), changed], 1.0).splitlines()[1:] == [
        "* with parallel_analysts=true, quick=false"
    ]


def test_the_notes_name_seeds_speed_answers_and_the_clients_own_time() -> None:
    assert footnotes([finished(), finished("fast")], 20.0) == (
        "seed 1, cold start, speed 20; all runs gave the same answer; client CPU 4 % of one core."
    )


def test_the_notes_say_where_answers_differ_and_why_a_grade_is_low() -> None:
    runs = [finished(seed=1), finished(seed=2, answer="sell", faults=("no price",)), finished(seed=3)]

    assert footnotes(runs, 1.0).splitlines() == [
        (
            "medians over seeds 1 to 3, cold start, speed 1; the runs gave 2 different answers; client CPU 4 % of one "
            "core."
        ),
        "graded down: no price",
    ]


def test_the_notes_say_nothing_of_answers_where_every_run_failed() -> None:
    assert footnotes([finished(error=UnavailableError("gone"))], 1.0) == (
        "seed 1, cold start, speed 1; no run ended well; client CPU 4 % of one core."
    )


def test_progress_says_nothing_off_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=80)
    run = finished()

    with Progress(console, total=1) as progress:
        tell = progress.begin("slow", run.plan)
        tell("analyst", 3.0)
        progress.end()

    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


def test_what_an_endpoint_did_not_take_is_said_without_its_secrets() -> None:
    ledger = Ledger(("otlp",))
    ledger.journal(1_200)
    ledger.deliver("otlp", 1_000)
    ledger.set_aside("otlp", 3)
    settings = Settings(destinations=(("otlp", otlp.Settings("http://me:secret@desk:4318?key=secret")),))
    telemetry = Telemetry(settings, {}, None, RecordingProcessor(ledger=ledger))

    assert list(undelivered(telemetry)) == [
        (
            "http://me:***@desk:4318?***: 197 spans were not delivered (they are kept; see: spanwise ledger); start "
            "the receiver, or mend SPANWISE_ENDPOINT (spanwise doctor says more), then: spanwise export --all --to otlp"
        ),
        "http://me:***@desk:4318?***: 3 spans cannot be sent there (they are kept; see: spanwise ledger)",
    ]
