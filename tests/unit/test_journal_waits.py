"""Waits in the journal: records of their own that say who released whom, counted and delivered as spans are."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support import journal_files
from support.deliveries import JumpingTime, Line
from support.segments import STREAM, end, living, payload_of, write_segments
from support.traces import agent, identifier, tool, wait

import spanwise
from spanwise import conventions as c
from spanwise.content.outlet import Outlet
from spanwise.destinations import factory
from spanwise.destinations.delivery import Delivery
from spanwise.destinations.sending import Sender
from spanwise.destinations.sources import StreamSource
from spanwise.journal import cursor, payloads, purge, scan
from spanwise.journal import ledger as ledgers
from spanwise.journal.format import END, HEADER, START, WAIT
from spanwise.journal.ledger import Counts, Ledger
from spanwise.journal.purge import Erased
from spanwise.journal.reader import LinkRecord, read
from spanwise.journal.segment import SegmentWriter
from spanwise.journal.stream import Stream
from spanwise.otlp import json_encoder as otlp_json
from spanwise.recording.processor import RecordingProcessor

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise.otlp.records import SpanRecord
    from spanwise.recording.telemetry import Telemetry

SECOND = 10**9


def configured(folder: Path, **settings: Any) -> Telemetry:
    return spanwise.configure(journal_dir=folder, **settings)


def kinds(folder: Path) -> list[int]:
    return [record.kind for stream in scan.streams(folder) for path in stream.segments for record in scan.records(path)]


def only_wait(folder: Path) -> SpanRecord:
    [found] = [span for span in read(folder) if span.is_wait]
    return found


@pytest.mark.usefixtures("isolated_provider")
def test_waits_are_written_in_a_record_of_their_own_before_those_who_waited(tmp_path: Path) -> None:
    telemetry = configured(tmp_path)
    with spanwise.step("s"):
        spanwise.record_wait("lock", "a", 1 * SECOND, 3 * SECOND)
        spanwise.record_wait("lock", "b", 3 * SECOND, 4 * SECOND)
    assert telemetry.flush()
    assert kinds(tmp_path) == [HEADER, WAIT, END]
    assert journal_files.names(tmp_path, WAIT) == ["wait a", "wait b"]
    assert journal_files.names(tmp_path, END) == ["step s"]
    assert telemetry.ledger() == Counts(started=3, journaled=3)


@pytest.mark.usefixtures("isolated_provider")
@pytest.mark.parametrize("kind", get_args(c.WaitKind))
def test_a_wait_of_each_kind_says_from_when_to_when_who_waited_for_what_and_who_released_it(
    tmp_path: Path, kind: c.WaitKind
) -> None:
    telemetry = configured(tmp_path)
    with spanwise.step("releaser") as releaser:
        pass
    with spanwise.agent("waiter") as waiter:
        spanwise.record_wait(kind, "slots", 1 * SECOND, 3 * SECOND, released_by=releaser.context)
    assert telemetry.flush()
    found = only_wait(tmp_path)
    identity = f"{releaser.context.trace_id:032x}", f"{releaser.context.span_id:016x}"
    assert replace(found, span_id="", resource={}) == replace(
        found,
        span_id="",
        trace_id=f"{waiter.context.trace_id:032x}",
        parent_id=f"{waiter.context.span_id:016x}",
        name="wait slots",
        kind=1,
        start_ns=1 * SECOND,
        end_ns=3 * SECOND,
        attributes={c.AGENT_NAME: "waiter", c.WAIT_KIND: kind, c.WAIT_RESOURCE: "slots"},
        links=(LinkRecord(*identity, {c.LINK_REASON: "waits_on"}),),
        events=(),
        status_code=0,
        state="ended",
        resource={},
    )


@pytest.mark.usefixtures("isolated_provider")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "unknown"),
        ({"released_by": trace.INVALID_SPAN_CONTEXT}, "unknown"),
        ({"task": "Task-7 (refresh)"}, "task Task-7 (refresh)"),
        ({"task": "unknown"}, "task unknown"),
    ],
)
def test_a_wait_without_a_releasing_span_names_the_task_or_says_that_it_is_unknown(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    telemetry = configured(tmp_path)
    with spanwise.step("s"):
        spanwise.record_wait("lock", "l", 1, SECOND, **given)
    assert telemetry.flush()
    found = only_wait(tmp_path)
    assert (found.links, found.attributes[c.WAIT_RELEASED_BY]) == ((), said)


@pytest.mark.usefixtures("isolated_provider")
def test_a_task_name_is_redacted_like_any_attribute(tmp_path: Path) -> None:
    telemetry = configured(tmp_path)
    with spanwise.step("s"):
        spanwise.record_wait("lock", "l", 1, SECOND, task="for ann@example.com")
    assert telemetry.flush()
    assert b"ann@example.com" not in b"".join(journal_files.payloads(tmp_path, WAIT))


def test_what_processors_of_the_host_see_of_a_wait_is_what_its_record_holds(
    tmp_path: Path, isolated_provider: None
) -> None:
    seen, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(seen))
    trace.set_tracer_provider(provider)
    telemetry = configured(tmp_path)
    with spanwise.step("s"):
        spanwise.record_wait("queue", "q", 1, SECOND)
    assert telemetry.flush()
    [projected] = [span for span in seen.get_finished_spans() if span.name == "wait q"]
    assert list(journal_files.payloads(tmp_path, WAIT)) == [otlp_json.encode([projected])]


@pytest.mark.usefixtures("isolated_provider")
def test_a_hook_that_drops_waits_is_heard_and_counted(tmp_path: Path) -> None:
    telemetry = configured(tmp_path, span_hook=lambda span: None if c.WAIT_KIND in span.attributes else span)
    with spanwise.step("s"):
        spanwise.record_wait("lock", "l", 1, SECOND)
    assert telemetry.flush()
    assert journal_files.names(tmp_path) == ["step s"]
    assert telemetry.ledger() == Counts(started=2, journaled=1, dropped={"hook": 1})


@pytest.mark.usefixtures("isolated_provider")
def test_a_disk_that_takes_the_waits_and_not_the_spans_loses_what_the_ledger_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Stream.append

    def append(self: Stream, kind: int, payload: bytes, count: int = 0) -> None:
        if kind == END:
            raise OSError(28, "No space left on device")
        written(self, kind, payload, count)

    monkeypatch.setattr(Stream, "append", append)
    telemetry = configured(tmp_path)
    with spanwise.step("s"):
        spanwise.record_wait("lock", "l", 1, SECOND)
    assert telemetry.flush()
    assert telemetry.ledger() == Counts(started=2, journaled=1, dropped={"disk_full": 1})
    assert [span.name for span in read(tmp_path)] == ["wait l"]


def test_waits_that_a_killed_process_wrote_after_its_last_count_are_counted(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    stream.add(payload_of(tool(1, 0, 1)), 1)
    stream.ledger.start()
    stream.ledger.start()
    stream.segments.append(WAIT, payload_of(wait(2, 0, 1), wait(3, 0, 1)), 2)
    stream.abandon()
    assert ledgers.read(tmp_path) == Counts(started=3, journaled=3)


@pytest.mark.parametrize("are_meant", [True, False])
def test_waits_go_to_the_destinations_that_want_them_and_are_filtered_for_others(
    tmp_path: Path, *, are_meant: bool
) -> None:
    write_segments(tmp_path, [[wait(1, 0, 1, parent=3), wait(2, 1, 2, parent=3)], [agent(3, 0, 4)]], [[wait(4, 5, 6)]])
    held, line = cursor.open_cursor(tmp_path, "otlp", STREAM), Line()
    assert held is not None
    pending = StreamSource(tmp_path, "otlp", held, Outlet(waits=are_meant))
    while batch := pending.batch():
        assert Delivery(line, JumpingTime()).deliver(batch, pending)
    pending.close()
    state = pending.cursor.state
    assert (state.delivered, state.filtered, state.settled) == ((4, 0, 4) if are_meant else (1, 3, 4))
    assert [name for name in line.accepted if not name.startswith("wait")] == ["invoke_agent risk"]


@pytest.mark.usefixtures("isolated_provider")
def test_by_default_an_otlp_receiver_gets_waits_langsmith_gets_none_and_the_ledger_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {"otlp": Line(), "langsmith": Line()}
    monkeypatch.setattr(factory, "transport_of", lambda settings, name: lines[name])
    telemetry = configured(tmp_path, endpoint="http://127.0.0.1:9", langsmith_project="desk")
    with spanwise.step("s"):
        spanwise.record_wait("lock", "l", 1, SECOND)
    assert telemetry.flush()
    assert {name: line.accepted for name, line in lines.items()} == {
        "otlp": ["wait l", "step s"],
        "langsmith": ["step s"],
    }
    none = {"pending": 0, "set_aside": 0, "expired": 0}
    fates = {"otlp": {"delivered": 2, "filtered": 0, **none}, "langsmith": {"delivered": 1, "filtered": 1, **none}}
    assert telemetry.ledger() == Counts(started=2, journaled=2, destinations=fates)
    spanwise.shutdown()
    assert ledgers.read(tmp_path) == Counts(started=2, journaled=2, destinations=fates)


def test_waits_that_an_earlier_version_wrote_as_spans_are_read_and_filtered_alike(tmp_path: Path) -> None:
    old = [wait(1, 0, 1, parent=3), agent(3, 0, 4)]
    with Stream(tmp_path) as stream:
        stream.add(payload_of(*old), 2)
    assert list(read(tmp_path)) == old
    assert [span.is_wait for span in read(tmp_path)] == [True, False]
    held, line = cursor.open_cursor(tmp_path, "langsmith", stream.name), Line()
    assert held is not None
    pending = StreamSource(tmp_path, "langsmith", held, Outlet(waits=False))
    assert Delivery(line, JumpingTime()).deliver(pending.batch(), pending)
    pending.close()
    assert (line.accepted, pending.cursor.state.filtered) == (["invoke_agent risk"], 1)


def test_waits_kept_in_memory_for_a_destination_that_does_not_want_them_are_filtered() -> None:
    line, ledger = Line(), Ledger(("langsmith",))
    sender = Sender("langsmith", line, Outlet(waits=False), ledger, journaled=False)
    provider = TracerProvider(shutdown_on_exit=False)
    recorder = RecordingProcessor(ledger=ledger, destinations=(sender,))
    provider.add_span_processor(recorder)
    tracer = provider.get_tracer("t")
    tracer.start_span("wait l", attributes={c.WAIT_KIND: "lock", c.WAIT_RESOURCE: "l"}).end()
    tracer.start_span("step s").end()
    assert recorder.force_flush()
    recorder.shutdown()
    fates = {"delivered": 1, "pending": 0, "set_aside": 0, "filtered": 1, "expired": 0}
    assert (line.accepted, ledger.counts()) == (
        ["step s"], Counts(started=2, journaled=2, destinations={"langsmith": fates})
    )  # fmt: skip


def test_erased_waits_are_gone_and_what_was_not_delivered_of_them_is_counted(tmp_path: Path) -> None:
    write_segments(tmp_path, [[wait(1, 0, 1, trace=1), wait(2, 0, 1, trace=2)], [tool(3, 0, 1, trace=1)]])
    held = cursor.open_cursor(tmp_path, "otlp", STREAM)
    assert held is not None
    held.close()
    erased = purge.erase(tmp_path, lambda trace_id, _: trace_id == identifier(1, 32))
    assert erased == Erased(spans=2, undelivered=Counter(otlp=2))
    assert list(read(tmp_path)) == [wait(2, 0, 1, trace=2)]


def test_where_no_waits_are_meant_their_records_are_not_even_looked_into(tmp_path: Path) -> None:
    with Stream(tmp_path) as stream:
        stream.add(b"no request", 2, WAIT)
    held = cursor.open_cursor(tmp_path, "langsmith", stream.name)
    assert held is not None
    pending = StreamSource(tmp_path, "langsmith", held, Outlet(waits=False))
    assert Delivery(Line(), JumpingTime()).deliver(pending.batch(), pending)
    pending.close()
    assert (pending.cursor.state.filtered, pending.cursor.state.set_aside) == (2, 0)


def test_waits_of_a_deleted_segment_have_expired(tmp_path: Path) -> None:
    first, _ = write_segments(tmp_path, [[wait(1, 0, 1), wait(2, 0, 1)], [tool(3, 0, 1)]], [[tool(4, 1, 2)]])
    first.unlink()
    held = cursor.open_cursor(tmp_path, "otlp", STREAM)
    assert held is not None
    pending = StreamSource(tmp_path, "otlp", held, Outlet(waits=False))
    while batch := pending.batch():
        assert Delivery(Line(), JumpingTime()).deliver(batch, pending)
    pending.close()
    assert (pending.cursor.state.expired, pending.cursor.state.delivered) == (3, 1)


def test_waits_that_a_living_process_is_still_writing_are_not_erased_and_counted(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, STREAM)
    end(writer, wait(1, 0, 1), wait(2, 0, 1))
    with living(tmp_path):
        assert purge.erase(tmp_path, lambda *_: True) == Erased(still_written=2)
    writer.close()
    assert len(list(read(tmp_path))) == 2


def test_a_request_is_taken_apart_into_waits_and_spans_and_nothing_else_changes() -> None:
    mixed = payload_of(tool(1, 0, 1), wait(2, 0, 1), wait(3, 1, 2))
    [(first, waits, of_waits), (second, spans, of_spans)] = payloads.records_of(mixed, 3)
    assert (first, of_waits, second, of_spans) == (WAIT, 2, END, 1)
    assert json.loads(waits) == json.loads(payload_of(wait(2, 0, 1), wait(3, 1, 2)))
    assert json.loads(spans) == json.loads(payload_of(tool(1, 0, 1)))
    plain, waiting = payload_of(tool(1, 0, 1)), payload_of(wait(2, 0, 1))
    assert list(payloads.records_of(plain, 1)) == [(END, plain, 1)]
    assert [(kind, json.loads(part), number) for kind, part, number in payloads.records_of(waiting, 1)] == [
        (WAIT, json.loads(waiting), 1)
    ]


@pytest.mark.usefixtures("isolated_provider")
def test_starts_are_spans_and_never_waits(tmp_path: Path) -> None:
    telemetry = configured(tmp_path)
    with spanwise.workflow("w"):
        spanwise.record_wait("lock", "l", 1, SECOND)
        assert telemetry.flush()
        assert kinds(tmp_path) == [HEADER, START, WAIT]
