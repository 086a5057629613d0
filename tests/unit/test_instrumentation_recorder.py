"""The recorder and its ledger: nothing is lost in silence, and both equations hold at every stage."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

import spanwise
from spanwise import recorder as recorder_module
from spanwise.journal import ledger as ledgers
from spanwise.journal.folder import prepare
from spanwise.journal.ledger import Counts, Ledger
from spanwise.journal.writer import JournalWriter
from spanwise.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def holds(counts: Counts) -> bool:
    started = counts.open + counts.buffered + counts.journaled + sum(counts.dropped.values())
    return counts.started == started and all(
        sum(fates.values()) == counts.journaled for fates in counts.destinations.values()
    )


def lines(folder: Path) -> list[list[str]]:
    """Return the span names of each line in the journal."""
    return [
        [
            span["name"]
            for group in json.loads(line)["resourceSpans"]
            for s in group["scopeSpans"]
            for span in s["spans"]
        ]
        for path in sorted(folder.glob("*.otlp.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def journaled(folder: Path) -> list[str]:
    return [name for line in lines(folder) for name in line]


class Refusing(JournalWriter):
    """A disk that is full from the second write on."""

    written = 0

    def write(self, spans: Sequence[ReadableSpan]) -> None:
        if self.written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.written += 1
        super().write(spans)


def provider_of(recorder: Recorder) -> TracerProvider:
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
    assert set(journaled(tmp_path)) == {f"{thread}.{number}" for thread in range(4) for number in range(12_500)}
    assert max(len(line) for line in lines(tmp_path)) <= 512


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
    release = threading.Event()

    class Slow(JournalWriter):
        def write(self, spans: Sequence[ReadableSpan]) -> None:
            release.wait(10)
            super().write(spans)

    recorder = Recorder(journal=Slow(tmp_path))
    provider_of(recorder).get_tracer("t").start_span("s").end()
    assert recorder.ledger.counts() == Counts(started=1, buffered=1)
    assert recorder.force_flush(10) is False
    release.set()
    assert recorder.force_flush(10_000) is True
    assert recorder.ledger.counts() == Counts(started=1, journaled=1)
    recorder.shutdown()


def test_a_buffer_that_is_full_drops_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_LIMIT", 3)
    release = threading.Event()

    class Stuck(JournalWriter):
        def write(self, spans: Sequence[ReadableSpan]) -> None:
            release.wait(10)
            super().write(spans)

    recorder = Recorder(journal=Stuck(tmp_path))
    tracer = provider_of(recorder).get_tracer("t")
    for number in range(10):
        tracer.start_span(str(number)).end()
    counts = recorder.ledger.counts()
    release.set()
    recorder.shutdown()
    dropped = counts.dropped["buffer_full"]
    assert dropped in {6, 7}  # the thread has taken a span or none of them
    assert counts == Counts(started=10, buffered=10 - dropped, dropped={"buffer_full": dropped})
    assert recorder.ledger.counts() == Counts(started=10, journaled=10 - dropped, dropped={"buffer_full": dropped})


def test_a_disk_that_fills_up_drops_the_rest_and_keeps_what_is_there(tmp_path: Path) -> None:
    recorder = Recorder(journal=Refusing(tmp_path))
    tracer = provider_of(recorder).get_tracer("t")
    for number in range(3):
        tracer.start_span(str(number)).end()
        recorder.force_flush()
    recorder.shutdown()
    assert recorder.write_error is not None
    assert recorder.write_error.errno == errno.ENOSPC
    assert recorder.ledger.counts() == Counts(started=3, journaled=1, dropped={"disk_full": 2})
    assert ledgers.read(tmp_path) == recorder.ledger.counts()
    assert lines(tmp_path) == [["0"]]


def test_a_line_that_the_disk_took_only_half_of_is_cut_off_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(tmp_path)
    span = ReadableSpan("whole", context=spanwise.step("s").context)
    writer.write([span])
    before = writer.path.read_bytes()
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < len(before):
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(OSError, match="full"):
            writer.write([span])
    assert writer.path.read_bytes() == before
    writer.write([span])
    writer.close()
    assert lines(tmp_path) == [["whole"], ["whole"]]


def test_a_span_that_cannot_be_encoded_is_dropped_alone(tmp_path: Path) -> None:
    recorder = Recorder(journal=JournalWriter(tmp_path))
    tracer = provider_of(recorder).get_tracer("t")
    names: list[Any] = ["sound", 3, "sound too"]
    for span in [tracer.start_span(name) for name in names]:
        span.end()
    recorder.shutdown()
    assert recorder.ledger.counts() == Counts(started=3, journaled=2, dropped={"invalid": 1})
    assert journaled(tmp_path) == ["sound", "sound too"]


def test_a_journal_file_that_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j")
    span = ReadableSpan("s", context=spanwise.step("s").context)
    writer.write([span])
    for path in (tmp_path / "j").iterdir():
        path.unlink()
    (tmp_path / "j").rmdir()
    writer.write([span])
    writer.close()
    assert lines(tmp_path / "j") == [["s"]]


def test_the_ledger_file_is_replaced_or_overwritten_and_its_absence_is_an_error(tmp_path: Path) -> None:
    ledger = Ledger(("otlp",))
    path = tmp_path / "x.ledger.json"
    ledger.start()
    ledger.save(path)
    (tmp_path / "x.ledger.partial").mkdir()  # so that the new one cannot be written beside the old one
    for _ in range(1000):
        ledger.start()
    ledger.save(path)
    assert ledgers.read(tmp_path) == ledger.counts()
    path.unlink()
    with pytest.raises(OSError, match="directory"):
        ledger.save(path)


def test_ledgers_of_several_processes_add_up_and_what_cannot_be_read_counts_nothing(tmp_path: Path) -> None:
    for name, started in (("a", 2), ("b", 3)):
        ledger = Ledger(("otlp",))
        for _ in range(started):
            ledger.start()
            ledger.end()
        ledger.journal(started - 1)
        ledger.drop("disk_full", 1)
        ledger.deliver("otlp", 1)
        ledger.save(tmp_path / f"{name}.ledger.json")
    (tmp_path / "c.ledger.json").write_text("{")
    total = ledgers.read(tmp_path)
    assert total == Counts(
        started=5,
        journaled=3,
        dropped={"disk_full": 2},
        destinations={"otlp": {"delivered": 2, "pending": 1, "set_aside": 0, "filtered": 0, "expired": 0}},
    )
    assert holds(total)


def test_folder_and_files_are_for_their_owner_only_and_git_ignores_them(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "journal"
    recorder = Recorder(journal=JournalWriter(folder))
    provider_of(recorder).get_tracer("t").start_span("s").end()
    recorder.shutdown()
    modes = {path.suffixes[-2] if path.suffixes else path.name: mode(path) for path in folder.iterdir()}
    assert (mode(folder), modes) == (0o700, {".gitignore": 0o600, ".otlp": 0o600, ".ledger": 0o600})
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
    recorder = Recorder()
    provider.add_span_processor(recorder)
    span.end()
    assert recorder.ledger.counts() == Counts()


def test_an_idle_recorder_does_not_write(tmp_path: Path) -> None:
    saves: list[float] = []

    class Counting(JournalWriter):
        def save(self, ledger: Ledger) -> None:
            saves.append(time.monotonic())
            super().save(ledger)

    recorder = Recorder(journal=Counting(tmp_path))
    provider_of(recorder).get_tracer("t").start_span("s").end()
    for _ in range(5):
        recorder.force_flush()
    recorder.shutdown()
    assert len(saves) <= 2
