"""The ledger of a folder: what processes that live and that are gone have counted, in equations that always hold."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.segments import payload_of
from support.traces import tool

from spanwise.journal import cursor, ledger, scan
from spanwise.journal.format import END, START
from spanwise.journal.ledger import Counts, Ledger
from spanwise.journal.stream import Stream

if TYPE_CHECKING:
    from pathlib import Path


def holds(counts: Counts) -> bool:
    parts = (counts.open, counts.buffered, counts.journaled, *counts.dropped.values())
    fates = [number for one in counts.destinations.values() for number in one.values()]
    return (
        counts.started == sum(parts)
        and min(parts, default=0) >= 0
        and min(fates, default=0) >= 0
        and all(sum(one.values()) == counts.journaled for one in counts.destinations.values())
    )


def write(stream: Stream, number: int, *, first: int = 1) -> None:
    """Start, end and write spans."""
    for _ in range(number):
        stream.ledger.start()
        stream.ledger.take(1)
    stream.append(END, payload_of(*(tool(first + one, 0, 1) for one in range(number))), number)


def kill(stream: Stream) -> None:
    """Leave a stream as a killed process does."""
    stream.abandon()


def test_a_process_that_lives_has_its_open_and_waiting_spans(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    write(stream, 3)
    for _ in range(4):
        stream.ledger.start()
    stream.ledger.take(1)
    stream.ledger.publish()
    found = ledger.processes(tmp_path)
    assert found == {stream.name: Counts(started=7, open=3, buffered=1, journaled=3)}
    assert ledger.read(tmp_path) == found[stream.name] == stream.ledger.counts()
    kill(stream)


def test_a_process_that_was_killed_has_lost_what_was_open_or_waited(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    write(stream, 3)
    for _ in range(4):
        stream.ledger.start()
    stream.ledger.take(1)
    stream.ledger.drop("sampled", 1)
    kill(stream)
    assert ledger.read(tmp_path) == Counts(started=7, journaled=3, dropped={"sampled": 1, "crash": 3})


def test_spans_that_were_written_and_not_counted_before_the_kill_are_counted_from_the_records(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    write(stream, 2)
    for _ in range(5):
        stream.ledger.start()
    stream.segments.append(START, payload_of(tool(9, 0, 1)), 1)
    stream.segments.append(END, payload_of(tool(3, 0, 1), tool(4, 0, 1)), 2)
    stream.segments.rotate()
    stream.segments.append(END, payload_of(tool(5, 0, 1)), 1)
    with stream.segments.path.open("ab") as file:
        file.write(b"\xf5swj half a record")
    kill(stream)
    assert ledger.read(tmp_path) == Counts(started=7, journaled=5, dropped={"crash": 2})


def test_segments_that_were_deleted_stay_counted(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    write(stream, 2)
    stream.segments.rotate()
    write(stream, 3, first=3)
    kill(stream)
    scan.streams(tmp_path)[0].segments[0].unlink()
    assert ledger.read(tmp_path) == Counts(started=5, journaled=5)


def test_a_stream_without_a_span_leaves_nothing_and_one_with_a_span_is_closed_with_its_account(tmp_path: Path) -> None:
    with Stream(tmp_path / "unused"):
        pass
    with Stream(tmp_path / "none") as opened:
        opened.open()
    with Stream(tmp_path / "one") as used:
        write(used, 1)
        used.ledger.start()
    assert not (tmp_path / "unused").exists()
    assert list((tmp_path / "none").glob("*.counts")) == []
    assert ledger.read(tmp_path / "one") == used.ledger.counts() == Counts(2, journaled=1, dropped={"crash": 1})


def test_a_folder_that_somebody_removed_is_made_anew_and_the_account_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    stream = Stream(folder)
    write(stream, 1)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    write(stream, 2, first=2)
    assert ledger.read(folder) == Counts(started=3, journaled=3)
    kill(stream)
    assert ledger.read(folder) == Counts(started=3, journaled=3)


def test_spans_from_elsewhere_are_counted_as_started_here(tmp_path: Path) -> None:
    with Stream(tmp_path) as stream:
        stream.add(payload_of(tool(1, 0, 1), tool(2, 0, 1)), 2)
    assert ledger.read(tmp_path) == Counts(started=2, journaled=2)


def test_destinations_have_what_their_cursors_say_and_nothing_is_meant_for_them_without_one(tmp_path: Path) -> None:
    with Stream(tmp_path) as meant, Stream(tmp_path) as older:
        write(meant, 5)
        write(older, 2)
        held = cursor.open_cursor(tmp_path, "otlp", meant.name)
        assert held is not None
        held.save(delivered=2, set_aside=1, expired=1)
        held.close()
    total = ledger.read(tmp_path)
    assert total.destinations == {"otlp": {"delivered": 2, "pending": 1, "set_aside": 1, "filtered": 2, "expired": 1}}
    assert holds(total)


def test_what_could_not_be_read_of_a_stream_that_is_done_is_expired_for_its_destination(tmp_path: Path) -> None:
    with Stream(tmp_path) as stream:
        write(stream, 5)
        held = cursor.open_cursor(tmp_path, "otlp", stream.name)
        assert held is not None
        held.save(delivered=3, done=True)
        held.close()
    assert ledger.read(tmp_path).destinations["otlp"] == {
        "delivered": 3, "pending": 0, "set_aside": 0, "filtered": 0, "expired": 2,
    }  # fmt: skip


def test_ledgers_of_an_earlier_version_are_added_and_what_cannot_be_read_counts_nothing(tmp_path: Path) -> None:
    old = Counts(
        started=5, open=1, journaled=3, dropped={"disk_full": 1},
        destinations={"otlp": {"delivered": 1, "pending": 2, "set_aside": 0, "filtered": 0, "expired": 0}},
    )  # fmt: skip
    (tmp_path / "a.ledger.json").write_bytes(msgspec.json.encode(asdict(old)))
    (tmp_path / "b.ledger.json").write_text("{")
    (tmp_path / "c.counts").write_bytes(b"")
    with Stream(tmp_path) as stream:
        write(stream, 2)
    total = ledger.read(tmp_path)
    assert total == Counts(
        started=7, open=1, journaled=5, dropped={"disk_full": 1},
        destinations={"otlp": {"delivered": 1, "pending": 2, "set_aside": 0, "filtered": 2, "expired": 0}},
    )  # fmt: skip
    assert holds(total)


def test_a_process_counts_the_fates_at_its_destinations(tmp_path: Path) -> None:
    own = Ledger(("otlp", "langsmith"))
    for _ in range(5):
        own.start()
        own.take(1)
    own.journal(5)
    own.deliver("otlp", 2)
    own.set_aside("otlp", 1)
    own.filter("langsmith", 1)
    own.expire("langsmith", 1)
    assert own.counts().destinations == {
        "otlp": {"delivered": 2, "pending": 2, "set_aside": 1, "filtered": 0, "expired": 0},
        "langsmith": {"delivered": 0, "pending": 3, "set_aside": 0, "filtered": 1, "expired": 1},
    }
    assert holds(own.counts())


@pytest.mark.slow
def test_the_equations_hold_at_every_reading_while_spans_are_recorded(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    write(stream, 1)
    stop = threading.Event()

    def record() -> None:
        first = 2
        while not stop.is_set():
            write(stream, 3, first=first)
            stream.ledger.start()
            stream.ledger.start()
            stream.ledger.take(1)
            stream.ledger.drop("invalid", 1)
            first += 3

    thread = threading.Thread(target=record)
    thread.start()
    try:
        readings = [(ledger.read(tmp_path), stream.ledger.counts()) for _ in range(300)]
    finally:
        stop.set()
        thread.join()
    kill(stream)
    assert [pair for pair in readings if not all(map(holds, pair))] == []
    assert readings[-1][0].started > readings[0][0].started
    assert holds(ledger.read(tmp_path))
