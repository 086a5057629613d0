from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import typer
from support.traces import agent, chat, identifier, record, run_of, span, tool, workflow
from typer.testing import CliRunner

from spanwise import conventions as c
from spanwise.errors import InputError
from spanwise.journal.reader import LinkRecord, SpanRecord
from spanwise_cli.commands import runs as runs_command
from spanwise_cli.commands import show as show_command
from spanwise_profiling import filters
from spanwise_profiling.render.documents import runs_document, show_document

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from spanwise.journal.reader import Attributes


def spanwise(*arguments: str | Path) -> Result:
    app = typer.Typer()
    runs_command.register(app)
    show_command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


def documented(*arguments: str | Path) -> dict[str, Any]:
    result = spanwise(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def journal(folder: Path) -> Path:
    first = {c.RUN_ID: "first-run", c.RUN_VARIANT: "baseline"}
    second = {c.RUN_ID: "second-run", c.RUN_VARIANT: "optimized", c.QUALITY_GRADE: "A", c.QUALITY_SCORE: 91.5}
    record(
        folder,
        workflow(1, 0, 4, attributes=first, scale=20.0),
        agent(2, 0, 4, parent=1),
        chat(3, 1, 3, parent=2),
        tool(4, 3, 4, parent=2, error="KeyError", message="no such ticker"),
    )
    record(folder, workflow(1, 3600, 3602, trace=2, attributes=second), file="b")
    record(folder, workflow(1, 7200, 7201, trace=3, name="matching", error="ValueError"), file="c")
    return folder


def listed(*arguments: str | Path) -> list[str]:
    return [run["run_id"] for run in documented("runs", *arguments)["runs"]]


def test_runs_are_listed_newest_first_and_filtered(tmp_path: Path) -> None:
    folder = journal(tmp_path)
    third = identifier(3, 32)
    assert listed("--journal", folder) == [third, "second-run", "first-run"]
    assert listed("--journal", folder, "--limit", "1") == [third]
    assert listed("--journal", folder, "--errors") == [third, "first-run"]
    assert listed("--journal", folder, "--workflow", "trading") == ["second-run", "first-run"]
    assert listed("--journal", folder, "--workflow", "trading/baseline") == ["first-run"]
    assert listed("--journal", folder, "--service", "desk", "--errors", "--workflow", "matching") == [third]
    assert listed("--journal", folder, "--service", "other") == []
    assert listed("--journal", folder, "--since", "2026-09-21T15:13:20Z") == [third, "second-run"]


def test_the_document_of_a_run_holds_its_figures(tmp_path: Path) -> None:
    (run,) = documented("runs", "--journal", journal(tmp_path), "--workflow", "trading/baseline")["runs"]
    assert run == {
        "run_id": "first-run",
        "trace_id": identifier(1, 32),
        "workflow": "trading",
        "variant": "baseline",
        "service": "desk",
        "start": "2026-09-21T14:13:20.000+00:00",
        "state": "ended",
        "duration_s": 80.0,
        "scale": 20.0,
        "tokens": {"input": 100, "output": 20, "total": 120},
        "tokens_per_s": 1.5,
        "agents": 1,
        "llm_calls": 1,
        "tool_calls": 1,
        "retries": 0,
        "cache": {"lookups": 0, "hits": 0},
        "errors": 1,
        "error": None,
        "quality": None,
        "span_count": 4,
        "wait_count": 0,
    }


def test_the_document_of_show_holds_every_span_in_tree_order(tmp_path: Path) -> None:
    document = documented("show", "first", "--journal", journal(tmp_path))
    assert document["schema"] == "spanwise.show/1"
    run = document["run"]
    assert [(s["depth"], s["kind"], s["start_s"], s["duration_s"]) for s in run["spans"]] == [
        (0, "workflow", 0.0, 80.0),
        (1, "agent", 0.0, 80.0),
        (2, "chat", 20.0, 40.0),
        (2, "tool", 60.0, 20.0),
    ]
    assert run["spans"][3] == {
        "span_id": identifier(4),
        "parent_id": identifier(2),
        "depth": 2,
        "kind": "tool",
        "name": "execute_tool prices",
        "start_s": 60.0,
        "duration_s": 20.0,
        "state": "ended",
        "error": "KeyError",
        "status_message": "no such ticker",
        "attributes": {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "prices",
            "error.type": "KeyError",
        },
        "events": [],
        "links": [],
    }
    assert run["agents_by_seconds"] == [
        {
            "name": "risk",
            "seconds": 80.0,
            "share": 1.0,
            "waiting_s": 0.0,
            "invocations": 1,
            "llm_calls": 1,
            "tool_calls": 1,
            "tokens": {"input": 100, "output": 20, "total": 120},
        }
    ]


def test_documents_hold_plain_json_values_only() -> None:
    odd: Attributes = {"nan": float("nan"), "bytes": b"\x00", "list": (1, (float("inf"),)), "map": {"k": None}}
    record = SpanRecord("1" * 32, "1" * 16, None, "x", 1, 0, 2**70, odd, links=(LinkRecord("2" * 32, "2" * 16, odd),))
    document = show_document(run_of(record))
    assert document["run"]["spans"][0]["attributes"] == {
        "nan": "nan",
        "bytes": "AA==",
        "list": [1, ["inf"]],
        "map": {"k": None},
    }
    json.dumps(document, allow_nan=False)
    assert runs_document([]) == {"schema": "spanwise.runs/1", "runs": [], "warnings": []}


def test_show_prints_the_last_run_with_its_agents_and_errors(tmp_path: Path) -> None:
    result = spanwise("show", "first-run", "--journal", journal(tmp_path))
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "trading/baseline"
    assert lines[2] == "80.00 s, 120 tokens, 1.5 tok/s, 1 agent, 1 LLM call, 1 tool call, 1 error"
    assert lines[5].startswith("workflow trading ")
    assert lines[-1] == "✗ at   60.00 s  tool prices KeyError: no such ticker"
    assert spanwise("show", "--journal", tmp_path).stdout.startswith("matching\n")


def test_warnings_go_to_standard_error(tmp_path: Path) -> None:
    path = record(tmp_path, workflow(1, 0, 1), span(2, 0, 1, parent=9))
    with path.open("ab") as file:
        file.write(b"{\x1b}\n")
    result = spanwise("show", "--journal", tmp_path)
    assert result.exit_code == 0
    skipped, orphan = result.stderr.splitlines()
    assert skipped.startswith(f"warning: {path}:2: skipped: JSON is malformed: ")
    assert orphan == "warning: 1 span without a recorded parent; shown as roots: 0002aaaaaaaaaaaa"
    assert documented("runs", "--journal", tmp_path)["warnings"] == [skipped.removeprefix("warning: ")]


def test_the_list_says_what_it_left_out(tmp_path: Path) -> None:
    folder = journal(tmp_path)
    assert spanwise("runs", "--journal", folder).stdout.count("\n") == 4
    assert spanwise("runs", "--journal", folder, "--limit", "1", "--workflow", "trading").stdout.splitlines()[-1] == (
        "1 of 3 recorded runs shown (2 match)"
    )
    assert spanwise("runs", "--journal", folder, "--workflow", "x").stdout == "0 of 3 recorded runs shown (0 match)\n"


def test_without_runs_people_are_told_how_to_record_one_and_programs_get_an_empty_list(tmp_path: Path) -> None:
    for command in ("runs", "show"):
        error = spanwise(command, "--journal", tmp_path / "none").exception
        assert isinstance(error, InputError)
        assert "no runs recorded yet; record one with: spanwise run SCRIPT, or spanwise systems run" in str(error)
    assert documented("runs", "--journal", tmp_path / "none")["runs"] == []


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", "2026-11-21T11:58:30+00:00"),
        ("30m", "2026-11-21T11:30:00+00:00"),
        ("2h", "2026-11-21T10:00:00+00:00"),
        ("7d", "2026-11-14T12:00:00+00:00"),
        ("1w", "2026-11-14T12:00:00+00:00"),
        ("2026-11-20T18:00+01:00", "2026-11-20T17:00:00+00:00"),
    ],
)
def test_since_is_an_age_or_a_moment(text: str, moment: str) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert filters.moment_ns(text, now) == int(datetime.fromisoformat(moment).timestamp()) * 10**9


@pytest.mark.parametrize("text", ["", "yesterday", "7", "-2h", "999999w", "2026-13-01"])
def test_since_refuses_what_it_does_not_understand(text: str) -> None:
    with pytest.raises(InputError, match=f"^--since {re.escape(repr(text))}: not understood; give an age"):
        filters.moment_ns(text, datetime(2026, 11, 21, 12, tzinfo=UTC))
