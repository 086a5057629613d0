"""The hedge fund's web service over real HTTP and WebSockets, and its page in Chromium."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from support.browser import Opened, axe_violations, chromium
from support.hedge_fund import PRESETS, shipped_profile
from support.provider_process import provider, started
from support.systems import unspoiled
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from spanwise_pipeline.systems.hedge_fund import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.alone]
SPEED = 4.0


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A service with a simulated provider."""
    folder: Path = tmp_path_factory.mktemp("provider")
    module = ["-m", "spanwise_pipeline.systems.hedge_fund", "--port", "0", "--speed", str(SPEED)]
    with (
        provider(folder, shipped_profile(), speed=SPEED) as base_url,
        started([sys.executable, *module, "--base-url", base_url], stdin=subprocess.DEVNULL) as process,
    ):
        assert process.stdout is not None
        yield str(json.loads(process.stdout.readline())["address"])


def begin(address: str, preset: str) -> dict[str, Any]:
    answer = httpx2.post(f"{address}api/run", json={"preset": preset}, timeout=30)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def socket_of(address: str, run: dict[str, Any], query: str = "") -> str:
    return address.replace("http", "ws", 1).rstrip("/") + str(run["events"]) + query


def test_agents_are_told_as_they_finish_and_the_answer_is_that_of_a_run(address: str) -> None:
    run = begin(address, "published")
    began = time.monotonic()
    arrived: list[float] = []
    events: list[dict[str, Any]] = []
    with connect(socket_of(address, run)) as socket:
        for message in socket:
            arrived.append(time.monotonic() - began)
            events.append(json.loads(message))

    assert [event["number"] for event in events] == list(range(20))
    assert arrived[0] < arrived[-1] / 2
    assert {event["agent"] for event in events[:-1]} == set(unspoiled(SYSTEM, PRESETS["published"]).report)
    assert events[-1]["answer"] == unspoiled(SYSTEM, PRESETS["published"]).answer
    assert events[-1]["grade"] == "A+"


def test_a_client_that_goes_away_and_comes_back_misses_nothing(address: str) -> None:
    run = begin(address, "published")
    with connect(socket_of(address, run)) as socket:
        before = [json.loads(socket.recv()) for _ in range(4)]
    while len(httpx2.get(f"{address}api/runs/{run['id']}").json()["events"]) < 8:
        pass  # the run goes on meanwhile
    with connect(socket_of(address, run, "?first=4")) as socket:
        after = [json.loads(message) for message in socket]

    shown = httpx2.get(f"{address}api/runs/{run['id']}").json()
    assert shown["ended"]
    assert shown["events"] == before + after
    with connect(socket_of(address, run, "?first=nonsense")) as socket:
        assert [json.loads(message) for message in socket] == shown["events"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "the body is no JSON"),
        (b"[]", 'the body is an object, such as {"preset": "published"}'),
        (b'{"preset": "optimised"}', "preset 'optimised' is unknown; did you mean 'optimized'?"),
        (b'{"tickers": "AAPL"}', 'tickers are one or two different shares, such as ["AAPL", "MSFT"]'),
        (b'{"tickers": ["AAPL", "AAPL"]}', 'tickers are one or two different shares, such as ["AAPL", "MSFT"]'),
        (b'{"tickers": ["MFST"]}', "no prices of 'MFST'; the shares are those in data/prices.csv"),
        (b'{"as_of": 3}', 'as_of is a day, such as "2013-03-01"'),
        (b'{"as_of": "2013-03-03"}', "AAPL: 2013-03-03 is not the last of 5 trading days with prices"),
        (b'"' + b"x" * 10_001 + b'"', "a request has at most 10000 bytes"),
    ],
)
def test_a_bad_request_says_what_is_wrong(address: str, body: bytes, problem: str) -> None:
    answer = httpx2.post(f"{address}api/run", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(problem)


def test_a_run_that_nobody_knows_and_a_page_from_elsewhere_are_refused(address: str) -> None:
    foreign = {"origin": "http://elsewhere.example"}

    assert httpx2.get(f"{address}api/runs/none").status_code == 404
    assert httpx2.post(f"{address}api/run", json={}, headers=foreign).status_code == 403
    for run, headers, code in ((begin(address, "optimized")["id"], foreign, 4403), ("none", {}, 4404)):
        url = socket_of(address, {"events": f"/api/runs/{run}/events"})
        with connect(url, additional_headers=headers) as socket, pytest.raises(ConnectionClosedError) as caught:
            socket.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == code


def test_the_page_shows_two_presets_beside_each_other_and_goes_on_after_it_was_left(address: str) -> None:
    with chromium() as browser:
        page = browser.new_page()
        seen = Opened(page)
        page.on("console", seen.hear)
        page.on("pageerror", seen.fail)
        page.goto(address)
        left, right = page.locator("[data-side=left]"), page.locator("[data-side=right]")
        left.locator("select").select_option("phase2")
        right.locator("select").select_option("optimized")
        page.get_by_role("button", name="Run both").click()
        right.locator("td").first.wait_for()
        page.goto("about:blank")
        page.go_back()
        right.get_by_text("grade A+").wait_for(timeout=60_000)
        assert "grade A+" not in left.locator(".answer").inner_text()  # the slower preset still runs
        left.get_by_text("grade A+").wait_for(timeout=60_000)
        agents = [side.locator("td:first-child").all_inner_texts() for side in (left, right)]
        chosen = [side.locator("select").input_value() for side in (left, right)]
        violations = axe_violations(page)
        answers = [side.locator(".answer").inner_text().partition(":")[0] for side in (left, right)]

    assert [len(names) for names in agents] == [19, 19]
    assert set(agents[0]) == set(agents[1]) == set(unspoiled(SYSTEM, PRESETS["baseline"]).report)
    assert chosen == ["phase2", "optimized"]
    assert answers == ["buy 211 AAPL, buy 6404 MSFT"] * 2
    assert (violations, seen.complaints) == ([], [])
