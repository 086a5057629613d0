"""The hedge fund's caches on a real Redis: hit rates of a workload, two funds that share, a Redis that goes away."""

from __future__ import annotations

import asyncio
import runpy
from typing import TYPE_CHECKING, Any

import pytest
from support.pages import ROOT
from support.redis_server import RedisServer, redis_server

from spanwise.config import strict_yaml
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.runner import RunPlan, run_once
from spanwise_pipeline.systems.hedge_fund import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture
def server(tmp_path: Path) -> Generator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture
def benchmark() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "hedge_fund_workload.py"))


def test_the_workload_is_the_one_that_the_page_describes(benchmark: dict[str, Any]) -> None:
    drawn = benchmark["workload"](200)

    assert len(set(benchmark["distinct_requests"]())) == 80
    assert drawn == benchmark["workload"](200)
    assert len(set(drawn)) >= 50
    assert max(drawn.count(request) for request in drawn) > 200 / 10


def test_two_funds_on_one_redis_answer_most_lookups_without_the_data_service(
    server: RedisServer, benchmark: dict[str, Any]
) -> None:
    requests = benchmark["workload"](12)

    found = asyncio.run(benchmark["measure"](requests, server.url, ahead=True, results=True))

    assert found["data"].rate > 0.8
    assert found["data"].shared > 0
    assert found["decisions"].misses == len(set(requests))
    assert found["decisions"].shared > 0
    assert found["ahead"][0] > 0


def test_a_redis_that_goes_away_in_the_middle_costs_a_run_nothing_but_hits(server: RedisServer) -> None:
    published: list[str] = []

    def publish(agent: str, _seconds: float) -> None:
        published.append(agent)
        if len(published) == 3:
            server.kill()

    plan = RunPlan(
        system=SYSTEM, variant="published", flags=SYSTEM.presets["published"], seed=1, speed=4.0,
        profile=strict_yaml.load(SYSTEM.profile, Profile), redis=server.url, publish=publish,
    )  # fmt: skip
    report = asyncio.run(run_once(plan))

    assert report.error is None
    assert report.outcome is not None
    assert (report.outcome.grade, report.outcome.answer["analysts"]) == ("A+", 17)
    assert len(published) == 19
