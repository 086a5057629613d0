"""Delivery to an OTLP receiver that takes, refuses, is silent or is not there: exact counts and no noise."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from support.deliveries import ACCEPTED, AWAY, Line, in_turn
from support.otlp_receiver import Receiver, receiving, receiving_grpc

import spanwise
from spanwise.content.outlet import Outlet
from spanwise.destinations.sending import Sender
from spanwise.journal import reader
from spanwise.journal.ledger import Counts, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spanwise.destinations.transport import Reply

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("isolated_provider")]


def fates(delivered: int = 0, pending: int = 0, set_aside: int = 0) -> dict[str, dict[str, int]]:
    return {"otlp": {"delivered": delivered, "pending": pending, "set_aside": set_aside, "filtered": 0, "expired": 0}}


def record(*names: str) -> None:
    for name in names:
        with spanwise.step(name):
            pass


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def root_log() -> Iterator[list[logging.LogRecord]]:
    heard, root = Heard(), logging.getLogger()
    level = root.level
    root.addHandler(heard)
    root.setLevel(logging.DEBUG)
    yield heard.records
    root.setLevel(level)
    root.removeHandler(heard)


@pytest.fixture
def silence(capfd: pytest.CaptureFixture[str], root_log: list[logging.LogRecord]) -> Iterator[None]:
    """Fail where anything is printed or reaches the root logger."""
    yield
    spanwise.shutdown()
    assert (tuple(capfd.readouterr()), [one.getMessage() for one in root_log]) == (("", ""), [])


@pytest.mark.usefixtures("silence")
def test_what_the_receiver_accepts_is_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=abc")
    with receiving() as receiver:
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address)
        record("a", "b")
        assert telemetry.flush(10)
        assert telemetry.ledger() == Counts(started=2, journaled=2, destinations=fates(delivered=2))
        spanwise.shutdown()
    assert receiver.spans == ["step a", "step b"]
    assert {(path, headers["x-api-key"]) for path, _, headers in receiver.requests} == {("/v1/traces", "abc")}


@pytest.mark.usefixtures("silence")
def test_an_endpoint_that_names_the_path_is_used_as_it_is() -> None:
    with receiving() as receiver:
        telemetry = spanwise.configure(endpoint=f"{receiver.address}/prefix/v1/traces")
        record("a")
        assert telemetry.flush(10)
        spanwise.shutdown()
    assert [path for path, _, _ in receiver.requests] == ["/prefix/v1/traces"]


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("statuses", [[503, 429], [401], [500]])
def test_what_is_refused_is_sent_again_until_it_is_accepted(tmp_path: Path, statuses: list[int]) -> None:
    with receiving(statuses) as receiver:
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address, shutdown_timeout=8)
        record("a")
        assert telemetry.flush(30)
        assert telemetry.ledger() == Counts(started=1, journaled=1, destinations=fates(delivered=1))
        spanwise.shutdown()
    assert receiver.spans == ["step a"]
    assert [status for _, status, _ in receiver.requests] == [*statuses, 200]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.usefixtures("silence")
def test_while_the_receiver_is_down_spans_are_pending_and_shutdown_keeps_its_deadline(tmp_path: Path) -> None:
    telemetry = spanwise.configure(
        journal_dir=tmp_path, endpoint=f"http://127.0.0.1:{unused_port()}", shutdown_timeout=0.5
    )
    record("a", "b")
    assert telemetry.flush() is False
    began = time.monotonic()
    spanwise.shutdown()
    assert time.monotonic() - began < 1.5
    assert telemetry.ledger() == Counts(started=2, journaled=2, destinations=fates(pending=2))


@pytest.mark.usefixtures("silence")
def test_a_receiver_that_never_answers_does_not_hold_up_shutdown(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.held.clear()
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address, shutdown_timeout=0.5)
        record("a")
        began = time.monotonic()
        spanwise.shutdown()
        assert time.monotonic() - began < 1.5
        counts = telemetry.ledger()
    assert counts == Counts(started=1, journaled=1, destinations=fates(pending=1))


@pytest.mark.usefixtures("silence")
def test_text_that_is_no_unicode_arrives_with_a_mark_in_its_place(tmp_path: Path) -> None:
    with receiving() as receiver:
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address)
        record("a", "b\ud800", "c")
        assert telemetry.flush(10)
        spanwise.shutdown()
    assert telemetry.ledger() == Counts(started=3, journaled=3, destinations=fates(delivered=3))
    assert receiver.spans == ["step a", "step b?", "step c"]


@pytest.mark.usefixtures("silence")
def test_a_span_that_the_receiver_refuses_is_set_aside(tmp_path: Path) -> None:
    with receiving([400]) as receiver:
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address)
        record("a")
        assert telemetry.flush(10)
        spanwise.shutdown()
    assert telemetry.ledger() == Counts(started=1, journaled=1, destinations=fates(set_aside=1))
    [kept] = (tmp_path / "set-aside" / "otlp").iterdir()
    assert ("HTTP 400" in kept.read_text(), "step a" in kept.read_text()) == (True, True)


def spans(number: int) -> tuple[ReadableSpan, ...]:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    made = [tracer.start_span(str(one)) for one in range(number)]
    for span in made:
        span.end()
    return tuple(span for span in made if isinstance(span, ReadableSpan))


def sender_over(line: Line, number: int) -> tuple[Sender, Ledger]:
    ledger = Ledger(("otlp",))
    ledger.arrive(number)
    ledger.journal(number)
    return Sender("otlp", line, Outlet(), ledger, journaled=False), ledger


@pytest.mark.usefixtures("silence")
def test_without_a_journal_spans_are_sent_from_memory_until_they_are_taken() -> None:
    line = Line(in_turn(AWAY, AWAY))
    sender, ledger = sender_over(line, 2)
    sender.offer(spans(2))
    assert sender.flush(time.monotonic() + 10)
    sender.stop(time.monotonic() + 1)
    assert ledger.counts() == Counts(started=2, journaled=2, destinations=fates(delivered=2))
    assert line.accepted == ["0", "1"]


def test_sending_is_not_recorded_by_an_instrumented_http_client() -> None:
    suppressed: list[object] = []

    def reply(_: list[str]) -> Reply:
        suppressed.append(otel_context.get_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY))
        return ACCEPTED

    sender, _ = sender_over(Line(reply), 1)
    sender.offer(spans(1))
    assert sender.flush(time.monotonic() + 10)
    sender.stop(time.monotonic() + 1)
    assert suppressed == ["spanwise"]


def test_spans_beyond_what_can_be_held_stay_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanwise.destinations.sources.HELD", 3)
    sender, ledger = sender_over(Line(), 5)
    sender.offer(spans(3))
    assert sender.flush(time.monotonic() + 10)
    sender.offer(spans(4))
    assert sender.flush(time.monotonic() + 10) is False
    sender.stop(time.monotonic())
    assert ledger.counts().destinations == fates(delivered=3, pending=2)


def test_the_extra_sends_over_grpc(tmp_path: Path) -> None:
    with receiving_grpc() as receiver:
        telemetry = spanwise.configure(journal_dir=tmp_path, endpoint=receiver.address, protocol="grpc")
        record("a", "b")
        assert telemetry.flush(10)
        spanwise.shutdown()
    assert telemetry.ledger() == Counts(started=2, journaled=2, destinations=fates(delivered=2))
    assert receiver.spans == ["step a", "step b"]


PROGRAM = """
import spanwise  # noqa: PLC0415 - the other kind is not to load it
spanwise.configure(journal_dir="j", endpoint="http://127.0.0.1:{port}", shutdown_timeout=0.5)
with spanwise.workflow("desk"):
    pass
"""


def run_program(folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(port=port)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_program_with_a_dead_endpoint_ends_silently_and_keeps_its_run(tmp_path: Path) -> None:
    done = run_program(tmp_path, unused_port())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [span.name for span in reader.read(tmp_path / "j")] == ["invoke_workflow desk"]


def test_a_program_that_ends_without_a_word_has_delivered_its_spans(tmp_path: Path) -> None:
    with receiving() as receiver:
        assert isinstance(receiver, Receiver)
        done = run_program(tmp_path, int(receiver.address.rpartition(":")[2]))
    assert (done.returncode, done.stderr, receiver.spans) == (0, "", ["invoke_workflow desk"])
