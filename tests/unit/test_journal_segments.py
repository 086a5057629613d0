"""Segments: what is written is read, whatever cuts it off, and nothing that a file holds raises."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.segments import STREAM, ended_segments, write_segments
from support.traces import span

from spanwise.errors import InputError
from spanwise.journal import packing, scan
from spanwise.journal.format import END, FORMAT, HEADER, MOST_SPANS, START, pack
from spanwise.journal.scan import Damage, ScanReport, StreamFiles, records
from spanwise.journal.segment import SegmentWriter, path_of, stream_name
from spanwise.journal.window import Record

if TYPE_CHECKING:
    from pathlib import Path


def contents(path: Path, report: ScanReport | None = None) -> list[tuple[int, bytes]]:
    return [(record.kind, record.payload) for record in records(path, 0, report) if record.kind != HEADER]


def written(folder: Path, *payloads: bytes) -> Path:
    writer = SegmentWriter(folder, STREAM)
    for payload in payloads:
        writer.append(END, payload, 1)
    writer.close()
    return writer.path


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_was_appended_is_read_with_its_place_and_its_number_of_spans(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, STREAM)
    first = writer.append(START, b"begun", 1)
    second = writer.append(END, b"ended", 512)
    third = writer.append(END, b"")
    writer.close()
    header, *others = records(writer.path)
    assert others == [
        Record(START, 1, b"begun", header.end, first.offset),
        Record(END, 512, b"ended", first.offset, second.offset),
        Record(END, 0, b"", second.offset, third.offset),
    ]
    assert (header.kind, third, writer.path.stat().st_size) == (HEADER, writer.position, third.offset)


def test_each_segment_begins_with_who_wrote_it_and_how_many_spans_stand_before(tmp_path: Path) -> None:
    first, second = write_segments(tmp_path, [[span(1), span(2)], [span(3)]], [[span(4)]])
    headers = [scan.header(path) for path in (first, second)]
    said = [
        (header.format, header.stream, header.sequence, header.pid, header.spans_before)
        for header in headers
        if header is not None
    ]
    assert said == [(FORMAT, STREAM, 1, os.getpid(), 0), (FORMAT, STREAM, 2, os.getpid(), 3)]


def test_a_segment_ends_when_it_is_full_and_when_it_is_old(tmp_path: Path) -> None:
    now = [0.0]
    writer = SegmentWriter(tmp_path, STREAM, limit_bytes=1000, limit_seconds=10.0, clock=lambda: now[0])
    for _ in range(4):
        writer.append(END, b"x" * 300, 1)
    assert ended_segments(writer) == [path_of(tmp_path, STREAM, 1)]
    now[0] = 10.0
    assert writer.append(END, b"x", 1).sequence == 3
    writer.close()
    assert ended_segments(writer) == [path_of(tmp_path, STREAM, n) for n in (1, 2)]
    assert scan.streams(tmp_path) == [StreamFiles(STREAM, tuple(path_of(tmp_path, STREAM, n) for n in (1, 2, 3)))]


def test_a_record_that_is_bigger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, STREAM, limit_bytes=100)
    ends = [writer.append(END, payload, 1).sequence for payload in (b"a" * 500, b"b" * 500)]
    writer.close()
    assert ends == [1, 2]


def test_segments_are_private(tmp_path: Path) -> None:
    paths = [*write_segments(tmp_path, [[span(1)]], packed=True), written(tmp_path / ".", b"{}")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600, 0o600]


def test_a_removed_folder_is_made_again_and_the_stream_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    writer = SegmentWriter(folder, STREAM)
    writer.append(END, b"lost", 1)
    shutil.rmtree(folder)
    assert writer.append(END, b"kept", 1).sequence == 2
    writer.close()
    header = scan.header(writer.path)
    assert (contents(writer.path), header and header.spans_before) == ([(END, b"kept")], 1)


def test_what_the_disk_takes_only_in_part_is_cut_off_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SegmentWriter(tmp_path, STREAM)
    before = writer.append(END, b"whole", 1)
    write = os.write

    def short(descriptor: int, content: bytes) -> int:
        if content.endswith(b"refused"):
            return write(descriptor, content[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", short)
        with pytest.raises(OSError, match="No space"):
            writer.append(END, b"refused", 1)
    assert (writer.position, writer.path.stat().st_size) == (before, before.offset)
    writer.append(END, b"later", 1)
    writer.close()
    report = ScanReport()
    assert (contents(writer.path, report), report.damage) == ([(END, b"whole"), (END, b"later")], [])


def test_a_first_record_that_the_disk_refuses_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SegmentWriter(tmp_path, STREAM)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            writer.append(END, b"refused", 1)
    assert list(tmp_path.iterdir()) == []
    writer.append(END, b"later", 1)
    writer.close()
    assert contents(writer.path) == [(END, b"later")]


def test_what_cannot_be_cut_off_stays_behind_in_a_segment_that_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SegmentWriter(tmp_path, STREAM)
    writer.append(END, b"whole", 1)
    write, broken = os.write, OSError(errno.EROFS, "Read-only file system")

    def torn(descriptor: int, content: bytes) -> int:
        if content.endswith(b"refused"):
            return write(descriptor, content[:9])
        raise broken

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", torn)
        patch.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(broken))
        with pytest.raises(OSError, match="Read-only"):
            writer.append(END, b"refused", 1)
    assert writer.append(END, b"later", 1).sequence == 2
    writer.close()
    first, second = scan.segments(tmp_path, STREAM)
    assert (contents(first), contents(second)) == ([(END, b"whole")], [(END, b"later")])


def test_more_spans_than_a_record_can_say_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a record holds at most 65535 spans"):
        SegmentWriter(tmp_path, STREAM).append(END, b"{}", MOST_SPANS + 1)
    assert list(tmp_path.iterdir()) == []


def test_every_stream_has_a_name_of_its_own_that_its_segments_carry(tmp_path: Path) -> None:
    names = {stream_name() for _ in range(100)}
    assert len(names) == 100
    assert {scan.stream_of(path_of(tmp_path, name, 1_000_000)) for name in names} == names


def test_a_cut_anywhere_leaves_the_records_before_it_and_says_how_much_is_torn(tmp_path: Path) -> None:
    path = written(tmp_path, b"first", b"second")
    whole = path.read_bytes()
    ends = [record.end for record in records(path)]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        report = ScanReport()
        begin = max([0, *(end for end in ends if end <= length)])
        assert [record.end for record in records(path, 0, report)] == [end for end in ends if end <= length]
        assert report.damage == ([Damage(path, begin, length - begin, torn=True)] if length > begin else [])


def test_any_damaged_byte_costs_its_own_record_and_no_other(tmp_path: Path) -> None:
    path = written(tmp_path, b"first", b"second", b"third")
    whole, found = path.read_bytes(), list(records(path))
    for record in found[:-1]:
        for at in range(record.start, record.end):
            path.write_bytes(whole[:at] + bytes((whole[at] ^ 0x10,)) + whole[at + 1 :])
            report = ScanReport()
            assert list(records(path, 0, report)) == [one for one in found if one != record]
            assert report.damage == [Damage(path, record.start, record.end - record.start)]


def test_what_a_span_says_is_never_taken_for_a_record(tmp_path: Path) -> None:
    path = written(tmp_path, b"outer " + pack(END, b"inner", 1) + b" outer", b"later")
    assert contents(path)[1] == (END, b"later")
    data = path.read_bytes()
    text = json.dumps(pack(END, b"{}", 1).decode("latin-1"), ensure_ascii=False).encode()
    assert pack(END, b"", 0)[:4] in data
    assert pack(END, b"", 0)[:4] not in text


def test_reading_goes_on_from_any_record(tmp_path: Path) -> None:
    (path,) = write_segments(tmp_path, [[span(n)] for n in range(1, 50)])
    found = list(records(path))
    assert [list(records(path, record.end)) for record in found] == [found[n + 1 :] for n in range(len(found))]


def test_records_of_an_unknown_kind_or_with_flags_are_left_out_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, b"{}")
    unknown = pack(200, b"of a later version", 3)
    path.write_bytes(path.read_bytes() + unknown + pack(END, b"[]", 1))
    report = ScanReport()
    assert contents(path, report) == [(END, b"{}"), (END, b"[]")]
    assert (report.unknown, report.records, report.damage) == (1, 3, [])


def test_a_newer_format_is_refused_with_its_file(tmp_path: Path) -> None:
    path = path_of(tmp_path, STREAM, 1)
    path.write_bytes(pack(HEADER, b'{"format":2}') + pack(END, b"{}", 1))
    with pytest.raises(InputError) as caught:
        list(records(path))
    assert str(caught.value) == (
        f"{path}: written in format 2, and this version reads up to 1; use the spanwise that wrote it or a newer one"
    )


def test_a_packed_segment_holds_the_same_records_at_the_same_places(tmp_path: Path) -> None:
    (path,) = write_segments(tmp_path, [[span(n, name="x" * 5000)] for n in range(1, 800)])
    content, found = path.read_bytes(), list(records(path))
    packed = packing.pack_segment(path)
    assert (packed.name, path.exists()) == (f"{STREAM}-000001.seg.zst", False)
    assert packed.stat().st_size < len(content) / 50
    assert list(records(packed)) == found
    assert list(records(packed, found[500].end)) == found[501:]
    assert list(records(path)) == found  # by the name that a reader listed before
    with packed.open("rb") as file:
        assert packing.length_of(file) == len(content)
        blocks = list(packing.pieces(file, 0))
    assert b"".join(piece for _, piece in blocks) == content
    assert len(blocks) == 5
    assert {offset for offset, _ in blocks} <= {0, *(record.end for record in found)}


def test_the_zstd_program_gives_a_packed_segment_back(tmp_path: Path) -> None:
    program = shutil.which("zstd")
    if program is None:
        pytest.skip("the zstd program is not installed")
    (path,) = write_segments(tmp_path, [[span(n)] for n in range(1, 50)])
    content = path.read_bytes()
    packed = packing.pack_segment(path)
    assert subprocess.run([program, "-dc", packed], capture_output=True, check=True).stdout == content


def test_packing_a_segment_that_ends_in_half_a_record_keeps_that_too(tmp_path: Path) -> None:
    path = written(tmp_path, b"first", b"second")
    content = path.read_bytes()[:-3]
    path.write_bytes(content)
    plain, packed = ScanReport(), ScanReport()
    found = list(records(path, 0, plain))
    assert list(records(packing.pack_segment(path), 0, packed)) == found
    assert [(one.offset, one.length, one.torn) for one in packed.damage] == [
        (one.offset, one.length, one.torn) for one in plain.damage
    ]


def test_a_disk_that_takes_no_packed_segment_leaves_the_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = write_segments(tmp_path, [[span(1)]])
    with monkeypatch.context() as patch:
        patch.setattr(packing, "compress", full)
        with pytest.raises(OSError, match="No space"):
            packing.pack_segment(path)
    assert list(tmp_path.iterdir()) == [path]


def test_damage_in_a_packed_segment_costs_the_block_that_it_is_in(tmp_path: Path) -> None:
    (path,) = write_segments(tmp_path, [[span(n, name=os.urandom(2000).hex())] for n in range(1, 800)])
    found = list(records(path))
    packed = packing.pack_segment(path)
    whole = packed.read_bytes()
    with packed.open("rb") as file:
        places = [(offset, offset + len(piece)) for offset, piece in packing.pieces(file, 0)]
    packed.write_bytes(whole[: len(whole) // 2] + b"damage" + whole[len(whole) // 2 + 6 :])
    report = ScanReport()
    left = list(records(packed, 0, report))
    (damage,) = report.damage
    assert (damage.offset, damage.offset + damage.length) in places
    assert left == [one for one in found if not damage.offset <= one.start < damage.offset + damage.length]


def test_a_packed_segment_that_was_cut_says_so(tmp_path: Path) -> None:
    (path,) = write_segments(tmp_path, [[span(1)]])
    packed = packing.pack_segment(path)
    packed.write_bytes(packed.read_bytes()[:-40])
    report = ScanReport()
    assert list(records(packed, 0, report)) == []
    assert report.damage == [Damage(packed, 0, 0)]


def test_what_is_no_segment_has_neither_stream_nor_number(tmp_path: Path) -> None:
    for name in ("a.otlp.jsonl", f"{STREAM}.counts", f"{STREAM}-000001.seg.zst.7.tmp", "000001.seg"):
        assert not scan.is_segment(name)
        with pytest.raises(ValueError, match="not a segment"):
            scan.sequence_of(tmp_path / name)
        with pytest.raises(ValueError, match="not a segment"):
            scan.stream_of(tmp_path / name)
    assert scan.streams(tmp_path / "missing") == []
