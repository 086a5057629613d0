"""Reading a folder of streams, whole and while it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.segments import (
    OTHER_STREAM,
    STREAM,
    begin,
    end,
    ended_segments,
    living,
    payload_of,
    withdraw,
    write_segments,
)
from support.traces import agent, record, span, workflow

from spanwise.errors import InputError
from spanwise.journal import follow as streams
from spanwise.journal import packing, scan
from spanwise.journal.follow import Follower
from spanwise.journal.format import END, HEADER, Position, pack
from spanwise.journal.reader import ReadReport, SpanRecord, follow, is_segment, read, read_file
from spanwise.journal.segment import SegmentWriter, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[SegmentWriter]:
    writer = SegmentWriter(tmp_path, STREAM)
    yield writer
    writer.close()


def seen(spans: Iterator[SpanRecord] | list[SpanRecord]) -> list[tuple[str, str]]:
    return [(one.name, one.state) for one in spans]


def taken(folder: Path, position: Position) -> tuple[list[bytes], Position]:
    found = list(streams.records(folder, STREAM, position))
    payloads = [one.payload for _, _, one in found if one.kind != HEADER]
    return payloads, found[-1][0] if found else position


def test_a_folder_is_read_with_lines_of_earlier_versions_and_segments_of_every_stream(tmp_path: Path) -> None:
    record(tmp_path, span(1))
    write_segments(tmp_path, [[span(2)], [span(3)]], [[span(4)]], packed=True)
    write_segments(tmp_path, [[span(5)]], stream=OTHER_STREAM)
    (tmp_path / f"{STREAM}.counts").write_bytes(b"\0" * 4096)
    report = ReadReport()
    assert list(read(tmp_path, report)) == [span(n) for n in range(1, 6)]
    assert report == ReadReport(files=4, spans=5)


def test_a_single_segment_is_a_file_that_can_be_read(tmp_path: Path) -> None:
    first, second = write_segments(tmp_path, [[span(1)]], [[span(2)]])
    assert [list(read_file(path)) for path in (first, second)] == [[span(1)], [span(2)]]
    assert list(read_file(packing.pack_segment(first))) == [span(1)]
    with pytest.raises(InputError, match="no such file; give the path of a segment of a journal"):
        list(read_file(path_of(tmp_path, STREAM, 3)))


def test_a_segment_that_was_renamed_is_known_by_how_it_begins(tmp_path: Path) -> None:
    (path,) = write_segments(tmp_path, [[span(1)]])
    plain = path.rename(tmp_path / "sent by a colleague")
    assert (is_segment(plain), list(read_file(plain))) == (True, [span(1)])
    packed = packing.pack_segment(plain).rename(tmp_path / "another")
    assert (is_segment(packed), list(read_file(packed))) == (True, [span(1)])
    lines = record(tmp_path, span(2))
    assert (is_segment(lines), list(read_file(lines))) == (False, [span(2)])
    with pytest.raises(InputError, match="no such file"):
        is_segment(tmp_path / "missing")


def test_a_span_without_an_end_is_open_while_its_process_lives_and_interrupted_after(
    tmp_path: Path, writer: SegmentWriter
) -> None:
    begin(writer, workflow(1, 0, 9), agent(2, 1, 9, parent=1))
    end(writer, agent(2, 1, 3, parent=1))
    writer.rotate()
    with living(tmp_path):
        assert seen(read(tmp_path)) == [("invoke_agent risk", "ended"), ("invoke_workflow trading", "open")]
        assert seen(read_file(path_of(tmp_path, STREAM, 1)))[1] == ("invoke_workflow trading", "open")
    found = list(read(tmp_path))
    assert seen(found) == [("invoke_agent risk", "ended"), ("invoke_workflow trading", "interrupted")]
    assert (found[1].is_open, found[1].end_ns, found[1].duration_ns) == (True, 0, 0)
    assert seen(read_file(path_of(tmp_path, STREAM, 1))) == seen(found)


def test_a_span_that_ended_in_a_later_segment_is_not_open(tmp_path: Path, writer: SegmentWriter) -> None:
    begin(writer, workflow(1, 0, 9))
    writer.rotate()
    end(writer, workflow(1, 0, 9))
    assert list(read(tmp_path)) == [workflow(1, 0, 9)]


def test_a_torn_end_is_being_written_or_was_cut_off(tmp_path: Path) -> None:
    (path,) = write_segments(tmp_path, [[span(1)], [span(2)]])
    path.write_bytes(path.read_bytes()[:-10])
    with living(tmp_path):
        report = ReadReport()
        assert list(read(tmp_path, report)) == [span(1)]
        assert report == ReadReport(files=1, spans=1, incomplete=1)
    report = ReadReport()
    assert list(read(tmp_path, report)) == [span(1)]
    (torn,) = report.skipped
    assert str(torn).startswith(f"{path}: ")
    assert str(torn).endswith(" skipped: cut off in the middle of a record")
    assert (report.files, report.spans, report.incomplete) == (1, 1, 0)


def test_a_record_whose_content_is_no_request_is_skipped_with_its_place(tmp_path: Path, writer: SegmentWriter) -> None:
    place = writer.append(END, payload_of(span(1)), 1)
    writer.append(END, b'{"resourceMetrics":[]}', 1)
    end(writer, span(2))
    report = ReadReport()
    assert list(read(tmp_path, report)) == [span(1), span(2)]
    assert [str(one) for one in report.skipped] == [
        f"{writer.path}:{place.offset}: skipped: Object missing required field `resourceSpans`"
    ]


def test_records_of_a_later_version_are_counted_and_a_newer_format_is_refused(
    tmp_path: Path, writer: SegmentWriter
) -> None:
    writer.append(77, b"?")
    report = ReadReport()
    assert (list(read(tmp_path, report)), report.unknown) == ([], 1)
    newer = path_of(tmp_path, OTHER_STREAM, 1)
    newer.write_bytes(pack(HEADER, b'{"format":2}'))
    with pytest.raises(InputError, match=r"-000001\.seg: written in format 2"):
        list(read(tmp_path))


def test_a_position_holds_through_rotation_and_packing(tmp_path: Path, writer: SegmentWriter) -> None:
    end(writer, span(1))
    payloads, position = taken(tmp_path, Position())
    assert payloads == [payload_of(span(1))]
    end(writer, span(2))
    writer.rotate()
    end(writer, span(3))
    for path in ended_segments(writer):
        packing.pack_segment(path)
    payloads, position = taken(tmp_path, position)
    assert payloads == [payload_of(span(2)), payload_of(span(3))]
    assert position == writer.position
    assert taken(tmp_path, position) == ([], position)


def test_where_segments_were_deleted_reading_goes_on_at_the_next_that_is_there(tmp_path: Path) -> None:
    first, second, third = write_segments(tmp_path, [[span(1)], [span(2)]], [[span(3)]], [[span(4)]])
    position = next(streams.records(tmp_path, STREAM))[0]
    first.unlink()
    second.unlink()
    after, path, header = next(streams.records(tmp_path, STREAM, position))
    assert (after, path, header.kind) == (Position(3, header.end), third, HEADER)
    about = scan.header(third)
    assert about is not None
    assert about.spans_before == 3


def test_a_segment_that_vanishes_between_listing_and_reading_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = write_segments(tmp_path, [[span(1)]], [[span(2)]])
    listed = scan.segments(tmp_path, STREAM)
    first.unlink()
    monkeypatch.setattr(scan, "segments", lambda *_: listed)
    assert taken(tmp_path, Position())[0] == [payload_of(span(2))]


def test_following_gives_what_is_new_each_time_and_each_span_again_when_it_ends(
    tmp_path: Path, writer: SegmentWriter
) -> None:
    follower = Follower(tmp_path)
    assert list(follower.poll()) == []
    with living(tmp_path):
        begin(writer, workflow(1, 0, 9))
        assert seen(follower.poll()) == [("invoke_workflow trading", "open")]
        assert list(follower.poll()) == []
        writer.rotate()
        end(writer, agent(2, 1, 2, parent=1))
        assert list(follower.poll()) == [agent(2, 1, 2, parent=1)]
        end(writer, workflow(1, 0, 9))
        begin(writer, workflow(3, 9, 12, name="next"))
        assert seen(follower.poll()) == [("invoke_workflow trading", "ended"), ("invoke_workflow next", "open")]
    assert seen(follower.poll()) == [("invoke_workflow next", "interrupted")]
    assert list(follower.poll()) == []


def test_following_waits_without_turning_and_ends_when_it_is_told_to(tmp_path: Path, writer: SegmentWriter) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) < 3:
            end(writer, span(len(waits)))
        return len(waits) == 3

    with living(tmp_path):
        assert list(follow(tmp_path, wait=wait, interval=0.5)) == [span(1), span(2)]
    assert waits == [0.5, 0.5, 0.5]


def test_following_begins_at_positions_that_are_given(tmp_path: Path, writer: SegmentWriter) -> None:
    end(writer, span(1))
    position = writer.position
    end(writer, span(2))
    assert list(follow(tmp_path, {STREAM: position}, wait=lambda _: True)) == [span(2)]


def test_an_interrupted_write_is_followed_to_its_end(tmp_path: Path, writer: SegmentWriter) -> None:
    end(writer, span(1))
    whole = pack(END, payload_of(span(2)), 1)
    report, follower = ReadReport(), Follower(tmp_path)
    with living(tmp_path), writer.path.open("ab", buffering=0) as file:
        file.write(whole[:30])
        assert list(follower.poll(report)) == [span(1)]
        file.write(whole[30:])
        assert list(follower.poll(report)) == [span(2)]
    assert report == ReadReport(spans=2)


def test_begun_spans_say_what_they_said_when_they_began(tmp_path: Path, writer: SegmentWriter) -> None:
    begin(writer, agent(2, 1, 2, parent=1))
    (found,) = read(tmp_path)
    assert (found.parent_id, found.attributes) == (agent(2, 1, 2, parent=1).parent_id, agent(2, 1, 2).attributes)


def test_a_begun_span_that_has_ended_and_is_not_recorded_is_not_there_any_more(
    tmp_path: Path, writer: SegmentWriter
) -> None:
    begin(writer, workflow(1, 0, 9), agent(2, 1, 2, parent=1))
    follower = Follower(tmp_path)
    with living(tmp_path):
        assert seen(follower.poll()) == [("invoke_workflow trading", "open"), ("invoke_agent risk", "open")]
        withdraw(writer, agent(2, 1, 2, parent=1))
        assert seen(follower.poll()) == []
        assert seen(read(tmp_path)) == [("invoke_workflow trading", "open")]
    assert seen(follower.poll()) == seen(read(tmp_path)) == [("invoke_workflow trading", "interrupted")]
