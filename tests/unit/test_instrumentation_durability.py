"""When an ended span is written, by whom, and what happens where spans end faster than that."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from support import journal_files
from support.loops import as_in_a_loop
from support.otlp_json import attributes

import spanwise
from spanwise.content.filter import ContentFilter
from spanwise.journal import ledger
from spanwise.journal.format import END, START
from spanwise.journal.ledger import Counts
from spanwise.journal.reader import read
from spanwise.journal.stream import Stream
from spanwise.recording import buffer as buffers
from spanwise.recording import build as assembly
from spanwise.recording.buffer import ORDINARY, Buffer
from spanwise.recording.processor import RecordingProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spanwise.recording.telemetry import Telemetry

LONG_INTERVAL = 600.0


class Gate(Stream):
    """A disk that can be made to wait."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.free = threading.Event()
        self.free.set()
        self.waiting = threading.Event()
        self.writers: list[str] = []

    def append(self, kind: int, payload: bytes, count: int = 0) -> None:
        self.waiting.set()
        self.free.wait(10)
        if kind == END:
            self.writers.append(threading.current_thread().name)
        super().append(kind, payload, count)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolated_provider: None) -> Iterator[Gate]:
    """Configure with a stream that records who writes; nothing is written by the clock."""
    stream = Gate(tmp_path)

    def made(folder: Path, ledger: Any, *, check: bool) -> Stream:
        stream.ledger = ledger
        return stream

    monkeypatch.setattr(assembly, "_stream", made)
    yield stream
    stream.free.set()


def configured(folder: Path, **settings: Any) -> Telemetry:
    return spanwise.configure(journal_dir=folder, **{"journal_interval": LONG_INTERVAL, **settings})


def held_up(stream: Gate, telemetry: Telemetry) -> None:
    """Have the recorder's thread wait in the middle of a write."""
    stream.waiting.clear()
    stream.free.clear()
    with as_in_a_loop(), spanwise.step("held up"):
        pass
    assert stream.waiting.wait(10)


def test_sync_writes_each_span_before_its_end_returns(tmp_path: Path, gate: Gate) -> None:
    telemetry = configured(tmp_path, durability="sync")
    with spanwise.workflow("desk"):
        with spanwise.step("inner"):
            pass
        assert journal_files.names(tmp_path) == ["step inner"]
        assert ledger.read(tmp_path) == Counts(started=2, open=1, journaled=1)

    async def main() -> None:
        with spanwise.step("in a loop"):
            pass
        assert journal_files.names(tmp_path)[-1] == "step in a loop"

    asyncio.run(main())
    assert set(gate.writers) == {"spanwise-recorder"}
    assert telemetry.ledger() == Counts(started=3, journaled=3)


def test_an_interval_writes_by_itself(tmp_path: Path, gate: Gate) -> None:
    telemetry = configured(tmp_path, journal_interval=0.01)
    with as_in_a_loop(), spanwise.step("outer"):
        with spanwise.step("inner"):
            pass
        deadline = time.monotonic() + 10
        while not telemetry.ledger().journaled and time.monotonic() < deadline:
            gate.waiting.wait(0.01)
    assert gate.writers[:1] == ["spanwise-recorder"]


def test_the_end_of_an_outermost_span_waits_for_the_write(tmp_path: Path, gate: Gate) -> None:
    configured(tmp_path)
    for number in range(3):
        with spanwise.step(str(number)), spanwise.step("inner"):
            pass
        assert journal_files.names(tmp_path)[-2:] == ["step inner", f"step {number}"]


def test_a_span_below_one_of_another_process_is_an_outermost_one_here(tmp_path: Path, gate: Gate) -> None:
    configured(tmp_path)
    carrier = {"traceparent": f"00-{7:032x}-{8:016x}-01"}
    token = otel_context.attach(propagate.extract(carrier))
    with spanwise.step("worker"), spanwise.step("inner"):
        pass
    otel_context.detach(token)
    assert journal_files.names(tmp_path) == ["step inner", "step worker"]


def test_a_span_of_another_library_that_is_outermost_is_waited_for_likewise(tmp_path: Path, gate: Gate) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    configured(tmp_path)
    with trace.get_tracer("theirs").start_as_current_span("theirs"), spanwise.step("ours"):
        pass
    assert journal_files.names(tmp_path) == ["step ours", "theirs"]


def test_where_an_event_loop_runs_the_end_of_an_outermost_span_only_wakes_the_writer(
    tmp_path: Path, gate: Gate
) -> None:
    telemetry = configured(tmp_path)
    gate.free.clear()

    async def main() -> list[int]:
        with spanwise.step("outermost"):
            pass
        assert gate.waiting.wait(10), "nobody woke the recorder's thread"
        before = telemetry.ledger().journaled
        gate.free.set()
        return [before]

    assert asyncio.run(main()) == [0]
    assert journal_files.names(tmp_path) == ["step outermost"], "the loop's end did not wait for the write"


def test_outermost_spans_in_quick_succession_are_not_all_waited_for(tmp_path: Path, gate: Gate) -> None:
    configured(tmp_path)
    for _ in range(2_000):
        with spanwise.step("quick"):
            pass
    waits = len(gate.writers)
    assert 100 <= waits < 1_000


def test_a_full_buffer_has_the_thread_that_ends_a_span_wait_until_there_is_room(tmp_path: Path, gate: Gate) -> None:
    telemetry = configured(tmp_path, buffer_size=ORDINARY * 100)
    with spanwise.step("outer"):
        for number in range(1_000):
            with spanwise.step(str(number)):
                pass
    telemetry.flush()
    assert telemetry.ledger() == Counts(started=1_001, journaled=1_001)
    assert set(gate.writers) == {"spanwise-recorder"}
    assert len(set(journal_files.names(tmp_path))) == 1_001


def test_a_full_buffer_drops_and_counts_what_ends_where_an_event_loop_runs(tmp_path: Path, gate: Gate) -> None:
    telemetry = configured(tmp_path, buffer_size=ORDINARY * 100)
    held_up(gate, telemetry)
    with as_in_a_loop():
        for number in range(1_000):
            with spanwise.step(str(number)):
                pass
    counts = telemetry.ledger()
    assert 90 <= counts.buffered <= 101
    assert counts == Counts(1_001, buffered=counts.buffered, dropped={"buffer_full": 1_001 - counts.buffered})
    gate.free.set()
    telemetry.flush()
    assert telemetry.ledger() == Counts(1_001, journaled=counts.buffered, dropped=counts.dropped)
    assert ledger.read(tmp_path) == telemetry.ledger()


def test_long_values_count_with_their_length(tmp_path: Path, gate: Gate) -> None:
    telemetry = configured(tmp_path, buffer_size=2**20)
    held_up(gate, telemetry)
    text = "a word, and so on. " * 1_000
    with as_in_a_loop():
        for _ in range(500):
            with spanwise.step("long") as step:
                step.set("text", text)
    counts = telemetry.ledger()
    assert counts.dropped["buffer_full"] > 400
    assert counts.buffered * len(text) < 2 * 2**20
    gate.free.set()
    telemetry.flush()
    with as_in_a_loop(), spanwise.step("there is room again"):
        pass
    telemetry.flush()
    assert telemetry.ledger().dropped == counts.dropped


def test_spans_of_other_libraries_are_weighed_too() -> None:
    waiting = Buffer(100 * ORDINARY)
    waiting.open()
    context = spanwise.step("s").context
    span = ReadableSpan("s", context=context, attributes={"text": "x" * 50 * ORDINARY, "short": "x"})
    waiting.hold_foreign(span)
    assert (waiting.room, waiting.is_full) == (50, False)
    waiting.release((span,))
    assert (waiting.room, waiting.heavy) == (100, 0)


def test_a_buffer_without_long_values_holds_as_many_spans_as_its_bytes_allow() -> None:
    waiting = buffers.Buffer(10 * ORDINARY)
    assert waiting.room == 0
    waiting.open()
    assert waiting.room == 10
    waiting.press(behind=True)
    assert waiting.room == 0
    waiting.press(behind=False)
    waiting.close()
    assert waiting.room == 0


class Steps(Stream):
    """A disk that takes as many records as it is given leave for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.leave = threading.Semaphore(0)
        self.asked = threading.Semaphore(0)

    def append(self, kind: int, payload: bytes, count: int = 0) -> None:
        self.asked.release()
        self.leave.acquire(timeout=10)
        super().append(kind, payload, count)


def test_where_writing_lags_by_an_interval_those_who_end_spans_have_to_look(tmp_path: Path) -> None:
    stream = Steps(tmp_path)
    waiting = Buffer(2**20)
    recorder = RecordingProcessor(stream=stream, buffer=waiting, interval=1e-9)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(recorder)
    tracer = provider.get_tracer("t")
    outer = tracer.start_span("outer")
    inside = trace.set_span_in_context(outer)
    for _ in range(3):
        tracer.start_span("one", inside).end()
    assert stream.asked.acquire(timeout=10)
    with as_in_a_loop():
        for _ in range(600):
            tracer.start_span("more", inside).end()
    stream.leave.release()
    assert stream.asked.acquire(timeout=10)  # of the 600, the first 512
    stream.leave.release()
    assert stream.asked.acquire(timeout=10)  # and the others: the interval is over
    lagging = waiting.room
    stream.leave.release(1_000)
    assert recorder.flush_journal(10)
    assert recorder.flush_journal(10)  # once more: the thread has looked at the queue again
    assert waiting.room > 0
    outer.end()
    recorder.shutdown()
    assert lagging == 0
    assert recorder.ledger.counts() == Counts(started=604, journaled=604)


def test_a_signal_amid_a_write_waits_until_that_is_done(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []

    class Interrupted(Stream):
        def append(self, kind: int, payload: bytes, count: int = 0) -> None:
            said = recorder.write_or(lambda: told.append(("later", self.ledger.counts().journaled)), 1.0)
            told.append((str(said), self.ledger.counts().journaled))
            super().append(kind, payload, count)

    recorder = RecordingProcessor(stream=Interrupted(tmp_path), sync=True)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(recorder)
    provider.get_tracer("t").start_span("s").end()
    assert told == [("False", 0), ("later", 1)]
    assert recorder.write_or(lambda: told.append(("never", 0)), 1.0) is True
    recorder.shutdown()
    assert len(told) == 2


def starts(folder: Path) -> list[tuple[str, str]]:
    return [(span["name"], span["endTimeUnixNano"]) for span in journal_files.spans(folder, START)]


def test_the_starts_of_workflows_agents_and_remote_children_are_written_while_they_are_open(
    tmp_path: Path, gate: Gate
) -> None:
    telemetry = configured(tmp_path, capture_content="none")
    carrier = {"traceparent": f"00-{7:032x}-{8:016x}-01"}
    with spanwise.workflow("desk"), spanwise.agent("risk") as agent, spanwise.tool("prices"):
        agent.set("note", "the key is sk-proj-" + "a1B2" * 12)
        with spanwise.agent("over already"):
            pass
        token = otel_context.attach(propagate.extract(carrier))
        with spanwise.step("served"):
            telemetry.flush()
        otel_context.detach(token)
    assert starts(tmp_path) == [("invoke_workflow desk", "0"), ("invoke_agent risk", "0"), ("step served", "0")]
    assert b"sk-proj-a1B2" not in b"".join(journal_files.payloads(tmp_path, START))
    assert ledger.read(tmp_path) == telemetry.ledger() == Counts(started=5, journaled=5)


def test_a_span_that_nobody_wants_has_no_start(tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    telemetry = configured(tmp_path)
    with spanwise.workflow("desk"):
        telemetry.flush()
    monkeypatch.delenv("OTEL_TRACES_SAMPLER")
    assert (starts(tmp_path), telemetry.ledger()) == ([], Counts(1, dropped={"sampled": 1}))


def test_where_a_hook_decides_on_ended_spans_a_start_holds_the_identity_alone(tmp_path: Path, gate: Gate) -> None:
    telemetry = configured(tmp_path, span_hook=lambda span: span)
    carrier = {"traceparent": f"00-{7:032x}-{8:016x}-01"}
    with spanwise.workflow("for Ada", run_id="run-7", variant="v") as run, spanwise.agent("Ada's") as agent:
        agent.set("customer", "Ada").set("gen_ai.operation.name", "looks after Ada")
        token = otel_context.attach(propagate.extract(carrier))
        with spanwise.step("serves Ada"):
            telemetry.flush()
        otel_context.detach(token)
        shown = journal_files.spans(tmp_path, START)
        assert ("invoke_workflow", "open") in [(record.name, record.state) for record in read(tmp_path)]
    assert [(span["name"], span.get("parentSpanId")) for span in shown] == [
        ("invoke_workflow", None), ("", f"{run.context.span_id:016x}"), ("", f"{8:016x}"),
    ]  # fmt: skip
    assert shown[0]["attributes"] == attributes(
        {"gen_ai.operation.name": "invoke_workflow", "spanwise.run.id": "run-7"}
    )
    assert [span.get("attributes") for span in shown[1:]] == [None, None]
    assert b"Ada" not in b"".join(journal_files.payloads(tmp_path, START))


def test_a_span_that_a_hook_drops_after_its_start_was_shown_is_not_taken_for_interrupted(
    tmp_path: Path, gate: Gate
) -> None:
    telemetry = configured(tmp_path, span_hook=lambda span: None if "agent" in span.name else span)
    with spanwise.workflow("desk"):
        with spanwise.agent("risk"):
            telemetry.flush()
        telemetry.flush()
        assert [(record.name, record.state) for record in read(tmp_path)] == [("invoke_workflow", "open")]
    spanwise.shutdown()
    assert [(record.name, record.state) for record in read(tmp_path)] == [("invoke_workflow desk", "ended")]
    assert starts(tmp_path)[:2] == [("invoke_workflow", "0"), ("invoke_agent", "0")]
    assert ledger.read(tmp_path) == Counts(started=2, journaled=1, dropped={"hook": 1})


def test_a_start_that_cannot_be_withdrawn_costs_no_other_span(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = ContentFilter.begun

    def broken(self: ContentFilter, span: ReadableSpan, end_ns: int | None = None) -> ReadableSpan:
        if end_ns is not None:
            raise ValueError("cannot be looked through")
        return begun(self, span, end_ns)

    monkeypatch.setattr(ContentFilter, "begun", broken)
    telemetry = configured(tmp_path, span_hook=lambda span: None if "agent" in span.name else span)
    with spanwise.workflow("desk"):
        with spanwise.agent("risk"):
            telemetry.flush()
        with spanwise.step("kept"):
            pass
        telemetry.flush()
    assert telemetry.flush()
    assert journal_files.names(tmp_path) == ["step kept", "invoke_workflow desk"]
    assert telemetry.ledger() == Counts(started=3, journaled=2, dropped={"hook": 1})


def test_an_open_span_of_a_hooks_program_that_is_killed_is_interrupted(tmp_path: Path, gate: Gate) -> None:
    telemetry = configured(tmp_path, span_hook=lambda span: span)
    spanwise.workflow("desk").start()
    telemetry.flush()
    spanwise.shutdown()
    assert [(record.name, record.state) for record in read(tmp_path)] == [("invoke_workflow", "interrupted")]


def test_a_span_that_a_garbage_collection_ends_amid_a_write_is_queued(tmp_path: Path) -> None:
    class Collecting(Stream):
        def append(self, kind: int, payload: bytes, count: int = 0) -> None:
            tracer.start_span("collected").end() if not self.ledger.counts().journaled else None
            super().append(kind, payload, count)

    recorder = RecordingProcessor(stream=Collecting(tmp_path), sync=True)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(recorder)
    tracer = provider.get_tracer("t")
    tracer.start_span("s").end()
    recorder.shutdown()
    assert sorted(journal_files.names(tmp_path)) == ["collected", "s"]
    assert recorder.ledger.counts() == Counts(started=2, journaled=2)


@pytest.mark.usefixtures("isolated_provider")
def test_a_clock_that_goes_back_an_hour_loses_no_span_and_invents_no_duration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path)
    now = time.time_ns
    with spanwise.step("across"):
        with spanwise.step("before"):
            pass
        monkeypatch.setattr(time, "time_ns", lambda: now() - 3_600 * 10**9)
        with spanwise.step("after"):
            pass
    for _ in range(300):
        with spanwise.step("later"):
            pass
    telemetry.flush()
    found = {span["name"]: span for span in journal_files.spans(tmp_path)}
    lengths = {name: int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) for name, span in found.items()}
    assert lengths["step across"] == 1
    assert min(lengths.values()) >= 1
    assert telemetry.ledger() == ledger.read(tmp_path) == Counts(started=303, journaled=303)


@pytest.mark.usefixtures("isolated_provider")
def test_after_a_clock_has_gone_back_outermost_spans_are_waited_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path, journal_interval=60)  # nothing is written by the clock here
    now = time.time_ns
    for _ in range(200):
        with spanwise.step("quick"):
            pass
    monkeypatch.setattr(time, "time_ns", lambda: now() - 3_600 * 10**9)
    assert telemetry.flush(10)
    with spanwise.step("waited for"):
        pass
    assert telemetry.ledger() == Counts(started=201, journaled=201)
