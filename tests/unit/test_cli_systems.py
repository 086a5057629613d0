"""`spanwise systems` and `systems run`: their documents to the letter of the contract, and what people see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.documents import SYSTEMS, SYSTEMS_RUN, differences
from support.finished import finished

from spanwise.errors import UnavailableError
from spanwise_cli import finished as finishing
from spanwise_cli.main import main
from spanwise_cli.options import presentation
from spanwise_pipeline import experiment
from spanwise_pipeline.systems import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_cli.finished import Finished

pytestmark = pytest.mark.usefixtures("isolated_provider")

PRESETS = ["baseline", "published", "optimized"]


@pytest.fixture(autouse=True)
def _own_presentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presentation, "verbose", presentation.verbose)
    monkeypatch.setattr(presentation, "color", presentation.color)


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert main(words) == code
    out, err = capsys.readouterr()
    return out, err


@pytest.mark.parametrize("words", [("systems", "--json"), ("systems", "trading", "--json")])
def test_the_document_of_systems_has_presets_flags_and_figures(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    out, err = printed(capsys, *words)
    document = json.loads(out)

    assert (err, differences(document, SYSTEMS), document["schema"]) == ("", [], "spanwise.systems/1")
    assert len(document["systems"]) == (1 if "trading" in words else len(NAMES))
    system = next(system for system in document["systems"] if system["name"] == "trading")
    assert (system["name"], list(system["presets"])) == ("trading", PRESETS)
    for flags in system["presets"].values():
        assert list(flags) == list(system["flags"])
        assert {type(value) for value in flags.values()} == {bool}
    assert all(text.endswith(".") for text in system["flags"].values())
    assert system["published"]["published"] == {
        "duration_s": 157.86, "tokens": 48_353, "tokens_per_s": 306.3, "grade": "A+",
    }  # fmt: skip
    assert system["targets"] == {"duration_s": 120.0, "tokens": 40_000, "tokens_per_s": None, "grade": "A+"}


def test_systems_for_people_name_each_system_and_the_way_to_run_it(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = printed(capsys, "systems")

    assert (err, out.splitlines()[-1]) == ("", f"Run one: spanwise systems run {NAMES[0]} --speed 20")
    assert "baseline, published, optimized" in out
    assert {line.split()[0] for line in out.splitlines()[1:] if line} >= set(NAMES)


def test_a_system_for_people_marks_which_flag_is_on_where(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(capsys, "systems", "trading")

    assert "parallel_analysts       -         on         on" in out
    assert "pooled_connections      -         -          on" in out
    assert "published  157.86 s  48,353     306.3     A+" in out


def runs_come_to(monkeypatch: pytest.MonkeyPatch, *runs: Finished) -> None:
    """Let `systems run` come to `runs` without running anything."""

    def execute(*_: Any, **__: Any) -> Iterator[Finished]:
        yield from runs

    def read_back(*_: Any) -> list[Finished]:
        return list(runs)

    monkeypatch.setattr(experiment, "execute", execute)
    monkeypatch.setattr(finishing, "read_back", read_back)


RUN = ("systems", "run", "trading", "--speed", "20", "--seed", "7")


def test_the_document_of_a_run_is_that_of_the_contract(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs_come_to(monkeypatch, finished(seed=7))

    out, err = printed(capsys, *RUN, "--json")
    document = json.loads(out)

    assert (err, differences(document, SYSTEMS_RUN)) == ("", [])
    (run,) = document.pop("runs")
    assert document == {
        "schema": "spanwise.systems.run/1", "system": "trading", "speed": 20.0, "seed": 7, "base_url": "simulated",
    }  # fmt: skip
    assert run.pop("answer_sha256") == "a2199ce4e1965864996f49625534de9a3bc6b79c6de3e2a9bfc4deab822e965a"
    assert run == {
        "run_id": "a" * 32, "trace_id": "b" * 32, "preset": "slow", "flags": {"quick": False}, "seed": 7,
        "duration_s": 180.0, "published_s": 200.0, "bound_s": 150.0,
        "tokens": {"input": 4_000, "output": 1_000, "total": 5_000}, "tokens_per_s": 5_000 / 180, "agents": 1,
        "tool_calls": 1, "llm_calls": 1, "retries": 0, "cache": {"lookups": 4, "hits": 2}, "first_result_s": 12.5,
        "client_cpu_share": 0.04, "quality": {"grade": "A+", "score": 100.0}, "error": None,
    }  # fmt: skip


def test_a_run_that_failed_or_was_not_recorded_keeps_the_documents_form(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = UnavailableError("http://127.0.0.1:1: gone; start it")
    runs_come_to(monkeypatch, finished(recorded=False), finished(error=gone), finished("fast"))

    out, err = printed(capsys, *RUN, "--json", code=4)
    document = json.loads(out)

    assert differences(document, SYSTEMS_RUN) == []
    assert [run["error"] for run in document["runs"]] == [None, str(gone), None]
    assert [run["quality"] is None for run in document["runs"]] == [False, True, False]
    assert document["runs"][0]["duration_s"] is None
    assert err == f"spanwise: {gone}\n"


def test_a_run_for_people_is_a_table_and_its_notes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs_come_to(monkeypatch, finished(), finished("fast", seconds=96.0))

    out, err = printed(capsys, *RUN)

    assert err == ""
    assert [line.split()[0] for line in out.splitlines()] == ["preset", "slow", "fast", "seed"]
