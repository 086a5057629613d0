"""Failures that may be a span's or the receiver's: one that always fails holds nothing up, an outage costs nothing."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from support.deliveries import ACCEPTED, JumpingTime, Line, payload, write

from spanwise.content.outlet import Outlet
from spanwise.destinations import draining
from spanwise.destinations.delivery import Delivery
from spanwise.destinations.draining import Sent
from spanwise.destinations.sources import StreamSource
from spanwise.destinations.transport import Reply
from spanwise.journal import cursor as cursors
from spanwise.journal.format import END

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STREAM = "20261121T080000-1-00000001"
FAILED = Reply("doubtful", "HTTP 500: Internal Server Error")
SILENT = Reply("doubtful", "no answer in time")


def names(begin: int, end: int) -> list[str]:
    return [str(number) for number in range(begin, end)]


def source(folder: Path, stream: str = STREAM) -> StreamSource:
    held = cursors.open_cursor(folder, "otlp", stream)
    assert held is not None
    return StreamSource(folder, "otlp", held, Outlet())


def delivery(line: Line, time: JumpingTime | None = None, seed: int = 1, patience: float | None = None) -> Delivery:
    return Delivery(line, time or JumpingTime(), patience=patience, chance=random.Random(seed))


def delivered(folder: Path, way: Delivery) -> tuple[int, int]:
    """Deliver until nothing is pending; returns how many were taken and set aside."""
    pending = source(folder)
    for _ in range(10_000):
        if not (batch := pending.batch()):
            break
        assert way.deliver(batch, pending)
    pending.close()
    state = pending.cursor.state
    assert (state.problem, state.filtered, state.expired) == ("", 0, 0)
    return state.delivered, state.set_aside


def failing(*bad: str, reply: Reply = FAILED) -> Line:
    return Line(lambda sent: reply if set(sent) & set(bad) else ACCEPTED)


@pytest.mark.parametrize("reply", [FAILED, SILENT], ids=["500", "silence"])
@pytest.mark.parametrize("bad", [("0",), ("500",), ("1950",), ("0", "1", "2", "1000", "1950")])
def test_spans_that_always_fail_are_set_aside_and_the_others_delivered_once(
    tmp_path: Path, bad: tuple[str, ...], reply: Reply
) -> None:
    write(tmp_path, STREAM, names(0, 2000)).close()
    line, time = failing(*bad, reply=reply), JumpingTime()
    assert delivered(tmp_path, delivery(line, time)) == (2000 - len(bad), len(bad))
    assert sorted(line.accepted, key=int) == [name for name in names(0, 2000) if name not in bad]
    assert len(line.requests) < 120 * len(bad)
    assert time.seconds < 100 * len(bad)
    kept = [json.loads(text) for text in (tmp_path / "set-aside" / "otlp" / f"{STREAM}.jsonl").read_text().splitlines()]
    assert [one["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] for one in kept] == list(bad)
    assert {one["setAside"]["reason"] for one in kept} == {reply.reason}


@pytest.mark.parametrize("spans", [1, 2000])
def test_a_receiver_that_fails_for_hours_costs_no_span_and_gets_no_storm(tmp_path: Path, spans: int) -> None:
    hours = 4 * 3600.0
    write(tmp_path, STREAM, names(0, spans)).close()
    time = JumpingTime()
    line = Line(lambda _: FAILED if time.seconds < hours else ACCEPTED)
    assert delivered(tmp_path, delivery(line, time)) == (spans, 0)
    assert sorted(line.accepted, key=int) == names(0, spans)
    assert hours / 30 < len(line.requests) < hours / 10
    assert hours <= time.seconds < hours + 60


def at_random(share: float, seed: int) -> Callable[[list[str]], Reply]:
    chance = random.Random(seed)
    return lambda _: FAILED if chance.random() < share else ACCEPTED


def one_of_two(after: int) -> Callable[[list[str]], Reply]:
    """Fail for the first requests, then for each second one, as where a balancer asks two receivers by turns."""
    tries = iter(range(10**9))
    return lambda _: FAILED if (number := next(tries)) < after or number % 2 else ACCEPTED


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_receiver_that_fails_now_and_then_costs_no_span(tmp_path: Path, share: float, seed: int) -> None:
    write(tmp_path, STREAM, names(0, 40)).close()
    line = Line(at_random(share, seed))
    assert delivered(tmp_path, delivery(line, seed=seed)) == (40, 0)
    assert sorted(line.accepted, key=int) == names(0, 40)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("after", range(10, 14))
def test_of_two_receivers_behind_one_address_one_may_fail(tmp_path: Path, after: int, seed: int) -> None:
    write(tmp_path, STREAM, names(0, 40)).close()
    assert delivered(tmp_path, delivery(Line(one_of_two(after)), seed=seed)) == (40, 0)


def test_a_receiver_that_says_500_and_when_to_come_back_is_obeyed(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 2)).close()
    replies, time = [Reply("doubtful", "HTTP 500", 60.0)], JumpingTime()
    assert delivered(tmp_path, delivery(Line(lambda _: replies.pop() if replies else ACCEPTED), time)) == (2, 0)
    assert 60 <= time.seconds < 61


def test_a_receiver_that_is_slow_gets_smaller_requests_and_larger_ones_again_when_it_is_not(tmp_path: Path) -> None:
    is_slow = [True]
    line = Line(lambda sent: SILENT if is_slow and len(sent) > 300 else ACCEPTED)
    way, writer = delivery(line), write(tmp_path, STREAM)
    for begin in range(0, 8 * 2048, 2048):
        writer.append(END, payload(names(begin, begin + 2048)), 2048)
    assert delivered(tmp_path, way) == (8 * 2048, 0)
    assert sorted(line.accepted, key=int) == names(0, 8 * 2048)
    too_large = [len(sent) for sent in line.requests if len(sent) > 300]
    assert too_large[:3] == [2048, 1024, 512]
    assert len(too_large) <= 3 + len(line.requests) / 16
    is_slow.clear()
    for _ in range(16):
        writer.append(END, payload(names(0, 2048)), 2048)
    writer.close()
    assert delivered(tmp_path, way) == (24 * 2048, 0)
    assert len(line.requests[-2]) == 2048


def test_a_span_that_fails_alone_waits_for_others_that_show_whose_fault_it_is(tmp_path: Path) -> None:
    writer = write(tmp_path, STREAM, ["bad"])
    line, time = failing("bad"), JumpingTime()
    way, pending = delivery(line, time), source(tmp_path)
    while time.seconds < 1000:
        assert way.deliver(pending.batch(), pending)
    assert (pending.cursor.state.settled, pending.cursor.state.problem) == (0, FAILED.reason)
    assert len(line.requests) < 200
    writer.append(END, payload(names(0, 5)), 5)
    for _ in range(40):
        batch = pending.batch()
        assert way.deliver(batch, pending)
    assert (pending.cursor.state.settled, sorted(line.accepted)) == (0, names(0, 5))  # five are no proof
    writer.append(END, payload(names(5, 20)), 15)
    writer.close()
    pending.close()
    assert delivered(tmp_path, way) == (20, 1)
    assert sorted(line.accepted, key=int) == names(0, 20)


def test_what_is_rejected_ahead_of_its_turn_is_set_aside_in_its_turn(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 30)).close()

    def reply(sent: list[str]) -> Reply:
        if "0" in sent:
            return FAILED
        return Reply("accepted", "too old", rejected=1) if "7" in sent else ACCEPTED

    assert delivered(tmp_path, delivery(Line(reply))) == (28, 2)


def test_one_stream_in_which_a_span_fails_does_not_hold_up_an_export_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, "a", ["bad"]).close()
    write(tmp_path, "b", names(0, 30)).close()
    write(tmp_path, "c", names(30, 60)).close()
    line, sent = failing("bad"), Sent()
    draining.drain(tmp_path, "otlp", delivery(line, patience=60), Outlet(), sent)
    assert sorted(line.accepted, key=int) == names(0, 60)
    assert (sent.delivered, sent.set_aside, sent.failure) == (60, 0, FAILED.reason)
    write(tmp_path, "d", names(60, 100)).close()
    again = Sent()
    draining.drain(tmp_path, "otlp", delivery(line, patience=60), Outlet(), again)
    assert (again.delivered, again.set_aside, again.failure) == (40, 0, FAILED.reason)


def test_chosen_spans_are_sent_together_so_that_one_that_fails_is_told_from_the_others(tmp_path: Path) -> None:
    del tmp_path
    line, sent = failing("3"), Sent()
    draining.send([payload([name]) for name in names(0, 40)], delivery(line, patience=60), Outlet(), sent)
    assert (sent.delivered, sent.set_aside, dict(sent.reasons), sent.failure) == (39, 1, {FAILED.reason: 1}, "")
    lone = Sent()
    draining.send([payload(["3"])], delivery(line, patience=60), Outlet(), lone)
    assert (lone.settled, lone.failure) == (0, FAILED.reason)


@pytest.mark.parametrize("seed", range(4))
def test_however_often_it_is_broken_off_each_span_has_one_fate(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    bad = {str(chance.randrange(100)) for _ in range(3)}
    write(tmp_path, STREAM, *(names(n, n + 20) for n in range(0, 140, 20)), limit_bytes=4000).close()

    def reply(sent: list[str]) -> Reply:
        return FAILED if chance.random() < 0.1 or set(sent) & bad else ACCEPTED

    line, pending = Line(reply), source(tmp_path)
    for _ in range(1000):
        pending.close()
        pending = source(tmp_path)
        way = delivery(line, JumpingTime(until=chance.uniform(0, 30)), seed=chance.randrange(10**6))
        while (batch := pending.batch()) and way.deliver(batch, pending):
            pass
        pending.close()
        if pending.cursor.state.settled == 140:
            break
    assert (pending.cursor.state.settled, pending.cursor.state.set_aside) == (140, len(bad))
    assert set(line.accepted) == set(names(0, 140)) - bad
