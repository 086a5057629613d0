"""Damage as disks, crashes and people make it, from a seed: bits flipped, cuts, insertions, blocks moved and zeroed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanwise.journal.format import MAGIC
from spanwise.journal.reader import ReadReport, read

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
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


def check(folder: Path, path: Path, data: bytes, written: AbstractSet[str], rng: Random) -> int:
    """Damage `path`, read its folder, and return how many spans came; their representations must be among `written`."""
    path.write_bytes(damaged(data, rng))
    report = ReadReport()
    found = list(read(folder, report))
    assert report.spans == len(found)
    strangers = [span for span in found if repr(span) not in written]
    assert not strangers, f"never written: {strangers[0]}"
    return len(found)
