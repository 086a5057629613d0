"""A folder within its bounds: what goes, what stays, and that the ledger's sums hold whatever goes."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING

import pytest
from support.segments import OTHER_STREAM, STREAM, ended_segments, write_segments
from support.traces import record, span

from spanwise.errors import InputError
from spanwise.journal import bounds, cursor, ledger, packing, past
from spanwise.journal.format import END, HEADER, pack
from spanwise.journal.ledger import Counts
from spanwise.journal.reader import read
from spanwise.journal.segment import path_of
from spanwise.journal.stream import Stream
from spanwise_cli.commands.ledger import verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spanwise.journal.bounds import Kept

NOW = float(int(time.time()))
DAY = 86_400.0


def kept(folder: Path, *, max_bytes: int = bounds.MAX_BYTES) -> Kept:
    return bounds.keep(folder, now=NOW, max_bytes=max_bytes)


def aged(paths: Sequence[Path], *days: float) -> None:
    for path, age in zip(paths, days, strict=True):
        os.utime(path, (NOW - age * DAY, NOW - age * DAY))


def recorded(folder: Path, *segments: int, alive: bool = False) -> tuple[Stream, list[Path]]:
    """Record segments of so many spans each, as a process does that is gone afterwards or still lives."""
    stream = Stream(folder)
    for number in segments:
        stream.add(b'{"resourceSpans":[]}', number)
        stream.segments.rotate()
    if not alive:
        stream.close()
    return stream, ended_segments(stream.segments)


def balanced(counts: Counts) -> bool:
    journaled = all(sum(fates.values()) == counts.journaled for fates in counts.destinations.values())
    return journaled and counts.started == counts.open + counts.buffered + counts.journaled + sum(
        counts.dropped.values()
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name.removeprefix(f"{STREAM}-") for path in folder.iterdir() if "lock" not in path.name)


def test_closed_segments_are_compressed_and_the_one_being_written_is_not(tmp_path: Path) -> None:
    with Stream(tmp_path) as living:
        living.add(b"{}", 1)
        living.segments.rotate()
        living.add(b"{}", 1)
        write_segments(tmp_path, [[span(1)]], [[span(2)]])
        assert bounds.keep(tmp_path, now=NOW).packed == 3
        assert bounds.keep(tmp_path, now=NOW).packed == 0
        assert [path.suffix for path in sorted(tmp_path.glob(f"{living.name}-*"))] == [".zst", ".seg"]
        assert [path.suffix for path in sorted(tmp_path.glob(f"{STREAM}-*"))] == [".zst", ".zst"]


def test_compressing_leaves_the_age_and_waits_for_what_is_more_urgent(tmp_path: Path) -> None:
    paths = write_segments(tmp_path, [[span(1)]], [[span(2)]])
    aged(paths, 3, 2)
    turns = iter([False, True])
    assert bounds.keep(tmp_path, now=NOW, is_busy=lambda: next(turns)).packed == 1
    assert names(tmp_path) == ["000001.seg.zst", "000002.seg"]
    assert (tmp_path / f"{STREAM}-000001.seg.zst").stat().st_mtime == NOW - 3 * DAY


def test_what_a_killed_packer_left_is_removed(tmp_path: Path) -> None:
    write_segments(tmp_path, [[span(1)]], packed=True)
    (tmp_path / f"{STREAM}-000002.seg.zst.77.tmp").write_bytes(b"half")
    kept(tmp_path)
    assert names(tmp_path) == ["000001.seg.zst"]


def test_what_is_older_than_the_longest_age_goes(tmp_path: Path) -> None:
    paths = write_segments(tmp_path, [[span(1)]], [[span(2)]], [[span(3)]], packed=True)
    aged(paths, 20, 14.1, 13.9)
    assert kept(tmp_path).deleted == paths[:2]
    assert list(read(tmp_path)) == [span(3)]


def test_what_is_too_much_goes_the_oldest_first_of_whichever_stream(tmp_path: Path) -> None:
    mine = write_segments(tmp_path, [[span(1)]], [[span(3)]], packed=True)
    others = write_segments(tmp_path, [[span(2)]], [[span(4)]], stream=OTHER_STREAM, packed=True)
    lines = record(tmp_path, span(5))
    aged([*mine, *others, lines], 5, 3, 4, 2, 6)
    sizes = [path.stat().st_size for path in (mine[1], others[1])]
    assert kept(tmp_path, max_bytes=sum(sizes)).deleted == [lines, mine[0], others[0]]
    assert sorted(one.span_id for one in read(tmp_path)) == [span(3).span_id, span(4).span_id]


def test_the_segment_that_a_living_process_writes_to_stays(tmp_path: Path) -> None:
    with Stream(tmp_path) as living:
        living.add(b"{}", 1)
        living.segments.rotate()
        living.add(b"{}", 1)
        first, last = (path_of(tmp_path, living.name, number) for number in (1, 2))
        aged([first, last], 30, 30)
        assert [path.name for path in kept(tmp_path, max_bytes=0).deleted] == [f"{first.name}.zst"]
        assert (last.exists(), balanced(ledger.read(tmp_path))) == (True, True)


def test_a_stream_of_which_nothing_is_left_stays_in_the_ledger(tmp_path: Path) -> None:
    stream, _ = recorded(tmp_path, 3, 4)
    stream.ledger.drop("sampled", 0)
    one = cursor.open_cursor(tmp_path, "otlp", stream.name)
    assert one is not None
    one.save(delivered=2, set_aside=1, sequence=2)
    one.close()
    before = ledger.read(tmp_path)
    assert before.destinations["otlp"] == {"delivered": 2, "set_aside": 1, "filtered": 0, "expired": 0, "pending": 4}
    assert len(kept(tmp_path, max_bytes=0).deleted) == 2
    after = ledger.read(tmp_path)
    assert after.destinations["otlp"] == {"delivered": 2, "set_aside": 1, "filtered": 0, "expired": 4, "pending": 0}
    assert (after.started, after.journaled, balanced(after)) == (before.started, before.journaled, True)
    assert (ledger.processes(tmp_path), cursor.read_all(tmp_path)) == ({}, {})
    assert [path.name for path in tmp_path.glob("*.*") if path.name.startswith("past")] == ["past.json"]


def test_what_was_deleted_before_a_destination_took_it_has_expired_at_once(tmp_path: Path) -> None:
    stream, (first, *_) = recorded(tmp_path, 3, 4, 5)
    one = cursor.open_cursor(tmp_path, "otlp", stream.name)
    assert one is not None
    one.save(delivered=2, sequence=1, offset=100)
    first.unlink()
    expected = {"delivered": 2, "set_aside": 0, "filtered": 0, "expired": 1, "pending": 9}
    assert ledger.read(tmp_path).destinations["otlp"] == expected
    one.close()
    sentences = list(verdict(ledger.read(tmp_path), {}, tmp_path))
    assert "1 span had been deleted before otlp took them (journal_size, journal_age)." in sentences
    assert not any(sentence.startswith("Nothing was lost") for sentence in sentences)


def test_the_last_segment_of_a_stream_goes_last_since_its_counters_may_lag_behind(tmp_path: Path) -> None:
    stream, (first, second) = recorded(tmp_path, 3, 4)
    aged([first, second], 1, 20)
    assert kept(tmp_path).deleted == []
    with past.housekeeping(tmp_path):
        deleting = bounds.Deleting(tmp_path)
        packed = [path.with_name(f"{path.name}.zst") for path in (first, second)]
        assert [deleting.delete(path) for path in (packed[1], packed[0], packed[1])] == [False, True, True]
    assert (ledger.read(tmp_path).journaled, stream.is_open) == (7, False)


def test_what_was_written_after_the_last_count_is_found_where_earlier_segments_are_gone(tmp_path: Path) -> None:
    stream, (first, *_) = recorded(tmp_path, 3)
    path_of(tmp_path, stream.name, 2).write_bytes(pack(HEADER, b'{"format":1,"spans_before":3}') + pack(END, b"{}", 4))
    first.unlink()
    assert ledger.read(tmp_path).journaled == 7


def test_earlier_versions_ledgers_are_remembered_too(tmp_path: Path) -> None:
    record(tmp_path, span(1))
    (tmp_path / "a.ledger.json").write_text('{"started":2,"journaled":1,"dropped":{"invalid":1},"destinations":{}}')
    before = ledger.read(tmp_path)
    kept(tmp_path, max_bytes=0)
    assert names(tmp_path) == ["past.json"]
    assert ledger.read(tmp_path) == before == Counts(started=2, journaled=1, dropped={"invalid": 1})


def test_streams_that_never_had_a_segment_are_remembered_when_they_are_old(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    stream.open()
    stream.ledger.start()
    stream.close()
    (counts,) = tmp_path.glob("*.counts")
    aged([counts], 15)
    kept(tmp_path)
    assert (counts.exists(), ledger.read(tmp_path)) == (False, Counts(started=1, dropped={"crash": 1}))


def test_what_somebody_is_sending_keeps_its_last_segment(tmp_path: Path) -> None:
    stream, _ = recorded(tmp_path, 3, 4)
    one = cursor.open_cursor(tmp_path, "otlp", stream.name)
    assert one is not None
    assert len(kept(tmp_path, max_bytes=0).deleted) == 1
    one.close()
    assert len(kept(tmp_path, max_bytes=0).deleted) == 1
    assert balanced(ledger.read(tmp_path))


def test_a_stream_whose_files_are_still_there_after_it_was_remembered_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash in between; the next round ends what was begun."""
    recorded(tmp_path, 3)
    with monkeypatch.context() as patch, past.housekeeping(tmp_path):
        patch.setattr(type(tmp_path), "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError()))
        (name,) = ledger.processes(tmp_path)
        with pytest.raises(PermissionError):
            past.fold(tmp_path, name)
    assert list(tmp_path.glob("*.counts")) != []
    assert ledger.read(tmp_path).journaled == 3
    kept(tmp_path, max_bytes=0)
    assert (list(tmp_path.glob("*.counts")), ledger.read(tmp_path).journaled) == ([], 3)


def test_a_full_disk_is_given_room_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As little as the remembered counts takes no room before the last segment is gone."""
    _, (segment,) = recorded(tmp_path, 3)
    really = past._write

    def write(folder: Path, what: past.Past) -> None:
        if segment.exists():
            raise OSError(errno.ENOSPC, "full")
        really(folder, what)

    def compress(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(past, "_write", write)
        patch.setattr(packing, "compress", compress)
        with pytest.raises(OSError, match="full"):
            kept(tmp_path, max_bytes=0)
    assert names(tmp_path) == ["past.json"]
    assert ledger.read(tmp_path) == Counts(started=3, journaled=3)


def test_everything_is_private(tmp_path: Path) -> None:
    recorded(tmp_path, 3)
    kept(tmp_path, max_bytes=0)
    recorded(tmp_path, 3)
    kept(tmp_path)
    modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys((".json", ".lock", ".counts", ".zst"), 0o600)


def test_one_process_at_a_time_does_it(tmp_path: Path) -> None:
    paths = write_segments(tmp_path, [[span(1)]])
    with past.housekeeping(tmp_path) as mine:
        assert mine
        assert kept(tmp_path, max_bytes=0) == bounds.Kept()
    assert kept(tmp_path, max_bytes=0).deleted[0].stem == paths[0].name


def test_a_past_that_is_damaged_or_newer_is_an_error_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "past.json"
    for content, message in (("{", "not what it should be"), ('{"format":2}', "written by a newer spanwise")):
        path.write_text(content)
        with pytest.raises(InputError, match=rf"past\.json: {message}"):
            ledger.read(tmp_path)
