from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.traces import BEGIN_NS, chat, line_of, span, workflow

from spanwise.errors import InputError
from spanwise.journal.reader import ReadReport
from spanwise_profiling.load import load, open_run
from spanwise_profiling.sources import fast, recognise, streams

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

LINE = line_of(workflow(1, 0, 9), chat(2, 1, 2, parent=1)).encode()
READ_HERE = re.escape(recognise.READ_HERE)


def refused(path: Path, content: bytes) -> str:
    """Return the message with which both loaders refuse a file of `content`."""
    path.write_bytes(content)
    with pytest.raises(InputError) as plain:
        load(path)
    assert "\n" not in str(plain.value)
    return str(plain.value).replace(str(path), "FILE")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    expected = f"FILE: is empty; give a file that holds a trace ({recognise.READ_HERE})"
    assert refused(tmp_path / "x", b"") == expected
    assert refused(tmp_path / "x", b" \n\n") == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"<html>", "FILE: is a web page or XML; give the trace itself; read here are: "),
        (b"hello\nworld\n", "FILE: is neither JSON nor protobuf; read here are: "),
        (b"[INFO] {hello\n", "FILE: is neither JSON nor protobuf; read here are: "),
        (b"id,name,start_time\n1,a,2\n", "FILE: is CSV; export JSON; read here are: "),
        (b"PAR1\x00\x00", "FILE: is Parquet; export JSON, or convert it to JSON lines; read here are: "),
        (b"INFO: 'work' : 0123456789abcdef0123456789abcdef 0123456789abcdef CLIENT [tracer: x:] AttributesMap{}\n",
         "FILE: is what Java's logging exporter prints, which has no times; set OTEL_TRACES_EXPORTER="),
        (b'{"resourceMetrics": []}', "FILE: holds no span, but 1 request(s) with logs, metrics or profiles left out; "),
        (b'{"a": 1}\n{"a": 1}\n', "FILE:1: skipped: is JSON of no format that is read here (it names a); read"),
        (b"[1, 2]", "FILE:1: skipped: Expected `object`, got `int`; read here are: "),
        (b"[[[[[]]]]]", "FILE:1: skipped: is JSON of no format that is read here (it names nothing); read here are: "),
        (b'{"resourceSpans": []}', "FILE: holds no span; read here are: "),
        (b'{"resourceSpans": 7}', "FILE:1: skipped: resourceSpans: 7 is no list; read"),
        (b'{"resourceSpans', "FILE: holds no span; read here are: "),
        (b"\x00\x00\x00\x02ab", "FILE:1: skipped: is no OTLP in protobuf (Error parsing message"),
        (b"\x00\x00\x01\x00ab", "FILE: message 1 is cut off (2 of 256 bytes); get it anew"),
        (b"\xff\xff\xff\xff\x00", "FILE: message 1 is over 256 MiB or no message; give OTLP files"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "FILE: is a picture; give the trace itself; read here are: "),
    ],
)  # fmt: skip
def test_what_is_no_trace_is_refused_in_one_line(tmp_path: Path, content: bytes, problem: str) -> None:
    assert refused(tmp_path / "x", content).startswith(problem)


def test_only_broken_spans_are_refused_with_what_is_wrong_with_the_first(tmp_path: Path) -> None:
    broken = LINE.replace(span(1).span_id.encode(), b"").replace(span(2).span_id.encode(), b"")
    expected = f"FILE:1: skipped: span '': '' is no id; read here are: {recognise.READ_HERE}"
    assert refused(tmp_path / "x", broken) == expected


def test_a_broken_span_does_not_take_its_neighbours_with_it(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(LINE.replace(str(BEGIN_NS + 1_000_000_000).encode(), b"-5"))
    report = ReadReport()
    assert [record.name for record in recognise.read(path, report)] == ["invoke_workflow trading"]
    assert [str(skipped).rpartition("skipped: ")[2] for skipped in report.skipped] == [
        f"span '{span(2).span_id}': -5 is no time"
    ]


def test_a_damaged_line_is_skipped_and_an_unfinished_one_counted(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b'{"damaged\n' + LINE + b"\n\n{}\n" + LINE[:100])
    report = ReadReport()
    assert len(list(recognise.read(path, report))) == 2
    assert [str(skipped).removeprefix(str(path)) for skipped in report.skipped] == [
        ":1: skipped: is damaged, or cut off in the middle",
        ":5: skipped: is JSON of no format that is read here (it names nothing)",
    ]
    assert (report.incomplete, report.spans) == (1, 2)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_that_is_cut_off_before_its_first_span_is_refused(tmp_path: Path, pack: Any) -> None:
    message = refused(tmp_path / "x.gz", pack(LINE * 50)[:20])
    assert message.startswith("FILE: compressed data is damaged or cut off (")


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_of_a_compressed_file_that_is_cut_off_later_all_that_is_whole_is_read(tmp_path: Path, pack: Any) -> None:
    lines = [line_of(workflow(1, 0, 9, trace=n), chat(2, 1, 2, parent=1, trace=n)).encode() for n in range(4_000)]
    path = tmp_path / "x.jsonl.gz"
    whole = pack(b"".join(lines))
    path.write_bytes(whole[: len(whole) // 2])
    recording = load(path)
    assert 1_000 < recording.report.spans < 7_000
    assert recording.report.noted == {streams.CUT_OFF: 1}
    assert f"{path}: 1 {streams.CUT_OFF}" in recording.warnings
    assert fast.load(path, report := ReadReport()).span_id.size == recording.report.spans
    assert report.noted == recording.report.noted


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(LINE * 50))
    packed[30] ^= 0xFF
    assert refused(tmp_path / "x", bytes(packed)).startswith("FILE: compressed data is damaged or cut off (")


class _Endless(io.RawIOBase):
    """A line without an end that says how much of it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self.given += len(buffer)
        buffer[:] = b"{" + b"x" * (len(buffer) - 1)
        return len(buffer)


def test_a_line_over_the_bound_is_refused_without_being_read_whole() -> None:
    source = _Endless()
    with pytest.raises(InputError, match="it:1: the line is over 1 MiB, which no trace has; give a file of OTLP/JSON"):
        list(streams.lines(io.BufferedReader(source), "it", 1 << 20))
    assert source.given <= 2 << 20
    assert streams.LONGEST == 256 << 20


@pytest.mark.slow
def test_a_line_over_256_mib_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("wb") as file:
        file.write(b'{"resourceSpans":"')
        file.seek((256 << 20) + 10)  # a hole: takes no disk
        file.write(b'"}\n')
    message = f"{path}:1: the line is over 256 MiB, which no trace has; give a file of OTLP/JSON lines"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        fast.load(path)


def test_what_is_unreadable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.json: no such file; give a recorded trace, a run id or `last`"):
        open_run(str(tmp_path / "missing.json"), tmp_path)
    with pytest.raises(InputError, match=r"missing: no such file; give the path of a recorded trace"):
        list(recognise.read(tmp_path / "missing", ReadReport()))


@pytest.mark.slow
def test_a_chain_ten_thousand_deep_is_read(tmp_path: Path) -> None:
    count = 10_000
    chain = [workflow(1, 0, 9), *(span(number, 0, 9, parent=number - 1) for number in range(2, count + 1))]
    path = tmp_path / "deep.json"
    path.write_text(line_of(*chain), encoding="utf-8")
    assert open_run(str(path), tmp_path)[0].totals.spans == count
    assert fast.load(path).run_rows.tolist() == [0, count]


@pytest.mark.slow
def test_fifty_thousand_siblings_are_read(tmp_path: Path) -> None:
    siblings = [workflow(1, 0, 9), *(span(number, 0, 9, parent=1) for number in range(2, 50_001))]
    path = tmp_path / "wide.json"
    path.write_text(line_of(*siblings), encoding="utf-8")
    assert open_run(str(path), tmp_path)[0].totals.spans == 50_000


def test_json_nested_without_end_is_refused(tmp_path: Path) -> None:
    deep = b'{"resourceSpans":' + b"[" * 100_000
    assert refused(tmp_path / "x", deep + b"\n").startswith("FILE: holds no span; read here are: ")
    assert refused(tmp_path / "x", deep + b"]" * 100_000 + b"}\n").startswith("FILE:1: skipped: ")
    nested: Any = {"values": []}
    for _ in range(300):
        nested = {"values": [{"arrayValue": nested}]}
    document = json.loads(LINE)
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] = [
        {"key": "a", "value": {"arrayValue": nested}}
    ]
    report = ReadReport()
    assert len(list(recognise.read_bytes(json.dumps(document).encode(), "it", report))) + len(report.skipped) >= 1
