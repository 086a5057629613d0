"""Finding runs: out of a journal folder or a file, and one of them by what a person types.

Everything is read anew each time: a journal is small beside the runs that wrote it, and an index would be one more
thing that can be wrong.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise.errors import InputError
from spanwise.journal import reader
from spanwise_profiling.runs import Run, runs_of
from spanwise_profiling.text import printable
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST_PREFIX: Final = 4
_SHORT_ID: Final = 8
_SUFFIXES: Final = (".jsonl", ".json", ".seg", ".zst")
_LAST: Final = re.compile(r"last(?:~(?P<back>\d{1,9}))?(?::(?P<title>.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Recording:
    """What a journal folder or a file holds."""

    source: Path
    runs: tuple[Run, ...]
    """Newest last."""
    report: reader.ReadReport

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be read, a line each."""
        incomplete = self.report.incomplete
        growing = f"{self.source}: {incomplete} incomplete last line(s) left out (still being written, or cut off)"
        later = f"{self.source}: {self.report.unknown} record(s) left out that only a later version knows"
        return (
            *map(str, self.report.skipped),
            *([growing] if incomplete else []),
            *([later] if self.report.unknown else []),
        )


def load(source: str | Path) -> Recording:
    """Read a journal folder or one file of OTLP/JSON lines; a folder that does not exist holds no runs.

    Raises:
        InputError: it may not be read, or the file holds no span.
    """
    source, report = Path(source), reader.ReadReport()
    if not source.is_file():
        return Recording(source, tuple(runs_of(build_traces(reader.read(source, report)))), report)
    runs = tuple(runs_of(build_traces(reader.read_file(source, report))))
    if not runs:
        problem = str(report.skipped[0]) if report.skipped else f"{source}: holds no span"
        raise InputError(f"{problem}; give a file of OTLP/JSON lines, as spanwise and the collector write them")
    return Recording(source, runs, report)


def load_runs(source: str | Path) -> list[Run]:
    """Return the runs of a journal folder or a file, newest last."""
    return list(load(source).runs)


def open_run(reference: str, journal: str | Path) -> tuple[Run, Recording]:
    """Return the run that `reference` names, and the recording that it is in: the journal, or a file of its own.

    Raises:
        InputError: nothing is recorded, or no run or several are meant.
    """
    if _is_path(reference) and Path(reference).is_file():
        recording = load(reference)
        return recording.runs[-1], recording
    recording = load(journal)
    if _is_path(reference) and not any(run.run_id.startswith(reference) for run in recording.runs):
        raise InputError(f"{reference}: no such file; give a file of OTLP/JSON lines, a run id or `last`")
    require_runs(recording)
    return select(reference, recording.runs), recording


def require_runs(recording: Recording) -> None:
    """Raise `InputError`, saying how to record a run, where there is none."""
    if not recording.runs:
        raise InputError(
            f"{recording.source}: no runs recorded yet; record one with: spanwise systems run trading "
            "(another folder: --journal DIR)"
        )


def select(reference: str, runs: Sequence[Run]) -> Run:
    """Return the one of `runs` (newest last) that `reference` names.

    A reference is a run or trace id, an unambiguous prefix of one, `last`, `last~2` (two before the last),
    `last:workflow`, `last:workflow/variant` or `last~1:workflow`.

    Raises:
        InputError: no run or several are meant; names the nearest ones.
    """
    if match := _LAST.fullmatch(reference):
        return _select_last(reference, int(match["back"] or 0), match["title"], runs)
    exact = [run for run in runs if reference in (run.run_id, run.trace_id)]
    # An id of a run that was recorded in several segments, or that a program used again, means its newest.
    if exact and len({run.run_id for run in exact}) == 1:
        return exact[-1]
    return _select_prefix(reference, exact or _by_prefix(reference, runs), runs)


def short_ids(runs: Sequence[Run]) -> dict[str, str]:
    """Return for each run id the shortest prefix, of at least 8 characters, that no other run id shares."""
    ids = sorted({run.run_id for run in runs})
    short: dict[str, str] = {}
    for before, here, after in zip(["", *ids], ids, [*ids[1:], ""], strict=False):
        shared = max(_common(before, here), _common(here, after))
        short[here] = here[: max(_SHORT_ID, shared + 1)]
    return short


def _common(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _is_path(reference: str) -> bool:
    return not _LAST.fullmatch(reference) and ("/" in reference or reference.endswith(_SUFFIXES))


def _select_last(reference: str, back: int, title: str | None, runs: Sequence[Run]) -> Run:
    matching = [run for run in runs if title in (None, run.title, run.workflow)]
    if back < len(matching):
        return matching[-1 - back]
    if matching:
        of = f" of {title}" if title else ""
        raise InputError(f"{reference}: only {len(matching)} run(s){of} are recorded; `spanwise runs` lists them")
    titles = sorted({printable(run.title) for run in runs})
    close = difflib.get_close_matches(title or "", titles, n=1, cutoff=0.4)
    guess = f"did you mean last:{close[0]}? " if close else ""
    raise InputError(f"{reference}: no such run is recorded; {guess}Recorded: {', '.join(titles)}")


def _by_prefix(reference: str, runs: Sequence[Run]) -> list[Run]:
    if len(reference) < SHORTEST_PREFIX:
        raise InputError(
            f"run {reference!r}: too short; give at least {SHORTEST_PREFIX} characters of a run or trace id, or `last`"
        )
    lowered = reference.lower()
    return [run for run in runs if run.run_id.startswith(reference) or run.trace_id.startswith(lowered)]


def _select_prefix(reference: str, matching: Sequence[Run], runs: Sequence[Run]) -> Run:
    if len({run.run_id for run in matching}) == 1:
        return matching[-1]
    if matching:
        raise InputError(f"run {reference!r} is ambiguous: {_listed(matching)}; give more characters of one")
    names = [name for run in runs for name in (run.run_id, run.trace_id)]
    close = set(difflib.get_close_matches(reference, [name[: len(reference)] for name in names], n=3, cutoff=0.5))
    near = [run for run in runs if {run.run_id[: len(reference)], run.trace_id[: len(reference)]} & close]
    hint = f"nearest: {_listed(near)}" if near else f"newest: {_listed(runs[-1:])}"
    raise InputError(f"run {reference!r}: no such run; {hint}; `spanwise runs` lists them")


def _listed(runs: Sequence[Run]) -> str:
    short = short_ids(runs)
    shown = [printable(f"{short[run.run_id]} ({run.title})") for run in runs[-3:]]
    more = [f"and {len(runs) - 3} more"] if len(runs) > len(shown) else []
    return ", ".join([*shown, *more])
