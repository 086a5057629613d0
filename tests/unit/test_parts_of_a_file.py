from __future__ import annotations

import contextlib
import gzip
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.many_lines import contents, lines

from spanwise.journal.reader import ReadReport, Skipped
from spanwise_profiling.sources import fast, parts, parts_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[parts.Range]:
    """Let parts be small, and be read here, through the messages that processes send; returns which were read."""
    asked: list[parts.Range] = []

    def read(name: str, wanted: Sequence[parts.Range], readers: Sequence[object]) -> Iterator[parts.Part]:
        asked.extend(wanted)
        with Path(name).open("rb") as file:
            for begin, end in wanted:
                content = bytearray(file.read(end - begin)) + b"{left by a larger part}\n"
                message = msgspec.msgpack.encode(parts_process.part_of(content, end - begin))
                yield msgspec.msgpack.decode(message, type=parts.Part)

    def processes(file: object, count: int) -> contextlib.nullcontext[list[None]]:
        return contextlib.nullcontext([None] * count)

    monkeypatch.setattr(fast, "LEAST_IN_PARTS", 1)
    monkeypatch.setattr(parts, "PART", 700)
    monkeypatch.setattr(parts, "cores", lambda: 2)
    monkeypatch.setattr(parts, "processes", processes)
    monkeypatch.setattr(parts, "read", read)
    return asked


def serial(path: Path, report: ReadReport, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Return what one process makes of the file."""
    with monkeypatch.context() as patch:
        patch.setattr(parts, "cores", lambda: 1)
        return contents(fast.load(path, report))


@pytest.mark.parametrize("seed", range(25))
def test_parts_make_the_columns_and_the_report_of_the_whole(
    seed: int, tmp_path: Path, in_this_process: list[parts.Range], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(seed, 40))
    whole, in_parts = ReadReport(), ReadReport()
    expected = serial(path, whole, monkeypatch)
    assert contents(fast.load(path, in_parts)) == expected
    assert len(in_this_process) > 10
    assert in_parts == whole
    assert whole.skipped


def test_damage_in_each_part_is_reported_with_its_line(tmp_path: Path, in_this_process: list[parts.Range]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes((b'{"resourceSpans":[]}\n' * 40 + b'{"damaged\n') * 5)
    report = ReadReport()
    fast.load(path, report)
    assert len(in_this_process) == 7
    assert [one.line for one in report.skipped if isinstance(one, Skipped)] == [41, 82, 123, 164, 205]
    assert {one.path for one in report.skipped} == {path}


def test_progress_is_told_after_each_part(tmp_path: Path, in_this_process: list[parts.Range]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(3, 30))
    done: list[int] = []
    fast.load(path, progress=done.append)
    assert done == [end for _, end in in_this_process]
    assert done[-1] == path.stat().st_size


def test_a_compressed_file_is_read_by_one_process(tmp_path: Path, in_this_process: list[parts.Range]) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(lines(4, 30)))
    assert len(fast.load(path)) > 10
    assert in_this_process == []


def test_a_small_file_is_read_by_one_process(
    tmp_path: Path, in_this_process: list[parts.Range], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(5, 30))
    monkeypatch.setattr(fast, "LEAST_IN_PARTS", path.stat().st_size + 1)
    assert len(fast.load(path)) > 10
    assert in_this_process == []


def test_parts_are_whole_lines_and_all_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"ab\n" + b"c" * 30 + b"\n" + b"d\n" * 20 + b"end")
    monkeypatch.setattr(parts, "PART", 10)
    monkeypatch.setattr(parts, "_SEARCH", 4)
    with path.open("rb") as file:
        assert parts.ranges(file) == [(0, 34), (34, 46), (46, 58), (58, 70), (70, 77)]
        # The reader of whole files says which line is too long.
        assert parts.ranges(file, longest=33) == []


@pytest.mark.parametrize("executable", ["", "/usr/bin/uwsgi", None])
def test_no_process_is_started_where_the_program_is_no_interpreter(
    executable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with parts.processes(io.BytesIO(), 2) as readers:
        assert list(readers) == []
