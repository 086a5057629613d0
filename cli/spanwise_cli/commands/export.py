"""`spanwise export`: recorded runs to an OTLP receiver, to LangSmith or into a file."""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from spanwise.config.settings import DESTINATIONS, masked, resolve, settings_of
from spanwise.errors import InputError, UnavailableError
from spanwise.journal import payloads, purge
from spanwise.otlp import record_json
from spanwise_cli.opening import progress
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption, JsonOption, console, emit_json
from spanwise_profiling.load import open_run

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from spanwise.config.settings import Settings
    from spanwise.destinations.draining import Sent
    from spanwise_profiling.runs import Run

_STDOUT: Final = "-"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="export")(export)


def export(
    *,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs: ids or first characters, last, last~2, last:workflow, or files."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Send everything that the destination does not have yet.")
    ] = False,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="DEST", help=f"{', '.join(DESTINATIONS)}, an OTLP address, a file, or - (output)."
        ),
    ],
    patience: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Stop if nothing was accepted for so long.")
    ] = 30.0,
    json: JsonOption = False,
    journal: JournalOption = DEFAULT_JOURNAL,
) -> None:
    """Send recorded runs to a destination, or write them to a file of OTLP/JSON lines.

    Chosen runs are sent whether or not they were sent before; of a file below set-aside, all that was refused is sent
    again. With --all the journal's cursors say what is pending, and move; to a file everything goes. 4 where the
    destination cannot be reached: what is left stays pending.

    Example: spanwise export --all --to otlp
    """
    if bool(runs) == everything:
        raise InputError("export: name the runs, or give --all for everything")
    if json and to == _STDOUT:
        raise InputError("export: --json and --to - both want standard output; write to a file")
    requests = payloads.of_folder(journal) if everything else _of_runs(runs or [], journal)
    if to not in DESTINATIONS and not _is_address(to):
        _say_written(_write(requests, to), to, json=json)
    elif everything:
        _say_sent(_drain(journal, _settings(to), _name(to), patience), to, json=json)
    else:
        _say_sent(_send(list(requests), _settings(to), _name(to), patience), to, json=json)


def _is_address(to: str) -> bool:
    return to.startswith(("http://", "https://"))


def _name(to: str) -> str:
    return "otlp" if _is_address(to) else to


def _settings(to: str) -> Settings:
    return settings_of(resolve({"endpoint": to} if _is_address(to) else {}))


def _of_runs(references: Sequence[str], journal: Path) -> Iterator[bytes]:
    """Yield the spans of runs as they were recorded, and all of what a destination refused."""
    in_journal: list[Run] = []
    for reference in references:
        if purge.SET_ASIDE in Path(reference).parts and Path(reference).is_file():
            yield from payloads.of_file(Path(reference))
            continue
        with progress() as tell:
            run, recording = open_run(reference, journal, (), tell)
        source = Path(recording.source)
        if source == Path(journal):
            in_journal.append(run)
        elif payloads.is_lines(source):
            yield from _chosen(payloads.of_file(source), [run])
        else:
            yield record_json.encode([span for _, span in run.trace.walk(*run.tops)])
    if in_journal:
        yield from _chosen(payloads.of_folder(journal), in_journal)


def _chosen(requests: Iterable[bytes], runs: Sequence[Run]) -> Iterator[bytes]:
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for run in runs:
        for _, span in run.trace.walk(*run.tops):
            wanted[span.trace_id].add(span.span_id)
    for request in requests:
        found = payloads.chosen(request, wanted)
        if found is not None:
            yield found[0]


def _write(requests: Iterable[bytes], to: str) -> int:
    """Write lines to a new file or standard output; returns the number of spans."""
    if to == _STDOUT:
        return _write_lines(requests, sys.stdout.buffer.write)
    path = Path(to)
    partial = path.with_name(f"{path.name}.partial")
    if path.exists():
        raise InputError(f"{path}: is there already; remove it or name another file")
    try:
        with partial.open("xb") as file:
            number = _write_lines(requests, file.write)
        partial.rename(path)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror}); name another file") from None
    finally:
        partial.unlink(missing_ok=True)
    return number


def _write_lines(requests: Iterable[bytes], write: Any) -> int:
    number = 0
    for request in requests:
        write(request.rstrip() + b"\n")
        number += payloads.counted(request)
    return number


def _drain(journal: Path, settings: Settings, name: str, patience: float) -> Sent:
    from spanwise.destinations import draining, factory  # noqa: PLC0415 - the HTTP client takes 60 ms to load

    with _progress() as sent, factory.delivery_of(settings, name, patience) as delivery:
        draining.drain(journal, name, delivery, factory.outlet_of(settings, name), sent)
    return sent


def _send(requests: Iterable[bytes], settings: Settings, name: str, patience: float) -> Sent:
    from spanwise.destinations import draining, factory  # noqa: PLC0415 - likewise

    with _progress() as sent, factory.delivery_of(settings, name, patience) as delivery:
        draining.send(requests, delivery, factory.outlet_of(settings, name), sent)
    return sent


@contextmanager
def _progress() -> Generator[Sent]:
    """Show on a terminal how many spans were sent so far."""
    from spanwise.destinations.draining import Sent  # noqa: PLC0415 - likewise

    sent, out = Sent(), console(stderr=True)
    if not out.is_terminal:
        yield sent
        return
    with out.status("connecting") as status:
        sent.tell = lambda sent: status.update(f"{sent.delivered:,} spans delivered {sent.failure}")
        yield sent


def _say_sent(sent: Sent, to: str, *, json: bool) -> None:
    shown = masked(to)
    if json:
        numbers = {name: getattr(sent, name) for name in ("delivered", "set_aside", "filtered", "expired", "busy")}
        emit_json({"schema": "spanwise.export/1", "to": shown, **numbers, "failure": sent.failure or None})
    else:
        console().print(" ".join(_sentences(sent, shown)), markup=False)
    if sent.failure:
        raise UnavailableError(f"{shown}: {sent.failure}; what is left stays pending, run it again when it is back")


def _sentences(sent: Sent, to: str) -> Iterator[str]:
    yield f"{_spans(sent.delivered)} delivered to {to}."
    if sent.filtered:
        yield f"{_spans(sent.filtered)} filtered out."
    if sent.set_aside:
        why = ", ".join(f"{reason} {number:,}" for reason, number in sent.reasons.most_common(3))
        yield f"{_spans(sent.set_aside)} not taken ({why})."
    if sent.expired:
        yield f"{_spans(sent.expired)} deleted before."
    if sent.busy:
        yield f"{sent.busy} processes are sending their own."


def _say_written(number: int, to: str, *, json: bool) -> None:
    if json:
        emit_json({"schema": "spanwise.export/1", "to": to, "written": number})
    elif to != _STDOUT:
        console().print(f"{_spans(number)} written to {to}.", markup=False)


def _spans(number: int) -> str:
    return f"{number:,} span{'' if number == 1 else 's'}"
