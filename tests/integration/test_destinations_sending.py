"""Recording processes and their receivers: what one leaves pending another one sends, and nothing is lost between."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from support.deliveries import ACCEPTED, Line, payload, write
from support.otlp_receiver import receiving, receiving_grpc
from support.servers import eventually

import spanwise
from spanwise.content.outlet import Outlet
from spanwise.destinations import sending
from spanwise.destinations.sending import Sender
from spanwise.journal import cursor as cursors
from spanwise.journal import ledger as ledgers
from spanwise.journal.ledger import Ledger
from spanwise.journal.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spanwise.destinations.transport import Reply

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("isolated_provider")]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def record(*names: str) -> None:
    for name in names:
        with spanwise.step(name):
            pass


def fates(folder: Path) -> dict[str, int]:
    counts = ledgers.read(folder)
    for numbers in counts.destinations.values():
        assert counts.journaled == sum(numbers.values())
    return {name: number for name, number in counts.destinations.get("otlp", {}).items() if number}


def test_what_was_pending_at_shutdown_is_sent_by_the_next_process_first_come_first_served(tmp_path: Path) -> None:
    spanwise.configure(journal_dir=tmp_path, endpoint=f"http://127.0.0.1:{unused_port()}", shutdown_timeout=0.2)
    record("a", "b")
    spanwise.shutdown()
    assert fates(tmp_path) == {"pending": 2}
    with receiving() as receiver:
        spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address)
        record("c")
        assert eventually(lambda: fates(tmp_path), lambda seen: seen == {"delivered": 3}, within=10) == {"delivered": 3}
        spanwise.shutdown()
    assert sorted(receiver.spans) == ["step a", "step b", "step c"]
    [states] = cursors.read_all(tmp_path).values()
    assert sorted((state.delivered, state.problem) for state in states.values()) == [(1, ""), (2, "")]


KILLED = """
import os, signal, spanwise
telemetry = spanwise.configure(journal_dir="j", endpoint="http://127.0.0.1:{port}", shutdown_timeout=0.2)
for name in ("a", "b", "c"):
    with spanwise.step(name):
        pass
telemetry.flush(0.3)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_had_not_sent_is_sent_by_another(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(port=unused_port())],
        cwd=tmp_path,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert fates(tmp_path / "j") == {"pending": 3}
    with receiving() as receiver:
        spanwise.configure(journal_dir=tmp_path / "j", endpoint=receiver.address)
        record("d")
        eventually(lambda: fates(tmp_path / "j"), lambda seen: seen == {"delivered": 4}, within=10)
        spanwise.shutdown()
    assert sorted(receiver.spans) == ["step a", "step b", "step c", "step d"]


def test_what_was_recorded_without_a_destination_is_not_sent_by_itself(tmp_path: Path) -> None:
    spanwise.configure(journal_dir=tmp_path)
    record("private")
    spanwise.shutdown()
    with receiving() as receiver:
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address)
        record("meant")
        assert telemetry.flush(10)
        spanwise.shutdown()
    assert receiver.spans == ["step meant"]
    assert fates(tmp_path) == {"delivered": 1, "filtered": 1}


def test_a_forked_child_sends_its_own_spans(tmp_path: Path) -> None:
    with receiving() as receiver:
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address)
        record("before")
        assert telemetry.flush(10)
        child = multiprocessing.get_context("fork").Process(target=record, args=("in child",))
        child.start()
        child.join(30)
        record("after")
        assert telemetry.flush(10)
        eventually(lambda: fates(tmp_path), lambda seen: seen == {"delivered": 3}, within=40)
        spanwise.shutdown()
    assert sorted(receiver.spans) == ["step after", "step before", "step in child"]


def test_two_destinations_get_their_own_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver, receiving() as smith:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", smith.address)
        monkeypatch.setenv("LANGSMITH_API_KEY", "key")
        telemetry = spanwise.configure(
            journal_dir=tmp_path, endpoint=receiver.address, langsmith_project="desk", otlp_drop="name=step b"
        )
        record("a", "b")
        assert telemetry.flush(10)
        counts = telemetry.ledger()
        spanwise.shutdown()
    assert {name: {k: v for k, v in one.items() if v} for name, one in counts.destinations.items()} == {
        "otlp": {"delivered": 1, "filtered": 1},
        "langsmith": {"delivered": 2},
    }
    assert (receiver.spans, smith.spans) == (["step a"], ["step a", "step b"])
    [(path, _, headers)] = {(path, status, tuple(headers.items())) for path, status, headers in smith.requests}
    assert (path, dict(headers)["x-api-key"], dict(headers)["Langsmith-Project"]) == ("/otel/v1/traces", "key", "desk")


def test_one_destination_that_is_away_does_not_hold_up_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_ENDPOINT", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("LANGSMITH_API_KEY", "key")
    with receiving() as receiver:
        telemetry = spanwise.configure(
            journal_dir=tmp_path, endpoint=receiver.address, langsmith_project="desk", shutdown_timeout=0.5
        )
        record("a")
        counts = eventually(lambda: telemetry.ledger().destinations, lambda seen: bool(seen["otlp"]["delivered"]))
        spanwise.shutdown()
    assert (counts["otlp"]["pending"], counts["langsmith"]["pending"]) == (0, 1)


def test_over_grpc_what_is_in_the_journal_arrives(tmp_path: Path) -> None:
    with receiving_grpc() as receiver:
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address, protocol="grpc")
        record(*map(str, range(600)))
        assert telemetry.flush(20)
        spanwise.shutdown()
    assert receiver.spans == [f"step {number}" for number in range(600)]
    assert fates(tmp_path) == {"delivered": 600}


def more_than(number: int) -> Callable[[int], bool]:
    return lambda seen: seen > number


def test_a_span_that_a_receiver_always_fails_for_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spanwise.destinations.delivery.FIRST_PAUSE", 0.01)
    write(tmp_path, "old", ["bad of old"]).close()
    held = cursors.open_cursor(tmp_path, "otlp", "old")
    assert held is not None
    held.close()
    with receiving() as receiver:
        receiver.fails = lambda names: any("bad" in name for name in names)
        spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address)
        record("a", "bad", *map(str, range(60)))
        wanted = {"delivered": 61, "set_aside": 1}
        assert eventually(lambda: fates(tmp_path), lambda seen: seen == wanted, within=30) == wanted
        number = 0
        while not (done := cursors.read_all(tmp_path)["otlp"]["old"].set_aside):
            number += 1
            assert number < 200
            tries = len(receiver.requests)
            record(f"more {number}")  # what other streams send shows in the end whose fault the old one's span is
            eventually(lambda: len(receiver.requests), more_than(tries + 1), within=2)
        assert done == 1
        spanwise.shutdown()
    assert len(receiver.spans) == len(set(receiver.spans)) == 61 + number


def test_a_receiver_that_never_answers_to_one_span_gets_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spanwise.destinations.delivery.FIRST_PAUSE", 0.01)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    given_up = threading.Event()
    with receiving() as receiver:
        receiver.fails = lambda names: "step silent" in names and not given_up.wait(0.4)
        spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address)
        record("silent", *map(str, range(60)))
        wanted = {"delivered": 60, "set_aside": 1}
        assert eventually(lambda: fates(tmp_path), lambda seen: seen == wanted, within=60) == wanted
        spanwise.shutdown()


def spans(number: int) -> tuple[ReadableSpan, ...]:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    made = [tracer.start_span(str(one)) for one in range(number)]
    for span in made:
        span.end()
    return tuple(span for span in made if isinstance(span, ReadableSpan))


def test_while_the_recorder_is_behind_sending_holds_back_but_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_LONGEST_YIELD", 0.3)
    sent: list[float] = []

    def reply(_: list[str]) -> Reply:
        sent.append(time.monotonic())
        return ACCEPTED

    ledger = Ledger(("otlp",))
    sender = Sender("otlp", Line(reply), Outlet(), ledger, journaled=False, backlog=lambda: 10_000)
    began = time.monotonic()
    sender.offer(spans(1))
    assert sender.flush(time.monotonic() + 10)
    sender.stop(time.monotonic() + 1)
    assert 0.3 <= sent[0] - began < 2


def test_a_stream_that_another_process_sends_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "old", ["theirs"]).close()
    held = cursors.open_cursor(tmp_path, "otlp", "old")
    assert held is not None
    line, ledger = Line(), Ledger(("otlp",))
    sender = Sender("otlp", line, Outlet(), ledger, journaled=True)
    with Stream(tmp_path, ledger) as stream:
        sender.begin(tmp_path, stream.name)
        stream.add(payload(["mine"]), 1)
        sender.offer(())
        assert sender.flush(time.monotonic() + 10)
        assert line.accepted == ["mine"]
        held.close()
        sender._look_due = 0.0
        sender.offer(())
        assert eventually(lambda: line.accepted, lambda seen: len(seen) == 2, within=10) == ["mine", "theirs"]
        sender.stop(time.monotonic() + 1)


def test_where_no_cursor_can_be_made_spans_stay_pending_until_one_can(tmp_path: Path) -> None:
    (tmp_path / "cursors").write_text("in the way")
    with receiving() as receiver:
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address)
        record("a")
        assert telemetry.flush(0.3) is False
        assert telemetry.ledger().destinations["otlp"]["pending"] == 1
        (tmp_path / "cursors").unlink()
        record("b")
        assert telemetry.flush(10)
        spanwise.shutdown()
    assert receiver.spans == ["step a", "step b"]
    assert fates(tmp_path) == {"delivered": 2}


def test_a_dead_stream_whose_end_is_damaged_does_not_stay_pending_for_ever(tmp_path: Path) -> None:
    with Stream(tmp_path) as stream:
        for name in ("a", "b", "c"):
            stream.add(payload([name]), 1)
        [segment] = tmp_path.glob("*.seg")
        held = cursors.open_cursor(tmp_path, "otlp", stream.name)
        assert held is not None
        held.close()
    content = bytearray(segment.read_bytes())
    content[content.index(b'"b"') + 1] ^= 1
    segment.write_bytes(content)
    with receiving() as receiver:
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address)
        record("d")
        assert telemetry.flush(10)
        wanted = {"delivered": 3, "expired": 1}
        assert eventually(lambda: fates(tmp_path), lambda seen: seen == wanted, within=10) == wanted
        spanwise.shutdown()
    assert sorted(receiver.spans) == ["a", "c", "step d"]


def test_a_program_that_configures_and_records_nothing_starts_no_thread_and_makes_no_file(tmp_path: Path) -> None:
    before = threading.enumerate()
    spanwise.configure(journal_dir=tmp_path / "j", endpoint="http://127.0.0.1:9")
    assert threading.enumerate() == before
    spanwise.shutdown()
    assert [path.name for path in (tmp_path / "j").iterdir()] == [".gitignore"]


STEADY = """
import spanwise  # noqa: PLC0415 - the other kind is not to load it
telemetry = spanwise.configure(
    journal_dir="j", endpoint="http://127.0.0.1:9", otlp_drop="name=step even", journal_interval=0.01
)
for number in range(4000):
    with spanwise.step("even"):
        pass
    if number % 100 == 0:
        telemetry.flush(0.02)
"""


def test_the_sums_hold_at_every_reading_while_processes_record_and_send(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    recording = [
        subprocess.Popen([sys.executable, "-c", STEADY], cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    readings = 0
    try:
        while any(process.poll() is None for process in recording):
            counts = ledgers.read(tmp_path / "j")
            assert counts.started == counts.open + counts.buffered + counts.journaled + sum(counts.dropped.values())
            assert min(counts.open, counts.buffered, counts.journaled) >= 0
            for numbers in counts.destinations.values():
                assert counts.journaled == sum(numbers.values())
                assert min(numbers.values()) >= 0
            readings += bool(counts.destinations)
    finally:
        for process in recording:
            process.communicate(timeout=60)
    assert readings > 20
    assert [process.returncode for process in recording] == [0, 0]
    assert fates(tmp_path / "j") == {"filtered": 8000}
