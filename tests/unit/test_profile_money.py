"""Tokens and money in every form of a profile: an unknown cost is said to be unknown, never shown as 0."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from support.profiles import desk_profile, profile
from support.traces import run_of, workflow

from spanwise_profiling import prices
from spanwise_profiling.render.markdown import markdown_report
from spanwise_profiling.render.plain import plain_report
from spanwise_profiling.render.profile_document import profile_document
from spanwise_profiling.render.report import profile_report
from spanwise_profiling.render.usage_texts import amount
from spanwise_profiling.usage import usage_of

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise_profiling.profile import Profile

TABLE = """\
currency = "EUR"
tokens = 1000

[[price]]
models = ["sim-1"]
since = 2026-01-01
input = 0.5
output = 2
source = "a contract"
"""


def with_usage(folder: Path, *, priced: bool) -> Profile:
    shown = desk_profile()
    path = folder / "prices.toml"
    path.write_text(TABLE if priced else TABLE.replace("sim-1", "other"), encoding="utf-8")
    return replace(shown, usage=usage_of(shown.run, prices.load(path)))


def terminal(shown: Profile, *, show_all: bool = False) -> str:
    stream = StringIO()
    out = Console(file=stream, width=80, color_system=None, highlight=False)
    for part in profile_report(shown, 80, show_all=show_all):
        out.print(part, soft_wrap=True)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def test_what_a_run_cost_is_told_by_model(tmp_path: Path) -> None:
    shown = with_usage(tmp_path, priced=True)
    assert shown.usage is not None
    assert shown.usage.total.cost == pytest.approx(0.4 * 0.5 + 0.08 * 2)
    assert "480 tokens, 0.3600 EUR, 1 error" in terminal(shown)
    report = terminal(shown, show_all=True)
    assert "\nModels: 5 calls, 400 tokens in (0 cached), 80 out; 0.3600 EUR by the table of\n  prices.\n" in report
    lines = [line.split() for line in report.splitlines()]
    assert ["model", "calls", "tokens", "in", "cached", "out", "tok/s", "decode", "cost"] in lines
    assert ["sim-1", "5", "400", "0", "80", "0.6", "-", "0.3600"] in lines
    assert "\n- sim-1: 5 calls, 400 tokens in (0 cached) and 80 out, 0.6 tok/s; cost 0.3600 EUR.\n" in plain_report(
        shown
    )
    assert "\n| `sim-1` | 5 | 400 | 0 | 80 | 0.6 | - | 0.3600 |\n" in markdown_report([shown])


def test_an_unknown_cost_is_never_shown_as_nothing(tmp_path: Path) -> None:
    shown = with_usage(tmp_path, priced=False)
    said = "cost unknown: 5 of 5 calls have no known price (--prices FILE)."
    assert "Price of sim-1 unknown (--prices FILE)." in " ".join(terminal(shown).split())
    assert said in terminal(shown, show_all=True).replace("\n ", "")
    assert said in plain_report(shown)
    assert "; cost unknown.\n" in plain_report(shown)
    assert " | unknown |\n" in markdown_report([shown])
    (run,) = profile_document([shown])["runs"]
    assert (run["usage"]["total"]["cost"], run["usage"]["total"]["unpriced"]) == (None, 5)


def test_the_document_has_every_call_agent_and_model(tmp_path: Path) -> None:
    (run,) = profile_document([with_usage(tmp_path, priced=True)])["runs"]
    usage = run["usage"]
    assert (usage["currency"], len(usage["calls"]), usage["identical"]) == ("EUR", 5, [])
    assert [total["name"] for total in usage["agents"]] == ["bull", "market_analyst", "news_analyst"]
    assert usage["calls"][0]["agent"] == "news_analyst"
    assert usage["calls"][0]["cost"] == 0.0
    assert sum(call["cost"] for call in usage["calls"]) == pytest.approx(usage["total"]["cost"])
    json.dumps(run, allow_nan=False)


def test_a_run_without_model_calls_says_nothing_of_money() -> None:
    shown = profile(run_of(workflow(1, 0, 1)), [(1, 0, 1, "unknown", "inferred")])
    shown = replace(shown, usage=usage_of(shown.run, prices.load()))
    for report in (terminal(shown), plain_report(shown), markdown_report([shown])):
        assert "odels" not in report
        assert "cost" not in report
        assert "Price" not in report


def test_amounts_keep_what_counts() -> None:
    assert [amount(cost) for cost in (0.0, 0.00012, 0.36, 1.0, 1234.5, None)] == [
        "0.0000", "0.0001", "0.3600", "1.00", "1,234.50", "unknown",
    ]  # fmt: skip
