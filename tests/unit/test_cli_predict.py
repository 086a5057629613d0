"""`spanwise predict`: what it prints, its document to the letter of the contract, and its exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.documents import PREDICT, differences
from support.predictions import record_desks

from spanwise_cli.main import main
from spanwise_cli.options import presentation

if TYPE_CHECKING:
    from pathlib import Path

PARALLEL = "parallel agent=*_analyst"


@pytest.fixture(autouse=True)
def _own_presentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presentation, "verbose", presentation.verbose)
    monkeypatch.setattr(presentation, "color", presentation.color)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    record_desks(tmp_path / "journal")
    return tmp_path / "journal"


def printed(capsys: pytest.CaptureFixture[str], journal: Path, *words: str, code: int = 0) -> tuple[str, str]:
    assert main(["predict", *words, "--journal", str(journal)]) == code
    out, err = capsys.readouterr()
    return out, err


def test_what_the_changes_match_comes_first_and_then_the_saving(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = printed(capsys, journal, "workflow=desk", "--change", PARALLEL)
    lines = out.splitlines()
    assert err == ""
    assert lines[:2] == [PARALLEL, "  matches 24 spans: market_analyst (8), news_analyst (8) and risk_analyst (8)"]
    assert lines[3].startswith("desk, 8 runs: this would save ")
    assert "few-runs" not in out
    assert "- few-runs: " in printed(capsys, journal, "last", "--change", PARALLEL)[0]
    assert "The critical path" not in out


def test_the_document_is_that_of_the_contract(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = printed(capsys, journal, "workflow=desk", "--change", PARALLEL, "--json")
    found: dict[str, Any] = json.loads(out)
    assert err == ""
    assert differences(found, PREDICT) == []
    assert (found["schema"], found["workflow"], len(found["runs"])) == ("spanwise.predict/1", "desk", 8)
    assert found["median"]["low"] <= found["median"]["after"] <= found["median"]["high"] < found["median"]["before"]
    assert found["changes"][0]["names"]["market_analyst"] == 8


def test_runs_and_changes_may_be_named_several_times_and_in_a_file(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "changes.yaml"
    path.write_text(f"changes:\n  - {PARALLEL}\n")
    words = ("last", "last~1", "last", "--changes", str(path), "--change", "cache market_data", "--json")
    found: dict[str, Any] = json.loads(printed(capsys, journal, *words)[0])
    assert len(found["runs"]) == 2
    assert [change["kind"] for change in found["changes"]] == ["cache", "parallel"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("last",), 2, "nothing to predict; give --change 'cache market_data at 80 %'"),
        (("last", "--change", "remove agent=jugde"), 2, "did you mean 'judge'?"),
        (("workflow=other", "--change", PARALLEL), 5, "workflow=other: no run; `spanwise runs` lists"),
        (("last", "--changes", "nowhere.yaml"), 2, "nowhere.yaml: cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line_with_a_remedy(
    words: tuple[str, ...], code: int, message: str, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = printed(capsys, journal, *words, code=code)
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
