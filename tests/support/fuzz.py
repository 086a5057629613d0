"""Damage as disks, crashes and people make it, from a seed: bits flipped, cuts, insertions, blocks moved and zeroed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

from support.segments import OTHER_STREAM, STREAM, begin, write_segments
from support.traces import agent, chat, tool, wait, workflow

from spanwise.journal import packing
from spanwise.journal.format import MAGIC
from spanwise.journal.reader import ReadReport, read
from spanwise.journal.segment import SegmentWriter

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random


def _flipped(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 20))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(data: bytes, rng: Random) -> bytes:
    begin = rng.randrange(len(data))
    return data[:begin] + (data[begin + rng.randrange(len(data)) :] if rng.random() < 0.5 else b"")


def _inserted(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    some = rng.randrange(len(data))
    junk = (rng.randbytes(rng.randrange(40)), MAGIC * rng.randrange(4), data[some : some + rng.randrange(2000)])
    return data[:at] + rng.choice(junk) + data[at:]


def _swapped(data: bytes, rng: Random) -> bytes:
    a, b, c, d = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _zeroed(data: bytes, rng: Random) -> bytes:
    begin, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:begin] + bytes(end - begin) + data[end:]


_DAMAGE = (_flipped, _cut, _inserted, _swapped, _zeroed)


def damaged(data: bytes, rng: Random) -> bytes:
    """Return `data` after one to three kinds of damage."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(_DAMAGE)(data, rng) if data else data
    return data


@dataclass(frozen=True)
class Victim:
    """A journal with one segment that is damaged again and again, beside one that is not."""

    folder: Path
    path: Path
    data: bytes
    written: frozenset[str]
    """Representations of all spans that reading may give."""

    def damage(self, rng: Random) -> int:
        """Damage the segment, read the journal, and return how many spans came; all of them must have been written."""
        self.path.write_bytes(damaged(self.data, rng))
        report = ReadReport()
        found = list(read(self.folder, report))
        assert report.spans == len(found)
        strangers = [span for span in found if repr(span) not in self.written]
        assert not strangers, f"never written: {strangers[0]}"
        return len(found)


def victim(folder: Path, *, packed: bool) -> Victim:
    """Write the journal: seven records of eleven spans and two waits, in as many blocks, and a span that only began."""
    writer = SegmentWriter(folder, OTHER_STREAM)
    begin(writer, workflow(1, 0, 9))
    writer.close()
    calls = [[chat(n, n, n + 1, parent=2), tool(n + 1, n, n + 2, parent=2)] for n in range(3, 13, 2)]
    with patch.object(packing, "BLOCK", 1_000):
        (path,) = write_segments(
            folder,
            [*calls, [wait(13, 1, 2, parent=2), wait(14, 3, 4, parent=2)], [agent(2, 1, 8, parent=1)]],
            stream=STREAM,
            packed=packed,
        )
    return Victim(folder, path, path.read_bytes(), frozenset(repr(span) for span in read(folder)))
