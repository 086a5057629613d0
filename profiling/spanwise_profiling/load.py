"""Finding runs: out of a journal folder, a file of any format or a server, and one of them by what one types.

Everything is read anew each time: a journal is small beside the runs that wrote it, and an index would be one more
thing that can be wrong. Of a big file only the newest run is read in full (`big_files`). Several sources of one run are
merged before spans are joined, so that it does not matter which of them has what.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from spanwise.errors import InputError
from spanwise.journal import reader
from spanwise_profiling import collecting, dialects
from spanwise_profiling.runs import Run, runs_of
from spanwise_profiling.sources import jaeger_api, recognise, servers
from spanwise_profiling.sources.streams import STDIN
from spanwise_profiling.text import printable
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from spanwise.journal.reader import SpanRecord

    Progress: TypeAlias = Callable[[str], None] | None

SHORTEST_PREFIX: Final = 4
_SHORT_ID: Final = 8
_SUFFIXES: Final = (
    ".json", ".jsonl", ".ndjson", ".pb", ".binpb", ".log", ".txt", ".gz", ".zst", ".bz2", ".xz", ".zip", ".tar",
    ".tgz", ".seg",
)  # fmt: skip
_LAST: Final = re.compile(r"last(?:~(?P<back>\d{1,9}))?(?::(?P<title>.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Recording:
    """What a journal folder or a file holds."""

    source: Path | str
    """A path, an address, or `-`."""
    runs: tuple[Run, ...]
    """Newest last."""
    report: reader.ReadReport

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be read, a line each."""
        return warnings_of(self.source, self.report)


def warnings_of(source: Path | str, report: reader.ReadReport) -> tuple[str, ...]:
    """Return what could not be read of `source`, a line each."""
    growing = f"{source}: {report.incomplete} incomplete last line(s) left out (still being written, or cut off)"
    later = f"{source}: {report.unknown} record(s) left out that only a later version knows"
    return (
        *map(str, report.skipped),
        *([growing] if report.incomplete else []),
        *([later] if report.unknown else []),
        *(f"{source}: {count:,} {what}" for what, count in report.noted.items()),
    )


def problem_of(source: Path | str, report: reader.ReadReport) -> str:
    """Return why no span was read of `source`, in one line."""
    noted = "".join(f", but {count:,} {what}" for what, count in report.noted.items())
    return str(report.skipped[0]) if report.skipped else f"{source}: holds no span{noted}"


@collecting.paused()
def load(source: str | Path) -> Recording:
    """Read a journal folder or one file of any format; a folder that does not exist holds no runs.

    Raises:
        InputError: it may not be read, or the file holds no span.
    """
    report = reader.ReadReport()
    records = _spans(source, report)
    return Recording(source if str(source) == STDIN else Path(source), _runs(records), report)


def load_runs(source: str | Path) -> list[Run]:
    """Return the runs of a journal folder or a file, newest last."""
    return list(load(source).runs)


@collecting.paused()
def load_stream(segment: Path) -> list[Run]:
    """Return the runs that one writer of a journal has recorded so far, newest last.

    Args:
        segment: any segment of the writer, which need not be there any more; those before and after it are read too.
    """
    return list(_runs(reader.read_stream(segment)))


@collecting.paused()
def open_run(
    reference: str, journal: str | Path, sources: Sequence[str] = (), progress: Progress = None
) -> tuple[Run, Recording]:
    """Return the run that `reference` names, and the recording that it is in.

    Args:
        reference: A run of the journal (see `select`), a file of any format, `-` for standard input, the address of a
            trace in Jaeger or of a run in LangSmith, or `langsmith:ID`. Of a file the newest run is meant. A word that
            does not look like a path is a file only where no run of the journal has that name.
        journal: The folder of the journal.
        sources: More folders, files, addresses and `langsmith:ID` that hold parts of the same run.
        progress: Told in words, now and then, how much of a big file or of LangSmith's answer was read. Of a big file
            the recording holds only the traces that the run is in.

    Raises:
        InputError: nothing is recorded, or no run or several are meant.
        UnavailableError: a server cannot be reached.
    """
    if servers.is_server(reference):
        report = reader.ReadReport()
        return _opened(reference, servers.read(reference, report, (), progress), sources, report, progress)
    if reference == STDIN or (is_path(reference) and Path(reference).is_file()):
        return _from_file(reference, sources, progress)
    try:
        return _from_journal(reference, journal, sources, progress)
    except InputError:
        if not Path(reference).is_file():
            raise
    return _from_file(reference, sources, progress)


def _from_file(reference: str, sources: Sequence[str], progress: Progress) -> tuple[Run, Recording]:
    report = reader.ReadReport()
    source = reference if reference == STDIN else Path(reference)
    records = None if sources or reference == STDIN else _newest_run(Path(reference), report, progress)
    return _opened(source, _spans(reference, report) if records is None else records, sources, report, progress)


def _newest_run(path: Path, report: reader.ReadReport, progress: Progress) -> list[SpanRecord] | None:
    from spanwise_profiling import big_files  # noqa: PLC0415 - loads numpy, which few files need

    def tell(done: int) -> None:
        if progress is not None:
            progress(f"{done / 1e6:,.0f} MB of {path.name}")

    return big_files.newest_run(path, report, tell)


def _opened(
    source: str | Path, records: list[SpanRecord], sources: Sequence[str], report: reader.ReadReport, progress: Progress
) -> tuple[Run, Recording]:
    """Return the newest run of what was read from `source`, completed from `sources`."""
    runs = _runs(records)
    if sources:
        found = runs[-1]
        runs = _runs(_merged(records, _more(sources, found.trace_ids, report, progress)))
        runs = tuple(run for run in runs if run.run_id == found.run_id) or runs
    return runs[-1], Recording(source, runs, report)


def _from_journal(
    reference: str, journal: str | Path, sources: Sequence[str], progress: Progress
) -> tuple[Run, Recording]:
    report = reader.ReadReport()
    records = list(reader.read(journal, report))
    local = [source for source in sources if not servers.is_server(source)]
    records = _merged(records, _more(local, (), report))
    remote = [source for source in sources if servers.is_server(source)]
    runs = _runs(records)
    if is_path(reference) and not any(run.run_id.startswith(reference) for run in runs):
        raise InputError(f"{reference}: no such file; give a recorded trace, a run id or `last`")
    if remote and jaeger_api.is_trace_id(reference) and not any(reference in (r.run_id, *r.trace_ids) for r in runs):
        wanted: tuple[str, ...] = (reference.lower(),)
    else:
        require_runs(Recording(Path(journal), runs, report))
        chosen = select(reference, runs)
        if not remote:
            return chosen, Recording(Path(journal), runs, report)
        reference, wanted = chosen.run_id, chosen.trace_ids
    runs = _runs(_merged(records, _more(remote, wanted, report, progress)))
    return select(reference, runs), Recording(Path(journal), runs, report)


def _spans(source: str | Path, report: reader.ReadReport) -> list[SpanRecord]:
    """Return the spans of a folder (none where there is no such) or a file (at least one)."""
    if str(source) != STDIN and not Path(source).is_file():
        return list(reader.read(source, report))
    records = list(recognise.read(source, report))
    if not records:
        raise InputError(f"{problem_of(source, report)}; read here are: {recognise.READ_HERE}")
    return records


def _more(
    sources: Iterable[str], trace_ids: Iterable[str], report: reader.ReadReport, progress: Progress = None
) -> Iterable[SpanRecord]:
    for source in sources:
        if servers.is_server(source):
            yield from servers.read(source, report, trace_ids, progress)
        elif not Path(source).exists():
            raise InputError(
                f"{source}: no such file or folder; give a journal, a trace file or a Jaeger or LangSmith address"
            )
        else:
            yield from _spans(source, report)


def _merged(records: list[SpanRecord], more: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return `records` and those of `more` that are not among them to the last detail."""
    known: defaultdict[tuple[str, str], list[SpanRecord]] = defaultdict(list)
    for record in records:
        known[record.trace_id, record.span_id].append(record)
    return records + [record for record in more if record not in known.get((record.trace_id, record.span_id), ())]


def _runs(records: Iterable[SpanRecord]) -> tuple[Run, ...]:
    return tuple(runs_of(build_traces(dialects.translated(records))))


def require_runs(recording: Recording) -> None:
    """Raise `InputError`, saying how to record a run, where there is none."""
    if not recording.runs:
        raise InputError(
            f"{recording.source}: no runs recorded yet; record one with: spanwise run SCRIPT, or spanwise systems run "
            "trading (another folder: --journal DIR)"
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
    exact = [run for run in runs if reference in (run.run_id, *run.trace_ids)]
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


def is_path(reference: str) -> bool:
    """Whether `reference` looks like a file's path, so that it is no name of a run."""
    return not _LAST.fullmatch(reference) and ("/" in reference or reference.endswith(_SUFFIXES))


def _select_last(reference: str, back: int, title: str | None, runs: Sequence[Run]) -> Run:
    matching = [run for run in runs if title in (None, run.title, run.workflow)]
    if back < len(matching):
        return matching[-1 - back]
    if matching:
        of = f" of {title}" if title else ""
        raise InputError(f"{reference}: only {len(matching)} run(s){of} are recorded; `spanwise runs` lists them")
    titles = sorted({printable(run.title) for run in runs})
    import difflib  # noqa: PLC0415 - 10 ms, and only where something is wrong

    close = difflib.get_close_matches(title or "", titles, n=1, cutoff=0.4)
    guess = f"did you mean last:{close[0]}? " if close else ""
    raise InputError(f"{reference}: no such run is recorded; {guess}Recorded: {', '.join(titles)}")


def _by_prefix(reference: str, runs: Sequence[Run]) -> list[Run]:
    if len(reference) < SHORTEST_PREFIX:
        raise InputError(
            f"run {reference!r}: too short; give at least {SHORTEST_PREFIX} characters of a run or trace id, or `last`"
        )
    lowered = reference.lower()
    return [run for run in runs if run.run_id.startswith(reference) or _in_trace(run, lowered)]


def _in_trace(run: Run, prefix: str) -> bool:
    return any(trace_id.startswith(prefix) for trace_id in run.trace_ids)


def _select_prefix(reference: str, matching: Sequence[Run], runs: Sequence[Run]) -> Run:
    if len({run.run_id for run in matching}) == 1:
        return matching[-1]
    if matching:
        raise InputError(f"run {reference!r} is ambiguous: {_listed(matching)}; give more characters of one")
    names = [name for run in runs for name in (run.run_id, run.trace_id)]
    import difflib  # noqa: PLC0415 - likewise

    close = set(difflib.get_close_matches(reference, [name[: len(reference)] for name in names], n=3, cutoff=0.5))
    near = [run for run in runs if {run.run_id[: len(reference)], run.trace_id[: len(reference)]} & close]
    hint = f"nearest: {_listed(near)}" if near else f"newest: {_listed(runs[-1:])}"
    raise InputError(f"run {reference!r}: no such run; {hint}; `spanwise runs` lists them")


def _listed(runs: Sequence[Run]) -> str:
    short = short_ids(runs)
    shown = [printable(f"{short[run.run_id]} ({run.title})") for run in runs[-3:]]
    more = [f"and {len(runs) - 3} more"] if len(runs) > len(shown) else []
    return ", ".join([*shown, *more])
