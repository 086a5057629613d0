"""A cursor: what it says survives its process, one process holds it, and a damaged one costs a second delivery."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from spanwise.errors import InputError
from spanwise.journal import cursor as cursors
from spanwise.journal.cursor import Cursor, CursorState, open_cursor

if TYPE_CHECKING:
    from pathlib import Path


def opened(folder: Path, stream: str = "s") -> Cursor:
    held = open_cursor(folder, "otlp", stream)
    assert held is not None
    return held


def file(folder: Path, stream: str = "s") -> Path:
    return folder / "cursors" / "otlp" / f"{stream}.json"


def test_what_is_saved_is_there_for_the_next_process(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.save(sequence=3, offset=70, skip=2, delivered=10, filtered=1, problem="HTTP 503")
    first.close()
    again = opened(tmp_path)
    assert again.state == CursorState(3, 70, 2, delivered=10, filtered=1, problem="HTTP 503")
    again.close()


def test_one_at_a_time_holds_it(tmp_path: Path) -> None:
    first = opened(tmp_path)
    assert open_cursor(tmp_path, "otlp", "s") is None
    first.close()
    second = opened(tmp_path)
    second.close()


def test_a_forked_child_does_not_hold_it(tmp_path: Path) -> None:
    held = opened(tmp_path)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        held.save(delivered=99)  # it is closed here: nothing is written
        os.write(write_end, b"ready")
        os._exit(0)
    os.close(write_end)
    assert os.read(read_end, 5) == b"ready"
    os.close(read_end)
    os.waitpid(child, 0)
    held.close()
    again = opened(tmp_path)
    assert again.state == CursorState()
    again.close()


def test_a_stream_that_is_not_meant_for_a_destination_has_none(tmp_path: Path) -> None:
    assert open_cursor(tmp_path, "otlp", "s", make=False) is None
    assert cursors.read(file(tmp_path)) is None
    assert cursors.read_all(tmp_path) == {}
    assert cursors.streams(tmp_path, "otlp") == []


def test_all_cursors_of_a_journal_can_be_read(tmp_path: Path) -> None:
    for stream in ("a", "b"):
        held = opened(tmp_path, stream)
        held.save(delivered=1)
        held.close()
    assert cursors.read_all(tmp_path) == {"otlp": dict.fromkeys("ab", CursorState(delivered=1))}
    assert cursors.streams(tmp_path, "otlp") == ["a", "b"]


@pytest.mark.parametrize("damage", [b"", b"\0" * 1024, b'{"crc":1,"cursor":{}}', b"x" * 1024])
def test_a_damaged_one_begins_anew(tmp_path: Path, damage: bytes) -> None:
    held = opened(tmp_path)
    held.save(delivered=5)
    held.close()
    file(tmp_path).write_bytes(damage)
    assert cursors.read(file(tmp_path)) is None
    again = opened(tmp_path)
    assert again.state == CursorState()
    again.close()


def test_half_a_change_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    held = opened(tmp_path)
    held.save(delivered=5)
    content = file(tmp_path).read_bytes()
    file(tmp_path).write_bytes(content.replace(b'"delivered":5', b'"delivered":6'))
    assert cursors.read(file(tmp_path)) is None
    held.close()


def test_one_that_a_newer_version_wrote_is_refused(tmp_path: Path) -> None:
    held = opened(tmp_path)
    held.close()
    content = file(tmp_path).read_bytes()
    file(tmp_path).write_bytes(content.replace(b'"format":1', b'"format":2'))
    with pytest.raises(InputError, match="newer version"):
        open_cursor(tmp_path, "otlp", "s")


def test_a_long_problem_in_any_script_fits(tmp_path: Path) -> None:
    held = opened(tmp_path)
    held.save(problem="\N{PILE OF POO}" * 5000, delivered=2**60, set_aside=2**60, filtered=2**60, expired=2**60)
    held.close()
    assert file(tmp_path).stat().st_size == 1024
    state = cursors.read(file(tmp_path))
    assert state is not None
    assert (state.delivered, set(state.problem)) == (2**60, {"\N{PILE OF POO}"})


def test_the_files_are_private(tmp_path: Path) -> None:
    held = opened(tmp_path)
    held.close()
    assert file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert file(tmp_path).parent.stat().st_mode & 0o777 == 0o700
