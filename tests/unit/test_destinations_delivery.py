"""Delivering: every span has exactly one fate, in order, whatever the receiver says; and time does not matter."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from support.deliveries import ACCEPTED, AWAY, JumpingTime, Line, in_turn, payload, write
from support.segments import ended_segments

from spanwise.content.outlet import Outlet
from spanwise.destinations.delivery import Delivery
from spanwise.destinations.sources import StreamSource
from spanwise.destinations.transport import Reply
from spanwise.journal import cursor as cursors
from spanwise.journal import packing, purge
from spanwise.journal.cursor import CursorState
from spanwise.journal.format import END, START, Position

if TYPE_CHECKING:
    from pathlib import Path

STREAM = "20261121T080000-1-00000001"


def source(folder: Path, outlet: Outlet | None = None) -> StreamSource:
    held = cursors.open_cursor(folder, "otlp", STREAM)
    assert held is not None
    return StreamSource(folder, "otlp", held, outlet or Outlet())


def delivery(line: Line, time: JumpingTime | None = None, patience: float | None = None) -> Delivery:
    return Delivery(line, time or JumpingTime(), patience=patience, chance=random.Random(1))


def deliver_all(pending: StreamSource, line: Line, time: JumpingTime | None = None) -> CursorState:
    way = delivery(line, time)
    while batch := pending.batch():
        if not way.deliver(batch, pending):
            break
    pending.close()
    return pending.cursor.state


def counts(state: CursorState) -> dict[str, int]:
    return {name: getattr(state, name) for name in ("delivered", "set_aside", "filtered", "expired")}


def fates(delivered: int = 0, set_aside: int = 0, filtered: int = 0, expired: int = 0) -> dict[str, int]:
    return {"delivered": delivered, "set_aside": set_aside, "filtered": filtered, "expired": expired}


def names(begin: int, end: int) -> list[str]:
    return [str(number) for number in range(begin, end)]


def test_spans_of_many_records_travel_together_and_in_order(tmp_path: Path) -> None:
    write(tmp_path, STREAM, *([name] for name in names(0, 50))).close()
    line = Line()
    assert counts(deliver_all(source(tmp_path), line)) == fates(delivered=50)
    assert line.requests == [names(0, 50)]


def test_what_is_settled_is_not_sent_again(tmp_path: Path) -> None:
    writer = write(tmp_path, STREAM, names(0, 5))
    deliver_all(source(tmp_path), Line())
    writer.append(END, payload(names(5, 8)), 3)
    writer.close()
    line = Line()
    assert counts(deliver_all(source(tmp_path), line)) == fates(delivered=8)
    assert line.accepted == names(5, 8)


def test_no_span_is_settled_before_it_is_counted_as_journaled(tmp_path: Path) -> None:
    writer = write(tmp_path, STREAM)
    first = writer.append(END, payload(["a"]), 1)
    writer.append(END, payload(["b"]), 1)
    writer.close()
    held = cursors.open_cursor(tmp_path, "otlp", STREAM)
    assert held is not None
    counted = [Position(0, 0)]
    pending = StreamSource(tmp_path, "otlp", held, Outlet(), counted=lambda: counted[-1])
    assert pending.batch() == []
    counted.append(first)
    line = Line()
    way = delivery(line)
    assert way.deliver(pending.batch(), pending)
    assert (pending.batch(), line.accepted) == ([], ["a"])
    counted.append(writer.position)
    assert counts(deliver_all(pending, line)) == fates(delivered=2)


def test_spans_without_an_end_are_not_sent(tmp_path: Path) -> None:
    writer = write(tmp_path, STREAM)
    writer.append(START, payload(["begun"]), 1)
    writer.append(END, payload(["ended"]), 1)
    writer.close()
    line = Line()
    assert counts(deliver_all(source(tmp_path), line)) == fates(delivered=1)
    assert line.accepted == ["ended"]


def test_a_stream_is_followed_across_segments_whether_compressed_or_not(tmp_path: Path) -> None:
    writer = write(tmp_path, STREAM, *(names(n, n + 10) for n in range(0, 200, 10)), limit_bytes=4000)
    writer.close()
    closed = ended_segments(writer)
    assert len(closed) > 3
    for path in closed[:2]:
        packing.pack_segment(path)
    line = Line()
    assert counts(deliver_all(source(tmp_path), line)) == fates(delivered=200)
    assert line.accepted == names(0, 200)


def test_spans_of_deleted_segments_have_expired(tmp_path: Path) -> None:
    writer = write(tmp_path, STREAM, *(names(n, n + 10) for n in range(0, 100, 10)), limit_bytes=4000)
    writer.close()
    first, second, *_ = ended_segments(writer)
    lost = sum(path.read_bytes().count(b'"spanId"') for path in (first, second))
    first.unlink()
    second.unlink()
    line = Line()
    assert counts(deliver_all(source(tmp_path), line)) == fates(delivered=100 - lost, expired=lost)
    assert line.accepted == names(lost, 100)


def test_what_is_purged_while_a_stream_is_sent_is_not_sent_any_more(tmp_path: Path) -> None:
    write(tmp_path, STREAM, ["a"], ["b"], ["c"]).close()
    pending, line = source(tmp_path), Line()
    assert delivery(line).deliver(pending.batch(1), pending)
    assert purge.erase(tmp_path, lambda *_: True).spans == 3
    assert counts(deliver_all(pending, line)) == fates(delivered=1, expired=2)
    assert line.accepted == ["a"]


def test_a_receiver_that_is_away_is_asked_until_it_is_back(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 3)).close()
    line, time = Line(in_turn(*[AWAY] * 20)), JumpingTime()
    state = deliver_all(source(tmp_path), line, time)
    assert (counts(state), state.problem) == (fates(delivered=3), "")
    assert len(line.requests) == 21
    assert all(0 <= pause <= 30 for pause in time.rests)
    assert max(time.rests[10:]) > 10 > max(time.rests[:3])


def test_pauses_are_jittered_in_full() -> None:
    pauses: list[float] = []
    for seed in range(300):
        time = JumpingTime()
        way = Delivery(Line(), time, chance=random.Random(seed))
        way._wait(AWAY)
        pauses += time.rests
    assert min(pauses) < 0.02
    assert max(pauses) > 0.38
    assert 0.15 < sum(pauses) / len(pauses) < 0.25


def test_a_receiver_that_says_when_to_come_back_is_obeyed(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 3)).close()
    line, time = Line(in_turn(Reply("later", "busy", retry_after=7.0), Reply("later", "busy", 90.0))), JumpingTime()
    assert counts(deliver_all(source(tmp_path), line, time)) == fates(delivered=3)
    first, second = time.rests
    assert 7 <= first < 8
    assert 90 <= second < 91


def test_the_reason_of_an_outage_is_in_the_cursor(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 3)).close()
    deliver_all(source(tmp_path), Line(lambda _: Reply("later", "HTTP 401: the key is missing")), JumpingTime(5.0))
    state = cursors.read(tmp_path / "cursors" / "otlp" / f"{STREAM}.json")
    assert state == CursorState(problem="HTTP 401: the key is missing")


def test_with_patience_it_gives_up_without_losing_anything(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 3)).close()
    pending, time = source(tmp_path), JumpingTime()
    assert not delivery(Line(lambda _: AWAY), time, patience=60).deliver(pending.batch(), pending)
    assert 30 < time.seconds <= 60
    pending.rewind()
    assert counts(deliver_all(pending, Line())) == fates(delivered=3)


def refusing(*bad: str) -> Line:
    return Line(lambda sent: Reply("refused", "HTTP 400") if set(sent) & set(bad) else ACCEPTED)


def test_a_refused_request_is_split_until_only_the_spans_at_fault_are_set_aside(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 64)).close()
    line = refusing("17", "40")
    assert counts(deliver_all(source(tmp_path), line)) == fates(delivered=62, set_aside=2)
    assert line.accepted == [name for name in names(0, 64) if name not in {"17", "40"}]
    assert len(line.requests) < 30
    kept = [json.loads(text) for text in (tmp_path / "set-aside" / "otlp" / f"{STREAM}.jsonl").read_text().splitlines()]
    assert [one["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] for one in kept] == ["17", "40"]
    assert [(one["setAside"]["reason"], one["setAside"]["spans"]) for one in kept] == [("HTTP 400", 1)] * 2


def test_what_a_receiver_rejects_of_a_request_is_set_aside_by_number(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 10)).close()
    line = Line(in_turn(Reply("accepted", "too old", rejected=3)))
    assert counts(deliver_all(source(tmp_path), line)) == fates(delivered=7, set_aside=3)
    [kept] = (tmp_path / "set-aside" / "otlp" / f"{STREAM}.jsonl").read_text().splitlines()
    assert json.loads(kept)["setAside"]["spans"] == 3
    assert json.loads(kept)["resourceSpans"] == []


def test_a_receiver_that_rejects_more_than_it_got_does_not_break_the_sums(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 10)).close()
    line = Line(in_turn(Reply("accepted", rejected=11)))
    assert counts(deliver_all(source(tmp_path), line)) == fates(set_aside=10)


def test_filtered_spans_are_counted_and_not_sent(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 20)).close()
    line = Line()
    assert counts(deliver_all(source(tmp_path, Outlet(drop=["name=1*"])), line)) == fates(delivered=9, filtered=11)
    assert line.accepted == ["0", *names(2, 10)]


def test_where_all_is_filtered_nothing_is_sent(tmp_path: Path) -> None:
    write(tmp_path, STREAM, names(0, 20)).close()
    line = Line()
    assert counts(deliver_all(source(tmp_path, Outlet(drop=["name=*"])), line)) == fates(filtered=20)
    assert line.requests == []


def test_a_record_that_cannot_be_read_is_set_aside_with_its_count(tmp_path: Path) -> None:
    writer = write(tmp_path, STREAM, ["a"])
    writer.append(END, b"{}", 4)
    writer.append(END, payload(["b"]), 1)
    writer.close()
    line = Line()
    assert counts(deliver_all(source(tmp_path), line)) == fates(delivered=2, set_aside=4)
    assert line.accepted == ["a", "b"]


@pytest.mark.parametrize("seed", range(4))
def test_however_often_it_is_broken_off_each_span_has_one_fate(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    bad = {str(chance.randrange(100)) for _ in range(3)}
    write(tmp_path, STREAM, *(names(n, n + 20) for n in range(0, 100, 20)), limit_bytes=4000).close()

    def reply(sent: list[str]) -> Reply:
        if chance.random() < 0.4:
            return AWAY
        return Reply("refused", "HTTP 413") if set(sent) & bad else ACCEPTED

    line, state = Line(reply), CursorState()
    while state.settled < 100:
        state = deliver_all(source(tmp_path), line, JumpingTime(until=0.2))
    assert counts(state) == fates(delivered=100 - len(bad), set_aside=len(bad))
    assert line.accepted == [name for name in names(0, 100) if name not in bad]


def test_a_day_of_outage_ends_with_everything_delivered(tmp_path: Path) -> None:
    day = 24 * 3600.0
    writer = write(tmp_path, STREAM)
    time = JumpingTime()
    line = Line(lambda _: AWAY if time.seconds < day else ACCEPTED)
    for hour in range(24):
        writer.append(END, payload(names(hour * 4, hour * 4 + 4)), 4)
    writer.close()
    assert counts(deliver_all(source(tmp_path), line, time)) == fates(delivered=96)
    assert line.accepted == names(0, 96)
    tries = len(line.requests)
    assert day / 30 < tries < day / 10  # neither a storm, nor a receiver that is back and not noticed
    assert day <= time.seconds < day + 30
