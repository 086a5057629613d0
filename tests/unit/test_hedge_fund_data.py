"""What the hedge fund's data service, its formulas and its database do."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from support.hedge_fund import PRESETS
from support.systems import run_directly, unspoiled

from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, Folder, LocalStore, Resources, Threads
from spanwise_pipeline.systems import hedge_fund
from spanwise_pipeline.systems.hedge_fund import SYSTEM, prices, service
from spanwise_pipeline.systems.hedge_fund.analysts import ANALYSTS
from spanwise_pipeline.systems.hedge_fund.fund import Fund
from spanwise_pipeline.systems.hedge_fund.predictions import Prediction, UnreadablePredictionError, view_of
from spanwise_pipeline.systems.hedge_fund.rubric import decision_of, expected_values, grade_texts
from spanwise_pipeline.systems.hedge_fund.service import ROUND_TRIP, SOURCES, DataService
from spanwise_pipeline.systems.hedge_fund.storage import CONNECT, TRANSACTION, PredictionStore
from spanwise_pipeline.systems.hedge_fund.window import Request, prepare

if TYPE_CHECKING:
    from spanwise_pipeline.systems.hedge_fund.service import Figures

REQUEST = hedge_fund.REQUEST
PREDICTION = Prediction("growth", "MSFT", "2013-03-01", 0.2, "bullish", 20.0)


def test_there_are_seventeen_analysts_in_groups_and_each_figure_is_somebodys() -> None:
    assert len(ANALYSTS) == len({analyst.name for analyst in ANALYSTS}) == 17
    figures = {(source, name) for source, ask in SOURCES.items() for name in ask("MSFT", REQUEST.as_of)}
    used = {
        (source, name)
        for source, name in figures
        for analyst in ANALYSTS
        if source in analyst.sources and f"{name}_{{t}}" in analyst.formula
    }
    assert used == figures
    for analyst in ANALYSTS:
        assert all(
            any(source == of and f"{n}_{{t}}" in analyst.formula for of, n in used) for source in analyst.sources
        )


def test_the_prices_are_those_of_five_shares_on_the_same_days() -> None:
    days = {ticker: [bar.date for bar in bars] for ticker, bars in prices.all_bars().items()}

    assert list(days) == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert all(days[ticker] == days["AAPL"] for ticker in days)
    assert (len(days["AAPL"]), days["AAPL"][-1]) == (150, REQUEST.as_of)
    assert all(bar.low <= min(bar.open, bar.close) <= bar.high for bars in prices.all_bars().values() for bar in bars)


def test_an_analysis_begins_with_the_last_five_trading_days() -> None:
    facts = prepare(Request(("MSFT",), "2013-03-01"))

    assert [facts[f"day_{day}_close_msft"] for day in range(1, 6)] == ["27.37", "27.37", "27.81", "27.8", "27.95"]
    assert facts["day_5_volume_msft"] == "34849700"


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (Request(("MFST",), "2013-03-01"), "no prices of 'MFST'; the shares are those in data/prices.csv"),
        (Request(("MSFT",), "2013-03-02"), "MSFT: 2013-03-02 is not the last of 5 trading days with prices"),
        (Request(("MSFT",), "2012-07-26"), "MSFT: 2012-07-26 is not the last of 5 trading days with prices"),
    ],
)
def test_a_request_that_cannot_be_prepared_says_why(request_: Request, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        prepare(request_)


def test_nothing_that_became_known_after_the_day_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {source: ask("AAPL", "2013-02-20") for source, ask in SOURCES.items()}
    for company in service.companies().values():
        for entries in company.values():
            for entry in entries:
                if entry.get("date", entry.get("filed")) > "2013-02-20":
                    for name in entry:
                        if name not in {"date", "filed"}:
                            monkeypatch.setitem(entry, name, 1e9)

    assert {source: ask("AAPL", "2013-02-20") for source, ask in SOURCES.items()} == before
    assert before["accounts"] != SOURCES["accounts"]("AAPL", "2013-02-01")


def test_an_answer_of_the_service_takes_its_round_trip_once_where_it_is_cached() -> None:
    async def ask(*, cached: bool) -> tuple[Figures, Figures]:
        data = DataService(Clock(), cached=cached, store=LocalStore(Clock(), latency=0.0) if cached else None)
        return await data.figures("news", "MSFT", "2013-03-01"), await data.figures("news", "MSFT", "2013-03-01")

    (first, second), slow = run_virtual(lambda: ask(cached=False))
    _, quick = run_virtual(lambda: ask(cached=True))

    assert first == second == service.news_figures("MSFT", "2013-03-01")
    assert [slow, quick] == pytest.approx([2 * ROUND_TRIP, ROUND_TRIP])


def test_popular_shares_are_asked_for_ahead_and_only_what_is_missing() -> None:
    async def main() -> tuple[int, int, int]:
        data = DataService(Clock(), cached=True, store=None)
        await data.figures("news", "MSFT", "2013-03-01")
        made = await data.precompute(["MSFT", "AAPL"], ["2013-03-01"])
        again = await data.precompute(["MSFT", "AAPL"], ["2013-03-01"])
        assert data.cache is not None
        return made, again, data.cache.statistics().entries

    (made, again, entries), seconds = run_virtual(main)

    assert (made, again, entries) == (7, 0, 8)
    assert seconds == pytest.approx(2 * ROUND_TRIP)
    assert run_virtual(lambda: DataService(Clock(), cached=False, store=None).precompute(["MSFT"], []))[0] == 0


@pytest.mark.parametrize(
    ("pooled", "seconds"), [(False, 2 * (CONNECT + TRANSACTION)), (True, CONNECT + 2 * TRANSACTION)]
)
def test_a_write_is_one_transaction_on_a_connection_that_may_be_kept(pooled: bool, seconds: float) -> None:  # noqa: FBT001 - parametrised
    async def main() -> tuple[list[Prediction], float]:
        clock = Clock()
        async with Resources("fund", (Folder(), Threads("database", 2)), clock=clock, virtual=True) as resources:
            store = PredictionStore(resources.folder / "p.sqlite", resources.pool("database"), clock, pooled=pooled)
            for ticker in ("MSFT", "AAPL"):
                await store.write([dataclasses.replace(PREDICTION, ticker=ticker)])
            taken = clock.now()
            rows = await store.read()
            store.close()
            return rows, taken

    (rows, taken), _ = run_virtual(main)

    assert rows == [dataclasses.replace(PREDICTION, ticker="AAPL"), PREDICTION]
    assert taken == pytest.approx(seconds)


def test_a_write_that_fails_stores_nothing_of_it() -> None:
    nothing: Any = None
    broken = dataclasses.replace(PREDICTION, ticker=nothing)

    async def main() -> list[Prediction]:
        clock = Clock()
        async with Resources("fund", (Folder(), Threads("database", 2)), clock=clock, virtual=True) as resources:
            store = PredictionStore(resources.folder / "p.sqlite", resources.pool("database"), clock, pooled=True)
            with pytest.raises(sqlite3.IntegrityError):
                await store.write([PREDICTION, broken])
            rows = await store.read()
            store.close()
            return rows

    assert run_virtual(main)[0] == []


@pytest.mark.parametrize("preset", list(PRESETS))
def test_all_predictions_are_stored_whatever_the_preset(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[Prediction] = []
    close = Fund.close

    async def read_and_close(self: Fund) -> None:
        stored.extend(await self.predictions.read())
        await close(self)

    monkeypatch.setattr(Fund, "close", read_and_close)
    outcome, _ = run_virtual(lambda: run_directly(SYSTEM, PRESETS[preset]))

    expected = expected_values(REQUEST)
    assert len(stored) == 34
    for row in stored:
        t = row.ticker.lower()
        values = expected[row.agent]
        stated = (values[f"score_{t}"], values[f"signal_{t}"], values[f"confidence_{t}"])
        assert (row.score, row.signal, row.confidence) == stated
    assert outcome.score == 100.0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "growth wrote no whole prediction: 'score_msft'"),
        ("score_msft = 0.1\nsignal_msft = up\nconfidence_msft = 10", "growth wrote no signal: up"),
        (
            "score_msft = much\nsignal_msft = bullish\nconfidence_msft = 1",
            "growth wrote no whole prediction: could not",
        ),
    ],
)
def test_what_is_no_prediction_says_why(text: str, problem: str) -> None:
    with pytest.raises(UnreadablePredictionError, match=problem):
        view_of("growth", text, ("MSFT",), "2013-03-01")


def test_a_wrong_and_a_missing_value_are_named_and_cost_their_share() -> None:
    texts = dict(unspoiled(SYSTEM, PRESETS["optimized"]).report)
    checks = sum(len(values) for values in expected_values(REQUEST).values())

    wrong = texts | {"growth": texts["growth"].replace("signal_msft = neutral", "signal_msft = bullish")}
    assert grade_texts(wrong, REQUEST).faults == ("growth: signal_msft is bullish, must be neutral",)
    assert grade_texts(wrong, REQUEST).score == round(100 * (checks - 1) / checks, 2)

    del texts["growth"]
    grade = grade_texts(texts, REQUEST)
    assert (grade.grade, len(grade.faults), grade.faults[0]) == ("A", 6, "growth: score_aapl is missing")
    assert decision_of(texts, REQUEST)["analysts"] == 16
    assert grade_texts({}, REQUEST).grade == "F"
