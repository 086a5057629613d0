"""Erasing spans: they are gone from every file, the others stay where they were, and cursors find their way."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import typer
from support.segments import OTHER_STREAM, STREAM, begin, living, write_segments
from support.traces import BEGIN_NS, agent, identifier, line_of, record, span, workflow
from typer.testing import CliRunner

import spanwise
from spanwise.errors import CheckFailedError, InputError
from spanwise.journal import bounds, closing, cursor, follow, ledger, packing, purge, scan
from spanwise.journal.format import END
from spanwise.journal.ledger import Counts
from spanwise.journal.purge import Erased
from spanwise.journal.reader import ReadReport, SpanRecord, read
from spanwise.journal.segment import SegmentWriter
from spanwise.journal.stream import Stream
from spanwise_cli.commands import purge as command

if TYPE_CHECKING:
    from pathlib import Path


def spans_of(*traces: int, spans: int = 3) -> list[SpanRecord]:
    return [span(n, trace=trace, name=f"of {trace}") for trace in traces for n in range(1, spans + 1)]


def trace(number: int) -> str:
    return identifier(number, 32)


def erase(folder: Path, *traces: int, dry_run: bool = False) -> Erased:
    wanted = {trace(number) for number in traces}
    return purge.erase(folder, lambda trace_id, _: trace_id in wanted, dry_run=dry_run)


def erase_trace(folder: Path, trace_id: str, *, dry_run: bool = False) -> Erased:
    return purge.erase(folder, lambda found, _: found == trace_id, dry_run=dry_run)


def everything_in(folder: Path) -> bytes:
    return b"".join(
        bytes(scan.content(path)) if scan.is_segment(path.name) else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    )


def ran(*arguments: str | Path) -> dict[str, Any]:
    app = typer.Typer()
    command.register(app)
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_erased_spans_are_gone_and_all_else_stays_where_it_was(tmp_path: Path, *, packed: bool) -> None:
    batches = [spans_of(1, 2), spans_of(2), spans_of(3)]
    (path,) = write_segments(tmp_path, batches, packed=packed)
    before = [(one.start, one.end, one.count) for one in scan.records(path)]
    assert erase(tmp_path, 2) == Erased(spans=6)
    report = ReadReport()
    assert list(read(tmp_path, report)) == spans_of(1, 3)
    assert report == ReadReport(files=1, spans=6)
    assert [(one.start, one.end, one.count) for one in scan.records(path)] == before
    assert trace(2).encode() not in everything_in(tmp_path)


def test_a_file_of_which_nothing_is_left_is_deleted_and_its_stream_stays_in_the_ledger(tmp_path: Path) -> None:
    with Stream(tmp_path) as stream:
        stream.add(line_of(*spans_of(1)).encode(), 3)
    assert erase(tmp_path, 1) == Erased(spans=3, files=1)
    assert [path.name for path in tmp_path.glob("*-*")] == []
    assert (ledger.read(tmp_path).journaled, ledger.processes(tmp_path)) == (3, {})


def test_what_began_goes_with_what_ended(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, STREAM)
    begin(writer, workflow(1, 0, 9, trace=4), agent(2, 0, 9, trace=5))
    writer.append(END, line_of(*spans_of(4)).encode(), 3)
    writer.close()
    assert erase(tmp_path, 4) == Erased(spans=3)
    assert [one.name for one in read(tmp_path)] == ["invoke_agent risk"]
    assert trace(4).encode() not in everything_in(tmp_path)


def test_a_cursor_sees_how_many_are_gone_from_what_it_had_not_taken(tmp_path: Path) -> None:
    first, _ = write_segments(tmp_path, [spans_of(1)], [spans_of(1, 2)])
    one = cursor.open_cursor(tmp_path, "otlp", STREAM)
    assert one is not None
    one.save(sequence=2, offset=0, delivered=3)
    one.close()
    erased = erase(tmp_path, 1)
    assert (erased.spans, erased.files, dict(erased.undelivered)) == (6, 1, {"otlp": 3})
    (found,) = [record for _, _, record in follow.records(tmp_path, STREAM, one.state.position) if record.kind == END]
    assert (found.count, len(list(read(tmp_path))), first.exists()) == (6, 3, False)


def test_lines_of_earlier_versions_and_what_was_set_aside_are_erased_too(tmp_path: Path) -> None:
    record(tmp_path, *spans_of(1, 2))
    refused = tmp_path / "set-aside" / "otlp" / f"{STREAM}.jsonl"
    refused.parent.mkdir(parents=True)
    about = ', "setAside": {"reason": "too big"}}\n'
    refused.write_text("".join(line_of(one).rstrip()[:-1] + about for one in spans_of(1, 2, spans=1)))
    assert erase(tmp_path, 1) == Erased(spans=3)
    assert list(read(tmp_path)) == spans_of(2)
    assert [json.loads(line)["setAside"] for line in refused.read_text().splitlines()] == [{"reason": "too big"}]
    assert trace(1).encode() not in everything_in(tmp_path)
    assert erase(tmp_path, 2) == Erased(spans=3, files=1)


def test_damage_in_a_segment_that_is_written_again_is_blanked(tmp_path: Path) -> None:
    (path,) = write_segments(tmp_path, [spans_of(1), spans_of(2), spans_of(1)])
    content = bytearray(path.read_bytes())
    last = list(scan.records(path))[-1]
    content[last.end - 1] ^= 1
    path.write_bytes(content)
    erase(tmp_path, 1)
    assert list(read(tmp_path)) == spans_of(2)
    assert trace(1).encode() not in path.read_bytes()


def test_what_is_not_understood_is_left_alone(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, STREAM)
    writer.append(END, b"no request", 1)
    writer.append(99, b"of a later version")
    writer.append(END, line_of(*spans_of(1)).encode(), 3)
    writer.close()
    assert erase(tmp_path, 1) == Erased(spans=3)
    assert (b"no request" in writer.path.read_bytes(), b"of a later version" in writer.path.read_bytes()) == (
        True,
        True,
    )


def test_what_a_living_process_writes_to_and_does_not_close_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "PATIENCE", 0.05)
    closed, last = write_segments(tmp_path, [spans_of(1)], [spans_of(1, 2)])
    content = last.read_bytes()
    with living(tmp_path):
        assert erase(tmp_path, 1) == Erased(spans=3, files=1, still_written=3)
        assert (closed.exists(), last.read_bytes()) == (False, content)
    assert list(tmp_path.glob("*.close")) == []


@pytest.mark.usefixtures("isolated_provider")
def test_a_recording_process_closes_its_segment_for_a_purge_and_goes_on_in_another(tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path)
    for name in ("secret", "kept"):
        with spanwise.workflow(name):
            pass
    [gone] = [span.trace_id for span in read(tmp_path) if span.name == "invoke_workflow secret"]
    assert erase_trace(tmp_path, gone, dry_run=True) == Erased(spans=1)
    assert erase_trace(tmp_path, gone) == Erased(spans=1)
    assert gone.encode() not in everything_in(tmp_path)
    with spanwise.workflow("later"):
        pass
    assert telemetry.ledger() == Counts(started=3, journaled=3)
    assert [span.name for span in read(tmp_path)] == ["invoke_workflow kept", "invoke_workflow later"]
    assert len(list(tmp_path.glob("*.seg"))) == 2
    assert erase_trace(tmp_path, gone) == Erased()
    assert len(list(tmp_path.glob("*.seg"))) == 2  # nobody is asked where nothing is to be erased
    spanwise.shutdown()
    assert ledger.read(tmp_path) == Counts(started=3, journaled=3)


def test_a_writer_closes_its_segment_once_for_each_that_asks(tmp_path: Path) -> None:
    with Stream(tmp_path) as stream:
        asks = closing.path_of(tmp_path, stream.name)
        asks.touch()
        stream.close_segment_if_asked()  # nothing is written yet, and nobody can ask
        assert asks.exists()
        for number, sequence in enumerate([1, 2, 2], 1):
            stream.add(line_of(*spans_of(number)).encode(), 3)
            assert stream.segments.position.sequence == sequence
            stream.close_segment_if_asked()
        assert not asks.exists()
    assert len(list(read(tmp_path))) == 9


def test_a_question_that_a_killed_purge_left_is_removed_by_housekeeping(tmp_path: Path) -> None:
    write_segments(tmp_path, [spans_of(1)])
    closing.path_of(tmp_path, STREAM).touch()
    bounds.keep(tmp_path, now=0)
    assert list(tmp_path.glob("*.close")) == []


def test_a_process_that_goes_on_after_it_was_asked_and_is_killed_keeps_its_counters_and_cursors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(tmp_path)
    stream.add(line_of(*spans_of(1)).encode(), 3)
    held = cursor.open_cursor(tmp_path, "otlp", stream.name)
    assert held is not None
    held.close()

    def closes_writes_and_is_killed(folder: Path, streams: set[str]) -> set[str]:
        stream.segments.rotate()
        stream.add(line_of(*spans_of(2)).encode(), 3)
        stream.abandon()
        return streams

    monkeypatch.setattr(closing, "ask", closes_writes_and_is_killed)
    assert erase(tmp_path, 1) == Erased(spans=3, undelivered=Counter(otlp=3))
    assert list(read(tmp_path)) == spans_of(2)
    counts = ledger.read(tmp_path)
    assert (counts.journaled, counts.destinations["otlp"]["pending"]) == (6, 6)


def test_a_process_that_ends_while_it_is_asked_has_closed_its_segment(tmp_path: Path) -> None:
    write_segments(tmp_path, [spans_of(1)])
    assert closing.ask(tmp_path, {STREAM}) == {STREAM}
    assert list(tmp_path.glob("*.close")) == []


def test_a_dry_run_says_the_same_and_erases_nothing(tmp_path: Path) -> None:
    write_segments(tmp_path, [spans_of(1, 2)])
    record(tmp_path, *spans_of(1))
    before = everything_in(tmp_path)
    assert erase(tmp_path, 1, dry_run=True) == Erased(spans=6)
    assert everything_in(tmp_path) == before


def test_the_age_of_what_was_written_again_stays(tmp_path: Path) -> None:
    (path,) = write_segments(tmp_path, [spans_of(1, 2)])
    written = path.stat().st_mtime_ns
    erase(tmp_path, 1)
    assert path.stat().st_mtime_ns == written
    assert packing.pack_segment(path).stat().st_mtime_ns == written


def test_traces_are_older_when_all_of_them_ended_before(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, STREAM)
    writer.append(END, line_of(span(1, 0, 5, trace=1), span(2, 5, 15, trace=2), span(3, 0, 1, trace=3)).encode(), 3)
    begin(writer, span(4, 0, 0, trace=3), span(5, 0, 0, trace=4))
    writer.close()
    moment = BEGIN_NS + 10 * 10**9
    with living(tmp_path):
        assert purge.older(tmp_path, moment) == {trace(1)}
    assert purge.older(tmp_path, moment) == {trace(1), trace(3), trace(4)}


def test_the_command_erases_a_run_or_what_is_old(tmp_path: Path) -> None:
    runs = [workflow(1, 3600 * n, 3600 * n + 1, trace=n, name=f"run {n}") for n in range(1, 5)]
    write_segments(tmp_path, [runs], stream=OTHER_STREAM)
    assert ran("--run", "last", "--dry-run", "--journal", tmp_path)["spans"] == 1
    assert ran("--run", trace(4), "--run", trace(3), "--journal", tmp_path) == {
        "schema": "spanwise.purge/1",
        "dry_run": False,
        "spans": 2,
        "files": 0,
        "undelivered": {},
        "still_written": 0,
    }
    assert ran("--before", "2026-09-21T15:30Z", "--journal", tmp_path)["spans"] == 1
    assert [one.trace_id for one in read(tmp_path)] == [trace(2)]
    assert ran("--before", "1m", "--journal", tmp_path)["files"] == 1
    assert ran("--before", "1m", "--journal", tmp_path)["spans"] == 0


def test_the_command_says_what_it_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "PATIENCE", 0.05)
    write_segments(tmp_path, [[workflow(1, 0, 1)]])
    with pytest.raises(InputError, match="nothing to erase is named; give --before WHEN or --run RUN"):
        command.purge(journal=tmp_path)
    with pytest.raises(InputError, match="--before 'soon': not understood"):
        command.purge(before="soon", journal=tmp_path)
    with pytest.raises(InputError, match="no such run"):
        command.purge(run=["ffff"], journal=tmp_path)
    with living(tmp_path), pytest.raises(CheckFailedError, match="1 more spans are in a file that a living process"):
        command.purge(run=["last"], journal=tmp_path)


def test_a_run_that_goes_on_is_not_erased(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, STREAM)
    begin(writer, workflow(1, 0, 1))
    writer.close()
    with living(tmp_path), pytest.raises(InputError, match="has not ended; end its process first"):
        command.purge(run=["last"], journal=tmp_path)


def test_bounds_and_purge_do_not_meet(tmp_path: Path) -> None:
    write_segments(tmp_path, [spans_of(1, 2)])
    seen: list[int] = []

    def is_wanted(trace_id: str, _: str) -> bool:
        seen.append(bounds.keep(tmp_path, now=0).packed)
        return trace_id == trace(1)

    purge.erase(tmp_path, is_wanted)
    assert set(seen) == {0}
