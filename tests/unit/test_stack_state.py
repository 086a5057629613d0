"""What is remembered of a stack, and what its files are when somebody else wrote them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.servers import need

from spanwise.errors import InputError
from spanwise_cli.stack import control, state
from spanwise_cli.stack.processes import Identity
from spanwise_cli.stack.state import Member, State

if TYPE_CHECKING:
    from pathlib import Path

GONE = Identity(2**22 + 1, "never")


def a_stack(process: Identity | None = GONE) -> State:
    return State("processes", (Member("jaeger", "http://127.0.0.1:1", "http://127.0.0.1:2/status", None, process),))


def test_a_stack_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    state.write(tmp_path, a_stack())

    assert state.read(tmp_path) == a_stack()


def test_no_file_means_no_stack(tmp_path: Path) -> None:
    assert state.read(tmp_path) is None
    assert control.running(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "spanwise.stack.state/1"}', '{"schema": 1, "kind": 2}'])
def test_a_file_that_is_not_ours_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)

    with pytest.raises(InputError, match=r"state\.json: "):
        state.read(tmp_path)


def test_a_stack_whose_processes_are_gone_is_not_running(tmp_path: Path) -> None:
    state.write(tmp_path, a_stack())

    assert control.running(tmp_path) is None


def test_delivered_alerts_are_read_in_the_order_of_delivery(tmp_path: Path) -> None:
    log = tmp_path / "alerts.jsonl"
    log.write_text("".join(json.dumps({"alerts": [{"status": s}]}) + "\n" for s in ("firing", "resolved")))

    assert state.alerts(log) == [{"status": "firing"}, {"status": "resolved"}]
    assert state.alerts(tmp_path / "none") == []


def test_a_line_that_is_still_being_written_is_left_for_later_and_a_broken_one_is_named(tmp_path: Path) -> None:
    log = tmp_path / "alerts.jsonl"
    log.write_text('{"alerts": [{"status": "firing"}]}\n{"alerts": [')
    assert state.alerts(log) == [{"status": "firing"}]

    log.write_text('{"alerts": []}\nnonsense\n')
    with pytest.raises(InputError, match=r"alerts\.jsonl:2: not a delivered alert"):
        state.alerts(log)


@pytest.mark.parametrize(("ci", "outcome"), [("", "Skipped"), ("true", "Failed")])
def test_a_test_without_its_server_is_skipped_here_and_fails_under_ci(
    ci: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("SPANWISE_CACHE_DIR", str(tmp_path))

    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception)) as stopped:
        need("otelcol")

    assert type(stopped.value).__name__ == outcome
    assert "otelcol is not on this machine; run: python -m spanwise_cli.stack.install" in str(stopped.value)
