"""`spanwise compare`: its verdict, its document to the letter of the contract, exit codes, and how runs are named."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.documents import COMPARE, differences
from support.populations import record_sides, run
from support.traces import record

from spanwise_cli.main import main
from spanwise_cli.options import presentation

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_presentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presentation, "verbose", presentation.verbose)
    monkeypatch.setattr(presentation, "color", presentation.color)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    record_sides(tmp_path / "journal")
    return tmp_path / "journal"


def printed(capsys: pytest.CaptureFixture[str], journal: Path, *words: str, code: int = 0) -> tuple[str, str]:
    assert main(["compare", *words, "--journal", str(journal)]) == code
    out, err = capsys.readouterr()
    return out, err


def document(capsys: pytest.CaptureFixture[str], journal: Path, *words: str, code: int = 0) -> dict[str, Any]:
    out, err = printed(capsys, journal, *words, "--json", code=code)
    assert err == ""
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_slower_side_is_told_on_the_first_line_and_by_the_exit_code(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = printed(capsys, journal, "preset=old", "preset=new", "--plain", code=1)
    lines = out.splitlines()
    assert err == ""
    assert re.fullmatch(r"B is slower than A: \S+ s to \S+ s, \+1\d\.\d % \(95 % interval .* p 0\.002\)", lines[0])
    assert lines[1].startswith("10 pairs of runs by seed. A change of ")
    assert "- model calls: A 2, B 3, more" in lines
    assert "- All runs are made of the same spans." not in lines
    assert lines[-1].startswith("- Look at one of each: spanwise profile ")
    assert printed(capsys, journal, "preset=new", "preset=old", code=0)[0].startswith("B is faster than A: ")


def test_the_document_is_that_of_the_contract(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, journal, "preset=old", "preset=new", code=1)
    assert differences(found, COMPARE) == []
    assert (found["schema"], found["metric"], found["unit"], found["verdict"], found["paired_by"]) == (
        "spanwise.compare/1", "duration", "s", "slower", "seed",
    )  # fmt: skip
    assert (found["a"]["n"], found["b"]["n"]) == (10, 10)
    assert found["interval"]["low"] < found["difference"] < found["interval"]["high"]
    assert sum(cause["seconds"] for cause in found["causes"]) == pytest.approx(found["difference"])
    assert [cause["name"] for cause in found["causes"]] == ["judge", "unexplained"]
    assert found["causes"][0]["seconds"] == pytest.approx(1.5, abs=0.1)
    assert [one["name"] for one in found["environment"]] == ["machine", "Python", "speed"]


def test_too_few_runs_are_inconclusive(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, journal, "preset=old,seed=1", "preset=new,seed=2", code=3)
    assert (found["verdict"], found["interval"], found["mde"], found["runs_needed"]) == ("inconclusive", None, None, 4)
    assert differences(found, COMPARE) == []


def test_other_surroundings_are_no_verdict_unless_they_are_ignored(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(8):
        elsewhere = run(100 + i, 20.0 + i / 10, begin=5000.0 + i, resource={"host.name": "laptop"})
        record(journal, *(span for _, span in elsewhere.walk()), file=f"e{i}")
    out, _ = printed(capsys, journal, "preset=old", "host.name=laptop", code=3)
    assert out.startswith("Environments differ (machine), so that A and B cannot be compared. B is slower than A: ")
    assert "machine differs: bench for A, laptop for B." in out
    out, _ = printed(capsys, journal, "preset=old", "host.name=laptop", "--ignore-environment", code=1)
    assert out.startswith("B is slower than A: ")


def test_more_failures_are_worse_though_no_run_is_slower(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(12):
        failing = run(200 + i, 8.0, begin=2000.0 + i, error="TimeoutError" if i else None)
        record(journal, *(span for _, span in failing.walk()), file=f"f{i}")
    out, _ = printed(capsys, journal, "preset=old", "since=2026-09-21T14:46:00+00:00", "--plain", code=1)
    assert "- 0 of 10 runs of A failed, 11 of 12 of B: B fails more often (p below 0.0001)." in out


def test_a_side_without_runs_has_an_exit_code_of_its_own(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = printed(capsys, journal, "preset=old", "preset=other", code=5)
    assert (out, err) == (
        "",
        "spanwise: B: it holds no run; record more runs, or name others (spanwise runs lists them)\n",
    )


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("preset=old", "colour=red"), "colour=red: unknown filter; "),
        (("preset=old", "preset=old"), "10 run(s) are in both A and B, such as "),
        (("last", "last~99"), "last~99: only 20 run(s) are recorded; "),
        (("last", ","), "a set of runs is empty; "),
        (("preset=old", "preset=new", "--margin", "much"), "--margin much: give a share between 0 and 1, "),
        (("preset=old", "since=noon"), "since= 'noon': not understood; "),
        (("preset=old", "preset=new", "--plain", "--json"), "--plain, --markdown and --json: each is all"),
    ],
)
def test_what_cannot_be_understood_is_one_line(
    journal: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], problem: str
) -> None:
    out, err = printed(capsys, journal, *words, code=2)
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"spanwise: {problem}")


@pytest.mark.parametrize(
    ("a", "b", "runs"),
    [
        ("last~1", "last", (1, 1)),
        ("last~1,last~3", "last,last~2", (2, 2)),
        ("careful=false", "careful=true", (10, 10)),
        ("workflow=desk,preset=old", "workflow=desk/new", (10, 10)),
        ("spanwise.run.seed=3,preset=old", "seed=4", (1, 2)),
        ("service=desk,careful=false,until=2026-09-21T14:14:00+00:00", "last:desk/new", (1, 1)),
    ],
)
def test_runs_are_named_by_reference_and_by_filter(
    journal: Path, capsys: pytest.CaptureFixture[str], a: str, b: str, runs: tuple[int, int]
) -> None:
    assert main(["compare", a, b, "--json", "--unpaired", "--journal", str(journal)]) in {0, 1, 3}
    found = json.loads(capsys.readouterr().out)
    assert (found["a"]["n"], found["b"]["n"]) == runs


def test_files_and_folders_are_all_their_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_sides(tmp_path / "before", presets=("old", "old2"))
    after = [run(300 + i, 12.0 + i / 10, begin=10_000.0 + i) for i in range(6)]
    path = record(tmp_path / "after", *(span for one in after for _, span in one.walk()))
    found = document(capsys, tmp_path / "none", str(tmp_path / "before"), str(path), "--ignore-environment", code=1)
    assert (found["a"]["n"], found["b"]["n"]) == (20, 6)
    with_filter = f"{tmp_path / 'before'},preset=old"
    found = document(capsys, tmp_path / "none", with_filter, str(path), "--ignore-environment", code=1)
    assert found["a"]["n"] == 10


def test_the_comment_for_a_pull_request_begins_with_the_verdict(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = printed(capsys, journal, "preset=old", "preset=new", "--markdown", code=1)
    assert out.startswith("### B is slower than A: ")
    assert re.search(r"^\| judge \| \+1\.[45]\d s \| model \+1\.[45]\d s, model calls \+1 \|$", out, re.MULTILINE)
    assert "| model calls | 2 | 3 | more |" in out


def test_the_page_has_all_runs_and_a_typical_one_of_each_side(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pair.html"
    _, err = printed(capsys, journal, "preset=old", "preset=new", "--html", str(path), code=1)
    page = path.read_text(encoding="utf-8")
    assert err == f"{path}: written; open it in a browser\n"
    assert '<h2 id="h-comparison">B is slower than A: ' in page
    assert (page.count('<circle class="run-A"'), page.count('<circle class="run-B"')) == (10, 10)
    assert page.count('<div class="track">') == 2
    assert " style=" not in page.partition("<script")[0]
    missing = tmp_path / "no" / "pair.html"
    _, err = printed(capsys, journal, "preset=old", "preset=new", "--html", str(missing), code=2)
    assert err.startswith(f"spanwise: --html {missing}: cannot be written (")
