from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.traces import ONE_OF_EACH, ONE_PARENT, ONE_SPAN, ONE_TRACE, agent, line_of, record, span, workflow

from spanwise.errors import InputError
from spanwise.journal.reader import EventRecord, LinkRecord, ReadReport, Skipped, SpanRecord, read, read_file

if TYPE_CHECKING:
    from pathlib import Path

TRACE, SPAN, OTHER = ONE_TRACE, ONE_SPAN, ONE_PARENT


def write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"".join(line.encode() if isinstance(line, str) else line for line in lines))
    return path


def test_a_line_of_the_collectors_file_exporter_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "traces.json", json.dumps(ONE_OF_EACH) + "\n")
    expected = SpanRecord(
        trace_id=TRACE,
        span_id=SPAN,
        parent_id=OTHER,
        name="chat sim-1",
        kind=3,
        start_ns=1544712660000000001,
        end_ns=1544712661000000002,
        attributes={
            "text": "",
            "yes": False,
            "big": 9223372036854775807,
            "float": 2.0,
            "infinite": float("-inf"),
            "bytes": b"\x00\x01",
            "list": ("a", 1),
            "empty list": (),
            "map": {"k": True},
            "nothing": None,
        },
        links=(LinkRecord(TRACE, OTHER, {}),),
        events=(EventRecord(1544712660500000000, "first", {}),),
        status_code=2,
        status_message="too many",
        resource={"service.name": "desk"},
        scope_name="spanwise",
        scope_version="0.1.0",
    )
    assert list(read_file(path)) == [expected]


def test_every_file_of_a_journal_is_read_and_nothing_else_in_its_folder(tmp_path: Path) -> None:
    first, second = workflow(1, 0, 5), agent(2, 1, 2, parent=1)
    record(tmp_path, second, file="b")
    record(tmp_path, first, file="a")
    write(tmp_path / "a.ledger.json", "{}")
    write(tmp_path / ".gitignore", "*\n")
    report = ReadReport()
    assert list(read(tmp_path, report)) == [first, second]
    assert report == ReadReport(files=2, spans=2)


def test_a_root_is_known_by_an_empty_absent_or_zero_parent(tmp_path: Path) -> None:
    minimal = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%s","spanId":"%s"%s}]}]}]}\n'
    parents = ("", ',"parentSpanId":""', ',"parentSpanId":"0000000000000000"')
    path = write(tmp_path / "x", *(minimal % (TRACE, SPAN, parent) for parent in parents))
    assert [record.parent_id for record in read_file(path)] == [None, None, None]


def test_a_folder_that_does_not_exist_holds_no_spans(tmp_path: Path) -> None:
    report = ReadReport()
    assert list(read(tmp_path / "missing", report)) == []
    assert report == ReadReport()


def test_an_unfinished_last_line_is_counted_and_not_reported_as_damage(tmp_path: Path) -> None:
    line = line_of(span(1))
    path = write(tmp_path / "x", line, line_of(span(2))[:80])
    report = ReadReport()
    assert list(read_file(path, report)) == [span(1)]
    assert report == ReadReport(files=1, spans=1, incomplete=1)


def test_a_last_line_that_only_lacks_its_line_end_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x", line_of(span(1)).rstrip())
    report = ReadReport()
    assert list(read_file(path, report)) == [span(1)]
    assert report.incomplete == 0


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b"\x00\x00\x00\n", "JSON is malformed: invalid character (byte 0)"),
        (b'{"resourceMetrics":[]}\n', "Object missing required field `resourceSpans`"),
        (b"[]\n", "Expected `object`, got `array`"),
        (b'{"resourceSpans":[{"resource"{"resourceSpans":[]}\n', "JSON is malformed: expected ':' (byte 29)"),
        (
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz","spanId":"1"}]}]}]}\n',
            "'zz' is no id of 32 hexadecimal digits",
        ),
    ],
)
def test_a_damaged_line_is_skipped_and_reported_with_its_place(tmp_path: Path, damage: bytes, reason: str) -> None:
    path = write(tmp_path / "x", line_of(span(1)), damage, "\n", line_of(span(2)))
    report = ReadReport()
    assert list(read_file(path, report)) == [span(1), span(2)]
    assert report == ReadReport(files=1, spans=2, skipped=[Skipped(path, 2, reason)])
    assert str(report.skipped[0]) == f"{path}:2: skipped: {reason}"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b'{"resourceSpans":[{"resource":{"attributes":[{"key":"\xff"}]}}]}\n', id="not UTF-8"),
        pytest.param(line_of(span(1)).replace('"1790', '"x').encode(), id="a time that is no number"),
        pytest.param(
            b'{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":'
            + b'{"arrayValue":{"values":[' * 5000
            + b"\n",
            id="nested without end",
        ),
    ],
)
def test_nothing_that_a_file_holds_raises(tmp_path: Path, damage: bytes) -> None:
    path = write(tmp_path / "x", damage, line_of(span(2)))
    report = ReadReport()
    assert list(read_file(path, report)) == [span(2)]
    assert [str(skipped).startswith(f"{path}:1: skipped: ") for skipped in report.skipped] == [True]


@given(st.binary(max_size=6), st.integers(0, 600), st.integers(0, 6))
def test_no_change_of_a_file_raises(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int, dropped: int
) -> None:
    line = line_of(agent(1, 0, 1, error="x")).encode()
    path = write(tmp_path_factory.mktemp("journal") / "x", line[:at] + junk + line[at + dropped :])
    report = ReadReport()
    assert len(list(read_file(path, report))) == report.spans


def test_a_missing_file_and_a_file_for_a_folder_are_input_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "x", "")
    with pytest.raises(InputError, match="missing: no such file; give the path"):
        list(read_file(tmp_path / "missing"))
    with pytest.raises(InputError, match="is a file; the journal is a folder"):
        list(read(path))
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        list(read_file(tmp_path))


def test_a_folder_that_cannot_be_listed_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(File name too long\); check its permissions"):
        list(read(tmp_path / ("x" * 300)))


def test_an_end_before_the_start_is_a_duration_of_zero() -> None:
    assert span(1, 2, 1).duration_ns == 0
