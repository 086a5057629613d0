"""The marketing swarm: its published figures and split, its data, its workload, and what made others' swarms fail."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import marketing
from support.systems import DirectContext, profile_of, run_in_full, unspoiled
from support.virtual_recording import recorded_at_speed_one

from spanwise.errors import InputError
from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, Resources, ThreadPool, facts_of
from spanwise_pipeline.bound import bound_of
from spanwise_pipeline.provider.profile import Failures
from spanwise_pipeline.systems.marketing import SYSTEM, columns, data_name, dataset, expected, needs, tools
from spanwise_pipeline.systems.marketing.analyses import ANALYSES
from spanwise_pipeline.systems.marketing.prompts import Request
from spanwise_pipeline.systems.marketing.results import CONNECT_S, WRITE_S, Results
from spanwise_pipeline.systems.marketing.swarm import Swarm
from spanwise_profiling.analysis import profile_of as profile_of_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spanwise_pipeline import Outcome
    from spanwise_pipeline.provider.profile import Profile

PRESETS = SYSTEM.presets
ROLES = {"tools": 56, "context": 24, "coordination": 14, "results": 6}
"""Percent of the time of the board that its authors name."""


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    marketing.few_rows(monkeypatch)


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    marketing.shorten(monkeypatch)


@pytest.fixture
def campaigns(tmp_path: Path) -> Path:
    """A data file of its own."""
    dataset.write_csv(tmp_path / dataset.CSV, marketing.ROWS, dataset.SEED)
    return tmp_path / dataset.CSV


@functools.cache
def seconds_of(preset: str, seed: int) -> float:
    return bound_of(SYSTEM, PRESETS[preset], profile_of(SYSTEM), seed).seconds


def median_of(preset: str) -> float:
    return float(np.median([seconds_of(preset, seed) for seed in range(1, 6)]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "published", "within"), [("blackboard", 143.06, 0.03), ("none", 108.72, 0.1), ("partial", 7.81, 0.1)]
)
def test_a_preset_takes_as_long_as_its_authors_published(preset: str, published: float, within: float) -> None:
    assert median_of(preset) == pytest.approx(published, rel=within)


@pytest.mark.slow
def test_with_everything_on_it_takes_less_than_five_seconds() -> None:
    assert median_of("full") < 5.0


@pytest.mark.slow
def test_the_board_s_time_splits_as_its_authors_say() -> None:
    run = recorded_at_speed_one(SYSTEM, PRESETS["blackboard"])[0]

    shares = {share.name: 100 * share.on_path_ns / run.duration_ns for share in profile_of_run(run).roles if share.name}
    assert (run.totals.agents, run.totals.tool_calls) == (6, 12)
    assert shares == pytest.approx(ROLES, abs=3)


@pytest.mark.slow
def test_with_everything_on_it_writes_more_tokens_a_second_and_no_more_tokens_than_the_best_published_one() -> None:
    full, partial = (recorded_at_speed_one(SYSTEM, PRESETS[preset])[0] for preset in ("full", "partial"))

    assert (full.totals.agents, full.totals.tool_calls, partial.totals.agents, partial.totals.tool_calls) == (3, 12) * 2
    assert full.totals.output_tokens <= partial.totals.output_tokens == pytest.approx(596, rel=0.03)
    assert full.totals.output_tokens / full.seconds >= 120


def test_time_does_not_depend_on_how_long_reading_really_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = bound_of(SYSTEM, PRESETS["partial"], profile_of(SYSTEM), 1).seconds

    def slowly(*args: Any, **settings: Any) -> Any:
        threading.Event().wait(0.01)
        return columns.sums_by(*args, **settings)

    monkeypatch.setattr(tools, "sums_by", slowly)
    assert bound_of(SYSTEM, PRESETS["partial"], profile_of(SYSTEM), 1).seconds == pytest.approx(quick)


@pytest.mark.parametrize("needed_only", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("by", sorted({analysis.by for analysis in ANALYSES.values()}))
def test_sums_are_those_of_the_rows(campaigns: Path, by: str, chunked: bool, needed_only: bool) -> None:  # noqa: FBT001
    figures = ("conversions", "spend_cents", "revenue_cents")
    months = (4, 9) if by == "month" else (2, 11)

    found = columns.sums_by(campaigns, by, figures, months=months, chunked=chunked, needed_only=needed_only)

    truth = dataset.truth_of(campaigns)[by]
    chosen = {
        value: [sums for month, sums in by_month.items() if months[0] <= int(month) <= months[1]]
        for value, by_month in truth.items()
    }
    expected = {v: {f: sum(s[f] for s in parts) for f in figures} for v, parts in sorted(chosen.items()) if parts}
    assert found == expected


def test_a_seed_makes_the_same_bytes_and_as_many_rows_as_it_says(campaigns: Path, tmp_path: Path) -> None:
    dataset.write_csv(tmp_path / "again.csv", marketing.ROWS, dataset.SEED)
    dataset.write_csv(tmp_path / "other.csv", marketing.ROWS, dataset.SEED + 1)

    written = campaigns.read_bytes()
    assert (tmp_path / "again.csv").read_bytes() == written != (tmp_path / "other.csv").read_bytes()
    assert written.count(b"\n") == marketing.ROWS + 1
    assert marketing.SHIPPED_ROWS >= 200_000


def test_no_two_values_of_a_column_are_taken_for_one() -> None:
    for column in dataset.CHOICES:
        values = dataset.CHOICES[column][0]
        texts = np.array([value.ljust(8).encode() for value in values]).view(np.uint8).reshape(len(values), 8)
        keys, names = columns._keys(texts)
        assert [names[int(key)] for key in keys] == list(values)


def test_a_file_that_is_not_as_it_must_be_is_told_with_line_and_remedy(campaigns: Path) -> None:
    whole = campaigns.read_bytes()

    def told() -> str:
        with pytest.raises(InputError) as caught:
            columns.sums_by(campaigns, "channel", ("clicks",), months=(1, 12), chunked=True, needed_only=True)
        return str(caught.value)

    campaigns.write_bytes(whole[:-5])
    assert (
        told() == f"{campaigns}: line 2: its rows are not equally long; remove the file's folder to have it made anew"
    )
    first, second, *_ = whole.split(b"\n")
    begin = len(first) + 1 + 2 * (len(second) + 1)
    campaigns.write_bytes(whole[: begin - 1] + b"x" + whole[begin:])
    assert told().startswith(f"{campaigns}: line 3: it is not as long as the others; remove")


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_data_file_that_changes_during_a_run_ends_it_with_a_clear_error(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANWISE_CACHE_DIR", str(tmp_path))
    file = tmp_path / "data" / "marketing" / data_name() / dataset.CSV

    def read_and_touch(*args: Any, **settings: Any) -> Any:
        found = columns.sums_by(*args, **settings)
        changed = tmp_path / threading.current_thread().name
        changed.write_bytes(file.read_bytes().replace(b"search", b"SEARCH", 1))
        changed.replace(file)
        return found

    monkeypatch.setattr(tools, "sums_by", read_and_touch)
    with pytest.raises(ExceptionGroup) as caught:
        unspoiled(SYSTEM, PRESETS[preset])
    error = caught.value.exceptions[0]
    assert isinstance(error, InputError)
    assert str(error) == f"{file}: it changed during the run, and results would not agree; run again"


def test_a_connection_of_one_thread_fails_in_another_and_lent_ones_do_not(tmp_path: Path) -> None:
    """Tools that share a connection fail in a pool of threads, though they worked one after another."""
    shared = sqlite3.connect(tmp_path / "shared.sqlite")

    async def main() -> dict[str, dict[str, str]]:
        pool = ThreadPool("tools", 4)
        with pytest.raises(sqlite3.ProgrammingError, match="can only be used in that same thread"):
            await pool.run(shared.execute, "SELECT 1")
        results = Results(tmp_path / "results.sqlite", Clock(), pooled=True)
        async with asyncio.TaskGroup() as group:
            for n in range(40):
                group.create_task(pool.run(results.save, f"section {n}", {"number": str(n)}))
        found = await pool.run(results.saved)
        await pool.close()
        assert results.opened <= 4
        results.close()
        return found

    assert run_virtual(main)[0] == {f"section {n}": {"number": str(n)} for n in range(40)}
    shared.close()


@pytest.mark.parametrize(("pooled", "seconds"), [(True, CONNECT_S + 3 * WRITE_S), (False, 3 * (CONNECT_S + WRITE_S))])
def test_kept_connections_are_opened_once(tmp_path: Path, pooled: bool, seconds: float) -> None:  # noqa: FBT001
    async def main() -> None:
        pool = ThreadPool("database", 2)
        results = Results(tmp_path / "results.sqlite", Clock(), pooled=pooled)
        for n in range(3):
            await pool.run(results.save, str(n), {})
        await pool.close()
        results.close()

    assert run_virtual(main)[1] == pytest.approx(seconds)


def test_what_is_handed_on_is_no_input_of_a_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small handed-on results must not cost a tool what it needs: its inputs are the request's, with any flags."""
    asked: list[set[tuple[str, tuple[int, int]]]] = []

    for flags in PRESETS.values():
        seen: set[tuple[str, tuple[int, int]]] = set()
        real = tools.CampaignTools._added_up

        def note(self: Any, analysis: Any, months: Any, seen: Any = seen, real: Any = real) -> Any:
            seen.add((analysis.name, tuple(months)))
            return real(self, analysis, months)

        with monkeypatch.context() as patch:
            patch.setattr(tools.CampaignTools, "_added_up", note)
            unspoiled(SYSTEM, flags)
        asked.append(seen)

    request = Request()
    assert asked == [{(name, (request.from_month, request.to_month)) for name in ANALYSES}] * len(PRESETS)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_all_sections_are_in_the_database_when_the_run_has_ended(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, dict[str, str]] = {}
    close = Swarm.close

    async def look_and_close(self: Swarm) -> None:
        kept.update(await self.context.pool("database").run(self.results.saved))
        await close(self)

    monkeypatch.setattr(Swarm, "close", look_and_close)
    outcome = unspoiled(SYSTEM, PRESETS[preset])

    assert kept == {title: facts_of(text) for title, text in outcome.report.items()}


def windows() -> list[Request]:
    """The 78 requests that differ in what tools need, each with a budget of its own, which they do not need."""
    pairs = [(first, last) for first in range(1, 13) for last in range(first, 13)]
    return [Request(from_month=a, to_month=b, budget=400_000 + 1_000 * n) for n, (a, b) in enumerate(pairs)]


def workload(runs: int = 200, seed: int = 1) -> list[Request]:
    """The workload of the docs: requests drawn by Zipf's law with exponent 1.1, in an order that the seed shuffles."""
    draws = np.random.default_rng(seed)
    ranked = [windows()[n] for n in draws.permutation(len(windows()))]
    weights = np.arange(1, len(ranked) + 1) ** -1.1
    return [ranked[n] for n in draws.choice(len(ranked), runs, p=weights / weights.sum())]


@pytest.mark.slow
@pytest.mark.usefixtures("short_runs")
def test_on_the_workload_more_than_seven_of_ten_tools_are_answered_from_the_cache() -> None:
    requests = workload()

    async def main() -> tuple[int, int, bool]:
        clock, flags = Clock(), PRESETS["full"]  # answers and figures are checked beside the hits
        async with Resources("marketing", needs(flags), clock=clock, virtual=True) as resources:
            context = DirectContext(
                base_url="", api_key="", clock=clock, seed=1, label_requests=True, publish=lambda *_: None,
                resources=resources,
            )  # fmt: skip
            data = context.data(data_name())
            swarm = Swarm(context, flags, data)
            good = True
            for request in requests:
                sections = await swarm.run(request)
                stated = {title: facts_of(text) for title, text in sections.items()}
                good = good and stated == expected(data, request, flags)
            await resources.background.drain()
            await swarm.close()
            use = swarm.cache_use()
            return use.lookups, use.hits, good

    lookups, hits, good = run_virtual(main)[0]
    assert len(set(requests)) >= 35
    assert len(windows()) >= 50
    assert (lookups, good) == (200 * 12, True)
    assert hits / lookups > 0.7


def failing(share: float) -> Profile:
    profile = profile_of(SYSTEM)
    failures = Failures(error_500=share / 4, drop=share / 4, malformed=share / 4, stall=share / 4, stall_s=5.0)
    models = {name: dataclasses.replace(model, failures=failures) for name, model in profile.models.items()}
    return dataclasses.replace(profile, models=models)


def outcomes(share: float, seeds: range) -> Iterator[Outcome | Exception]:
    for seed in seeds:
        try:
            yield run_virtual(functools.partial(run_in_full, SYSTEM, PRESETS["full"], failing(share), seed))[0]
        except ExceptionGroup as failed:
            yield failed


@pytest.mark.slow
@pytest.mark.usefixtures("short_runs")
def test_of_200_runs_on_a_provider_that_fails_now_and_then_fewer_than_one_in_a_hundred_fail() -> None:
    good = unspoiled(SYSTEM, PRESETS["full"]).answer

    failed = [one for one in outcomes(0.02, range(200)) if isinstance(one, Exception) or one.answer != good]

    assert len(failed) < 2


@pytest.mark.slow
@pytest.mark.usefixtures("short_runs")
def test_with_a_fifth_of_all_calls_failing_an_answer_is_the_right_one() -> None:
    good = unspoiled(SYSTEM, PRESETS["full"]).answer

    answered = [one.answer for one in outcomes(0.2, range(25)) if not isinstance(one, Exception)]

    assert len(answered) >= 23
    assert all(answer == good for answer in answered)


def test_the_published_figures_stand_as_they_were_published() -> None:
    published = {name: dataclasses.astuple(figures)[:3] for name, figures in SYSTEM.published.items()}

    assert published == {"blackboard": (143.06, 422, 3.0), "none": (108.72, 729, 6.7), "partial": (7.81, 596, 76.3)}
    assert SYSTEM.aliases == {"baseline": "blackboard", "published": "partial", "optimized": "full"}
