"""The ledger of a folder: what became of every span of all processes that recorded into it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from spanwise.errors import InputError
from spanwise.journal import counts as counters
from spanwise.journal import cursor, past, process_ledger, scan
from spanwise.journal.process_ledger import Counts, Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spanwise.journal.cursor import CursorState

__all__ = ["Counts", "Ledger", "as_document", "processes", "read"]


def processes(folder: Path) -> dict[str, Counts]:
    """Return the counts of each process that recorded into `folder`, by the name of its stream.

    What cannot be read (it is being removed, say) counts as nothing; what was deleted whole is in the folder's past.

    Raises:
        InputError: the folder's past cannot be read.
    """
    cursors = cursor.read_all(folder)  # before the counters, so that no destination has more than there is
    names = [path.name.removesuffix(process_ledger.SUFFIX) for path in folder.glob(f"*{process_ledger.SUFFIX}")]
    names += [path.stem for path in folder.glob(f"*{counters.SUFFIX}")]
    first = {stream.name: stream.segments[0] for stream in scan.streams(folder)} if cursors else {}
    found: dict[str, Counts] = {}
    for name in sorted(set(names).difference(past.read(folder).streams)):
        states = {destination: streams.get(name) for destination, streams in cursors.items()}
        if (counts := process_ledger.of_stream(folder, name, states)) is not None:
            _expire(counts, states, first.get(name))
            found[name] = counts
    return found


def read(folder: Path) -> Counts:
    """Return the sum over all processes that recorded into `folder`; zeros for an empty one. Raises as `processes`."""
    while True:
        before = past.read(folder)
        total = Counts()
        total.add(before.counts)
        for counts in processes(folder).values():
            total.add(counts)
        if past.read(folder).streams == before.streams:  # else a stream was deleted meanwhile, and counted twice or not
            return total


def as_document(counts: Counts) -> dict[str, Any]:
    """Return the counts as a JSON-able mapping."""
    return asdict(counts)


def _expire(counts: Counts, states: Mapping[str, CursorState | None], first: Path | None) -> None:
    """Book what was deleted before a cursor came to it as expired; `first` is the first segment that is there."""
    for destination, state in states.items():
        if state is None or first is None or scan.sequence_of(first) <= state.sequence:
            continue
        with suppress(OSError, InputError):
            about, fates = scan.header(first), counts.destinations[destination]
            deleted = about.spans_before - state.settled if about is not None else 0
            gone = max(0, min(deleted, fates["pending"]))
            fates["expired"], fates["pending"] = fates["expired"] + gone, fates["pending"] - gone
