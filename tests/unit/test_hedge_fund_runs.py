"""Runs of the hedge fund's service: watched by many, from any event on, by nobody, and too many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.hedge_fund import ONE_SHARE, PRESETS
from support.systems import unspoiled

from spanwise.testing import run_virtual
from spanwise_pipeline import Clock
from spanwise_pipeline.systems import hedge_fund
from spanwise_pipeline.systems.hedge_fund import SYSTEM, runs
from spanwise_pipeline.systems.hedge_fund.runs import BusyError, Run, Runs, publish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise_pipeline.systems.hedge_fund.fund import Fund
    from spanwise_pipeline.systems.hedge_fund.window import Request


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """What the agents write on one share."""
    monkeypatch.setattr(hedge_fund, "REQUEST", ONE_SHARE)
    return unspoiled(SYSTEM, PRESETS["optimized"]).report


class Written:
    """A fund whose agents write one text a second."""

    def __init__(self, texts: Mapping[str, str], *, silent: bool = False) -> None:
        self._texts = texts
        self._silent = silent

    async def decide(self, _: Request) -> Mapping[str, str]:
        for agent, text in self._texts.items():
            await asyncio.sleep(1.0)
            if not self._silent:
                publish(agent, text)
        return self._texts


class Broken:
    """A fund that fails."""

    async def decide(self, _: Request) -> Mapping[str, str]:
        await asyncio.sleep(1.0)
        raise ExceptionGroup("steps failed", [RuntimeError("no model answered")])


def begin(kept: Runs, fund: object) -> Run:
    return kept.begin(cast("Fund", fund), "optimized", ONE_SHARE)


async def seen(run: Run, first: int = 0) -> list[dict[str, Any]]:
    return [event async for event in run.follow(first)]


async def whole(fund: object) -> list[dict[str, Any]]:
    return await seen(begin(Runs(Clock()), fund))


def test_events_come_as_they_happen_and_a_late_watcher_gets_them_from_where_it_was(texts: Mapping[str, str]) -> None:
    async def main() -> tuple[Run, list[Any], list[Any], float]:
        run = begin(Runs(Clock()), Written(texts))
        first = await anext(aiter(run.follow()))
        early = asyncio.get_running_loop().time()
        everything, rest = await asyncio.gather(seen(run), seen(run, 5))
        assert first == everything[0]
        return run, everything, rest, early

    (run, events, rest, early), seconds = run_virtual(main)

    assert (early, seconds) == (1.0, 19.0)
    assert [event["number"] for event in events] == list(range(20))
    assert [event.get("agent") for event in events] == [*texts, None]
    assert rest == events[5:]
    assert events == run.events
    assert (events[-1]["kind"], events[-1]["grade"], events[-1]["seconds"]) == ("decision", "A+", 19.0)


def test_a_run_goes_on_without_watchers_and_ended_ones_are_told_whole(texts: Mapping[str, str]) -> None:
    async def main() -> list[dict[str, Any]]:
        kept = Runs(Clock())
        run = begin(kept, Written(texts))
        watching = asyncio.create_task(seen(run))
        await asyncio.sleep(3.5)
        watching.cancel()
        await asyncio.sleep(60)
        assert kept.get(run.id) is run
        return await seen(run)

    assert len(run_virtual(main)[0]) == 20


def test_a_decision_that_was_kept_is_told_agent_by_agent_all_the_same(texts: Mapping[str, str]) -> None:
    events, _ = run_virtual(lambda: whole(Written(texts, silent=True)))

    assert [event.get("agent") for event in events] == [*texts, None]


def test_a_run_that_fails_tells_its_watchers_why() -> None:
    events, _ = run_virtual(lambda: whole(Broken()))

    assert events == [{"number": 0, "seconds": 1.0, "kind": "error", "message": "RuntimeError: no model answered"}]


def test_two_runs_of_a_fund_at_once_are_told_apart(texts: Mapping[str, str]) -> None:
    async def main() -> list[list[dict[str, Any]]]:
        kept, fund = Runs(Clock()), Written(texts)
        one = begin(kept, fund)
        await asyncio.sleep(0.5)
        return list(await asyncio.gather(seen(one), seen(begin(kept, fund))))

    one, other = run_virtual(main)[0]
    assert [event.get("agent") for event in one] == [event.get("agent") for event in other] == [*texts, None]


def test_too_many_runs_at_once_are_refused_and_the_oldest_ended_ones_forgotten(
    texts: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(runs, "MOST_KEPT", 3)

    async def main() -> list[bool]:
        kept, fund = Runs(Clock()), Written(texts)
        known = [begin(kept, fund), begin(kept, fund)]
        with pytest.raises(BusyError, match="2 runs are going on"):
            begin(kept, fund)
        for _ in range(3):
            await asyncio.sleep(30)
            known.append(begin(kept, fund))
        await kept.close()
        return [kept.get(run.id) is run for run in known]

    assert run_virtual(main)[0] == [False, False, True, True, True]


def test_closing_stops_what_runs(texts: Mapping[str, str]) -> None:
    async def main() -> bool:
        kept = Runs(Clock())
        run = begin(kept, Written(texts))
        await asyncio.sleep(2.5)
        await kept.close()
        return run.ended

    assert run_virtual(main) == (False, 2.5)
