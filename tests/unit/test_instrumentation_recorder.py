"""The recorder and its ledger: nothing is lost in silence, and both equations hold at every stage."""

from __future__ import annotations

import errno
import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from support.journal_files import names, requests, spans_of
from support.loops import as_in_a_loop

import spanwise
from spanwise.journal import ledger as ledgers
from spanwise.journal.folder import prepare
from spanwise.journal.ledger import Counts
from spanwise.journal.stream import Stream
from spanwise.recording.processor import RecordingProcessor

if TYPE_CHECKING:
    from pathlib import Path


def holds(counts: Counts) -> bool:
    started = counts.open + counts.buffered + counts.journaled + sum(counts.dropped.values())
    return counts.started == started and all(
        sum(fates.values()) == counts.journaled for fates in counts.destinations.values()
    )


def records(folder: Path) -> list[list[str]]:
    """Return the span names of each record in the journal."""
    return [[span["name"] for span in spans_of(request)] for request in requests(folder)]


class Refusing(Stream):
    """A disk that is full from the second write on."""

    written = 0

    def append(self, kind: int, payload: bytes, count: int = 0) -> None:
        if self.written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.written += 1
        super().append(kind, payload, count)


class Stuck(Stream):
    """A disk that takes nothing before it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.release = threading.Event()

    def append(self, kind: int, payload: bytes, count: int = 0) -> None:
        self.release.wait(10)
        super().append(kind, payload, count)


def provider_of(recorder: RecordingProcessor) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(recorder)
    return provider


@pytest.mark.slow
@pytest.mark.usefixtures("isolated_provider")
def test_a_burst_of_fifty_thousand_spans_is_journaled_whole(tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path)
    tracer = telemetry.tracer()

    def burst(thread: int) -> None:
        for number in range(12_500):
            tracer.start_span(f"{thread}.{number}").end()

    threads = [threading.Thread(target=burst, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert telemetry.flush(60)
    assert telemetry.ledger() == Counts(started=50_000, journaled=50_000) == ledgers.read(tmp_path)
    assert set(names(tmp_path)) == {f"{thread}.{number}" for thread in range(4) for number in range(12_500)}
    assert max(len(record) for record in records(tmp_path)) <= 512


@pytest.mark.usefixtures("isolated_provider")
def test_the_equations_hold_at_each_stage(tmp_path: Path) -> None:
    telemetry = spanwise.configure(journal_dir=tmp_path)
    stages = [telemetry.ledger()]
    with spanwise.step("a"):
        stages.append(telemetry.ledger())
        with spanwise.step("b"):
            stages.append(telemetry.ledger())
        telemetry.flush()
        stages.append(telemetry.ledger())
    telemetry.flush()
    stages.append(telemetry.ledger())
    assert stages == [
        Counts(),
        Counts(started=1, open=1),
        Counts(started=2, open=2),
        Counts(started=2, open=1, journaled=1),
        Counts(started=2, journaled=2),
    ]


def test_what_was_ended_and_not_written_yet_is_buffered(tmp_path: Path) -> None:
    stream = Stuck(tmp_path)
    recorder = RecordingProcessor(stream=stream)
    with as_in_a_loop():
        provider_of(recorder).get_tracer("t").start_span("s").end()
    assert recorder.ledger.counts() == Counts(started=1, buffered=1)
    assert recorder.force_flush(10) is False
    stream.release.set()
    assert recorder.force_flush(10_000) is True
    assert recorder.ledger.counts() == Counts(started=1, journaled=1)
    recorder.shutdown()


def test_a_disk_that_fills_up_drops_the_rest_and_keeps_what_is_there(tmp_path: Path) -> None:
    recorder = RecordingProcessor(stream=Refusing(tmp_path))
    tracer = provider_of(recorder).get_tracer("t")
    for number in range(3):
        tracer.start_span(str(number)).end()
        recorder.force_flush()
    recorder.shutdown()
    assert recorder.write_error is not None
    assert recorder.write_error.errno == errno.ENOSPC
    assert recorder.ledger.counts() == Counts(started=3, journaled=1, dropped={"disk_full": 2})
    assert ledgers.read(tmp_path) == recorder.ledger.counts()
    assert records(tmp_path) == [["0"]]


def test_a_span_that_cannot_be_encoded_is_dropped_alone(tmp_path: Path) -> None:
    recorder = RecordingProcessor(stream=Stream(tmp_path))
    tracer = provider_of(recorder).get_tracer("t")
    given: list[Any] = ["sound", 3, "sound too"]
    for span in [tracer.start_span(name) for name in given]:
        span.end()
    recorder.shutdown()
    assert recorder.ledger.counts() == Counts(started=3, journaled=2, dropped={"invalid": 1})
    assert names(tmp_path) == ["sound", "sound too"]


def test_folder_and_files_are_for_their_owner_only_and_git_ignores_them(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "journal"
    prepare(folder)
    recorder = RecordingProcessor(stream=Stream(folder))
    provider_of(recorder).get_tracer("t").start_span("s").end()
    recorder.shutdown()
    modes = {path.suffix or path.name: mode(path) for path in folder.iterdir()}
    assert (mode(folder), modes) == (0o700, {".gitignore": 0o600, ".seg": 0o600, ".counts": 0o600})
    assert (folder / ".gitignore").read_text() == "*\n"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_existing_gitignore_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    prepare(tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(".gitignore", "mine\n")]


def test_a_span_that_was_open_before_the_recorder_came_is_not_counted() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("t").start_span("early")
    recorder = RecordingProcessor()
    provider.add_span_processor(recorder)
    span.end()
    assert recorder.ledger.counts() == Counts()
