"""The mapped counters: exact under threads, whole after a kill, and a lock that says who lives."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from spanwise.journal import counts
from spanwise.journal.counts import ENDED, STARTED, CountsFile, Reading
from spanwise.journal.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def counted(tmp_path: Path) -> tuple[CountsFile, Path]:
    path = tmp_path / "stream.counts"
    return CountsFile(path), path


def test_counters_are_read_while_and_after_they_are_written(tmp_path: Path) -> None:
    file, path = counted(tmp_path)
    file.slots[STARTED] = 9
    file.slots[ENDED] = 7
    counts.commit(file.slots, 4, 2, 1000)
    counts.drop(file.slots, "disk_full", 1)
    counts.drop(file.slots, "a reason of tomorrow", 1)
    expected = Reading(os.getpid(), 9, 7, {"disk_full": 1, "invalid": 1}, 4, 2, 1000)
    assert (counts.read(path), counts.alive(path)) == (expected, True)
    file.release()
    assert (counts.read(path), counts.alive(path)) == (expected, False)


def test_a_commit_that_was_cut_short_leaves_the_one_before(tmp_path: Path) -> None:
    file, path = counted(tmp_path)
    counts.commit(file.slots, 1, 1, 10)
    counts.commit(file.slots, 2, 1, 20)
    third = list(file.slots)
    counts.commit(file.slots, 3, 1, 30)
    changed = [slot for slot, before in enumerate(third) if file.slots[slot] != before]
    switch = file.slots[changed[0]]
    file.slots[changed[0]] = third[changed[0]]  # the last thing that a commit writes
    reading = counts.read(path)
    file.release()
    assert switch in {0, 1}
    assert reading is not None
    assert (reading.journaled, reading.sequence, reading.offset) == (2, 1, 20)


def test_a_part_is_never_greater_than_its_whole(tmp_path: Path) -> None:
    file, path = counted(tmp_path)
    counts.commit(file.slots, 5, 1, 10)
    counts.drop(file.slots, "sampled", 2)
    reading = counts.read(path)
    file.release()
    assert reading is not None
    assert (reading.started, reading.ended) == (7, 7)


def test_a_file_that_is_short_or_of_another_kind_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "short.counts").write_bytes(b"")
    (tmp_path / "other.counts").write_bytes(b"x" * counts.SIZE)
    assert [counts.read(tmp_path / f"{name}.counts") for name in ("short", "other")] == [None, None]
    assert not counts.alive(tmp_path / "absent.counts")


def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write: Callable[[int, bytes], int] = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:100]))
    with pytest.raises(OSError, match="No space left"):
        counted(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_files_cannot_be_locked_counters_are_kept_and_nobody_is_called_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    file, path = counted(tmp_path)
    file.slots[STARTED] = 1
    file.release()
    reading = counts.read(path)
    assert (reading is not None and reading.started, counts.alive(path)) == (1, True)


def test_a_file_is_for_its_owner_only_and_takes_its_blocks_at_once(tmp_path: Path) -> None:
    file, path = counted(tmp_path)
    file.release()
    status = path.stat()
    assert (status.st_mode & 0o777, status.st_size) == (0o600, counts.SIZE)
    assert status.st_blocks * 512 >= counts.SIZE


@pytest.mark.slow
def test_threads_that_start_spans_at_once_are_counted_exactly_also_while_the_counters_move(tmp_path: Path) -> None:
    ledger = Ledger()
    opened: list[CountsFile] = []
    lock = threading.Lock()

    def opens() -> None:
        with lock:
            if not opened:
                opened.append(CountsFile(tmp_path / "a.counts"))
                ledger.move(opened[0].slots)

    ledger.opening(opens)
    everybody = threading.Barrier(8)

    def count() -> None:
        everybody.wait()
        for _ in range(20_000):
            ledger.slots[STARTED] += 1

    threads = [threading.Thread(target=count) for _ in range(8)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for number in range(20):
            fresh = CountsFile(tmp_path / f"b{number}.counts")
            ledger.settle()
            if opened:
                ledger.move(fresh.slots)
            opened.append(fresh)
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    for file in opened:
        file.release()
    assert ledger.slots[STARTED] == ledger.counts().started == 160_000
