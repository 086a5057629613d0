"""Reading the campaign file: sums of columns by the values of another, in chunks of rows or all at once.

Rows are equally long, so a column is a slice of the file's bytes, and in the order of their months, which are found by
bisection. Adding up is done by numpy, which lets other threads go on meanwhile.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CHUNK_ROWS: Final = 8_192
_BUCKETS: Final = 13
_ODD: Final = 0x9E3779B97F4A7C15
_KEY_BYTES: Final = 8

Sums = dict[str, dict[str, int]]
"""Value of the column that was grouped by, to the sum of each figure."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things stand in the file."""

    columns: Mapping[str, slice]
    """Bytes of each column in a row."""
    begin: int
    """Bytes of the header."""
    width: int
    """Bytes of a row, the end of the line included."""


def sums_by(
    path: Path, by: str, figures: tuple[str, ...], *, months: tuple[int, int], chunked: bool, needed_only: bool
) -> Sums:
    """Return the sums of `figures` for each value of `by`, over the rows of the months from the first to the last.

    Args:
        path: the CSV file.
        by: column of text, at most 8 bytes.
        figures: columns of whole numbers.
        months: first and last month, both included.
        chunked: read `CHUNK_ROWS` rows at a time; otherwise the whole file.
        needed_only: read the columns that are needed; otherwise all of them.

    Raises:
        InputError: the file is not as it must be; says where.
    """
    layout = _layout(path)
    totals: Sums = defaultdict(lambda: dict.fromkeys(figures, 0))
    for rows in _chunks(path, layout, months, CHUNK_ROWS if chunked else None):
        if not needed_only:
            _ = {name: np.ascontiguousarray(rows[:, place]) for name, place in layout.columns.items()}
        keys, names = _keys(rows[:, layout.columns[by]])
        for figure in figures:
            amounts = _numbers(rows[:, layout.columns[figure]])
            added = np.bincount(keys, weights=amounts, minlength=2**_BUCKETS)
            for key, name in names.items():
                totals[name][figure] += round(added[key])
    return dict(sorted(totals.items()))


def _layout(path: Path) -> _Layout:
    with path.open("rb") as file:
        header, first = file.readline(), file.readline()
    names, values = header.decode("ascii", "replace").strip().split(","), first.split(b",")
    if len(names) != len(values) or not first.endswith(b"\n") or (path.stat().st_size - len(header)) % len(first):
        raise InputError(
            f"{path}: line 2: its rows are not equally long; remove the file's folder to have it made anew"
        )
    columns: dict[str, slice] = {}
    begin = 0
    for name, value in zip(names, values, strict=True):
        columns[name] = slice(begin, begin + len(value.rstrip(b"\n")))
        begin += len(value) + 1
    return _Layout(columns, len(header), len(first))


def _chunks(path: Path, layout: _Layout, months: tuple[int, int], size: int | None) -> Iterator[Any]:
    """Yield chunks of the rows of the months, each in the same memory as the one before it."""
    with path.open("rb", buffering=0) as file:

        def month_of(row: int) -> int:
            file.seek(layout.begin + row * layout.width + layout.columns["month"].start)
            return int(file.read(2) or 0)

        rows = range((path.stat().st_size - layout.begin) // layout.width)
        row, end = bisect_left(rows, months[0], key=month_of), bisect_right(rows, months[1], key=month_of)
        memory = bytearray(min(size or len(rows), len(rows)) * layout.width)
        file.seek(layout.begin + row * layout.width)
        while row < end:
            wanted = min(len(memory), (end - row) * layout.width)
            if file.readinto(memoryview(memory)[:wanted]) != wanted:
                raise InputError(f"{path}: it changed while it was read; run again")
            chunk = np.frombuffer(memory, np.uint8, wanted).reshape(-1, layout.width)
            broken = np.flatnonzero(chunk[:, -1] != ord("\n"))
            if len(broken):
                raise InputError(
                    f"{path}: line {row + 2 + int(broken[0])}: it is not as long as the others; "
                    "remove the file's folder to have it made anew"
                )
            row += len(chunk)
            yield chunk


def _numbers(digits: Any) -> Any:
    """Return the numbers that digits spell, a row each."""
    total = np.zeros(len(digits), np.uint32)
    for place in range(digits.shape[1]):
        total *= 10
        total += digits[:, place] - ord("0")
    return total


def _keys(texts: Any) -> tuple[Any, dict[int, str]]:
    """Return a small number for each text, the same for equal ones, and the text of each number."""
    padded = np.zeros((len(texts), _KEY_BYTES), np.uint8)
    padded[:, : texts.shape[1]] = texts
    words = padded.view(np.uint64)[:, 0]
    keys = ((words * np.uint64(_ODD)) >> np.uint64(64 - _BUCKETS)).astype(np.int64)
    word_of = np.zeros(2**_BUCKETS, np.uint64)
    word_of[keys] = words
    if not (word_of[keys] == words).all():
        raise InputError("two values of a column fall into one bucket; choose other names")
    return keys, {int(key): _text(word_of[key]) for key in np.flatnonzero(word_of)}


def _text(word: Any) -> str:
    text: bytes = word.tobytes()
    return text.rstrip(b" \0").decode("ascii")
