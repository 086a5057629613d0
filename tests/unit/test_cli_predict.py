"""`spanwise predict`: what it prints, its document to the letter of the contract, and its exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.documents import PREDICT, PREDICT_SCORE, PREDICT_SUGGEST, differences
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
        (("--change", PARALLEL), 2, "predict: name the runs to predict from, such as last or preset=baseline"),
        (("last", "--change", PARALLEL, "--suggest"), 2, "each is a question of its own; give one of them"),
        (("last", "--score", "last"), 2, "no prediction is kept; make one with --change"),
        (("--score", "last"), 2, "name the runs with the change made, or say --score all"),
        (("last", "--score", "all"), 2, "takes no runs; name one prediction"),
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


def test_a_prediction_is_kept_scored_and_told_of_to_the_next_of_its_kind(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in journal.iterdir())
    made: dict[str, Any] = json.loads(printed(capsys, journal, "workflow=desk", "--change", PARALLEL, "--json")[0])
    assert made["calibration"] == []
    assert sorted(path.name for path in journal.iterdir()) == [*before, "predictions.jsonl"]
    assert (journal / "predictions.jsonl").stat().st_mode & 0o777 == 0o600
    printed(capsys, journal, "workflow=desk", "--change", PARALLEL)  # once more is no other prediction
    assert len((journal / "predictions.jsonl").read_text().splitlines()) == 1

    record_desks(journal, preset="parallel", first=101)
    found: dict[str, Any] = json.loads(
        printed(capsys, journal, "preset=parallel", "--score", made["id"][:5], "--json")[0]
    )
    assert differences(found, PREDICT_SCORE) == []
    assert found["scored"]["runs"] == 8
    assert found["scored"]["measured_s"] == pytest.approx(made["median"]["after"], rel=0.1)
    assert found["scored"]["within"] == (found["scored"]["low_s"] <= found["scored"]["measured_s"])
    out, _ = printed(capsys, journal, "--score", "all")
    assert out.splitlines()[1].startswith("parallel          1 ")
    again, _ = printed(capsys, journal, "last~1", "--change", "parallel agent=market_analyst,news_analyst")
    assert "Earlier predictions with `parallel`: 1 measured, " in again


def test_runs_that_a_prediction_was_made_from_or_of_another_kind_are_no_measurement(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed(capsys, journal, "last", "--change", PARALLEL)
    assert "is made from these runs" in printed(capsys, journal, "last", "--score", "last", code=2)[1]
    assert "no such prediction; newest: " in printed(capsys, journal, "last~1", "--score", "zzz", code=2)[1]


def test_lines_of_kept_predictions_that_cannot_be_read_are_left_alone(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (journal / "predictions.jsonl").write_text('nonsense\n{"version": 99, "id": "a"}\n[]\n')
    _, err = printed(capsys, journal, "last", "--change", PARALLEL)
    assert [line.partition(": no prediction")[0][-2:] for line in err.splitlines()] == [":1", ":2", ":3"]
    assert (journal / "predictions.jsonl").read_text().startswith("nonsense\n")


def test_the_best_changes_come_from_the_findings_and_can_be_typed(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = printed(capsys, journal, "workflow=desk", "--suggest", "--json")
    found: dict[str, Any] = json.loads(out)
    assert differences(found, PREDICT_SUGGEST) == []
    savings = [one["median"]["saves"] for one in found["suggestions"]]
    assert savings
    assert savings == sorted(savings, reverse=True)
    best = found["suggestions"][0]
    words = [word for text in best["changes"] for word in ("--change", text)]
    again: dict[str, Any] = json.loads(printed(capsys, journal, "workflow=desk", *words, "--json")[0])
    assert again["median"]["saves"] == savings[0]
    assert printed(capsys, journal, "workflow=desk", "--suggest")[0].startswith("Change next:\n1. saves ")
