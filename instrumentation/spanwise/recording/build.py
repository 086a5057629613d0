"""Puts a recorder together as the settings say: buffer, stream, destinations. A forked child does it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spanwise.journal.housekeeping import Housekeeping
from spanwise.journal.process_ledger import Ledger
from spanwise.recording.buffer import Buffer
from spanwise.recording.processor import RecordingProcessor
from spanwise.recording.run_attributes import RunAttributes

if TYPE_CHECKING:
    from spanwise.config.settings import Settings
    from spanwise.content.filter import ContentFilter
    from spanwise.journal.stream import Stream
    from spanwise.recording.metrics import SpanMetrics
    from spanwise.recording.stages import Destination


def processor_of(
    settings: Settings, metrics: SpanMetrics, content_filter: ContentFilter, *, check: bool = True
) -> RecordingProcessor:
    """Return a recorder that neither has a thread nor has opened a file yet.

    Args:
        settings: what is recorded, where to, and how.
        metrics: observed for each span.
        content_filter: what may be recorded.
        check: whether the journal folder is made and tried first.

    Raises:
        InputError: a destination cannot be used.
        UnavailableError: nor the journal folder, or a destination needs an extra.
    """
    sync = settings.durability == "sync"
    buffer = Buffer(settings.buffer_size, pressed=sync)
    ledger = Ledger(tuple(name for name, _ in settings.destinations))
    destinations: tuple[Destination, ...] = ()
    if settings.destinations:
        from spanwise.destinations import factory  # noqa: PLC0415 - the HTTP client loads only where something is sent

        destinations = factory.destinations_of(
            settings, journaled=bool(settings.journal_dir), ledger=ledger, backlog=buffer.__len__
        )
    stream = _stream(Path(settings.journal_dir), ledger, check=check) if settings.journal_dir else None
    tidy = Housekeeping(stream, settings.journal_size, settings.journal_age) if stream is not None else None
    return RecordingProcessor(
        metrics=metrics, stream=stream, ledger=ledger, destinations=destinations, content_filter=content_filter,
        buffer=buffer, sync=sync, interval=settings.journal_interval, tidy=tidy,
        run_attributes=RunAttributes(wanted=settings.run_budget),
    )  # fmt: skip


def _stream(folder: Path, ledger: Ledger, *, check: bool) -> Stream:
    # Here and not on the recorder's thread: a fork amid an import would hang the child.
    from spanwise.journal.folder import prepare  # noqa: PLC0415 - loads only where something is written
    from spanwise.journal.stream import Stream  # noqa: PLC0415 - likewise
    from spanwise.otlp import json_encoder as otlp_json  # noqa: F401, PLC0415 # pyright: ignore[reportUnusedImport]

    if check:
        prepare(folder)
    return Stream(folder, ledger)
