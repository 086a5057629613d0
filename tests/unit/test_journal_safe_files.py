"""Files of a journal in a hostile folder: no link is followed, others are kept out, a full disk can be purged."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest
from support import journal_files
from support.deliveries import payload, write

from spanwise.errors import UnavailableError
from spanwise.journal import counts, cursor, packing, past, purge
from spanwise.journal.folder import prepare
from spanwise.journal.format import END
from spanwise.journal.segment import SegmentWriter, path_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STREAM = "20261121T080000-1-00000001"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file elsewhere that links point to."""
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    prepare(path)
    return path


def test_a_link_in_place_of_gitignore_is_left_alone(tmp_path: Path, victim: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir(mode=0o700)
    (folder / ".gitignore").symlink_to(victim)
    (folder / f".probe-{os.getpid()}").symlink_to(victim)
    prepare(folder)
    assert victim.read_text() == "precious"


def append(folder: Path) -> None:
    SegmentWriter(folder, STREAM).append(END, payload(["s"]), 1)


def open_cursor(folder: Path) -> None:
    cursor.open_cursor(folder, "otlp", STREAM)


def keep_house(folder: Path) -> None:
    with past.housekeeping(folder):
        pass


@pytest.mark.parametrize(
    ("name", "act"),
    [
        (f"{STREAM}-000001.seg", append),
        (f"cursors/otlp/{STREAM}.json", open_cursor),
        ("housekeeping.lock", keep_house),
    ],
)
def test_a_link_in_place_of_a_file_of_the_journal_is_not_followed(
    name: str, act: Callable[[Path], None], folder: Path, victim: Path
) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        act(folder)
    assert victim.read_text() == "precious"


def test_a_link_in_place_of_a_file_that_is_being_compressed_is_replaced(folder: Path, victim: Path) -> None:
    write(folder, STREAM, ["a"]).close()
    path = path_of(folder, STREAM, 1)
    partial = path.with_name(f"{path.name}{packing.SUFFIX}.{os.getpid()}.tmp")
    partial.symlink_to(victim)
    packing.pack_segment(path)
    assert victim.read_text() == "precious"
    assert journal_files.names(folder) == ["a"]


def test_a_pipe_in_place_of_a_file_does_not_hold_up_anything(folder: Path) -> None:
    os.mkfifo(folder / "housekeeping.lock")
    with pytest.raises(OSError, match="is no file"), past.housekeeping(folder):
        pass


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_an_empty_folder_that_others_can_write_to_is_made_private(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    folder.chmod(mode)
    prepare(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("mode", "content"), [(0o777, "notes.txt"), (0o1777, "")])
def test_a_folder_of_others_is_refused_and_left_as_it_is(tmp_path: Path, mode: int, content: str) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    if content:
        (folder / content).touch()
    folder.chmod(mode)
    with pytest.raises(UnavailableError, match="others can write to it"):
        prepare(folder)
    assert folder.stat().st_mode & 0o7777 == mode
    assert sorted(path.name for path in folder.iterdir()) == ([content] if content else [])


def test_counters_that_were_cut_short_are_none(folder: Path) -> None:
    file = counts.CountsFile(folder / f"{STREAM}{counts.SUFFIX}")
    assert counts.read(file.path) is not None
    os.truncate(file.path, 100)
    assert counts.read(file.path) is None
    os.truncate(file.path, 0)
    assert counts.read(file.path) is None


def full_disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let no file be written anew while `folder` holds as many segments as it does now."""
    segments, put = len(list(folder.glob("*.seg*"))), packing._put

    def refuse(path: Path, *arguments: Any) -> None:
        if len(list(folder.glob("*.seg*"))) >= segments:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        put(path, *arguments)

    monkeypatch.setattr(packing, "_put", refuse)


def wanted(*numbers: int) -> Callable[[str, str], bool]:
    return lambda _, span_id: int(span_id, 16) in numbers


def test_a_purge_on_a_full_disk_deletes_first_what_makes_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "a", ["x", "stays"]).close()  # sorted first, and has to be written anew
    write(folder, "b", ["y"]).close()  # goes whole
    packing.pack_segment(path_of(folder, "a", 1))
    full_disk(monkeypatch, folder)
    assert purge.erase(folder, wanted(1)).spans == 2
    assert journal_files.names(folder) == ["stays"]


def test_a_purge_on_a_full_disk_needs_no_room_for_a_segment_that_is_not_compressed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "a", ["x", "stays"]).close()
    before = path_of(folder, "a", 1).stat().st_size
    full_disk(monkeypatch, folder)
    assert purge.erase(folder, wanted(1)).spans == 1
    assert journal_files.names(folder) == ["stays"]
    assert path_of(folder, "a", 1).stat().st_size == before
