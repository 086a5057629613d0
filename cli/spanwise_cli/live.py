"""`spanwise show --follow`: on a terminal the tree as it grows; elsewhere a line for each span that has ended.

The last thing printed is the whole run, as `spanwise show` prints it once it is over.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from rich.live import Live
from rich.text import Text

from spanwise.errors import InputError
from spanwise_profiling.following import POLL_SECONDS, STILL_OPEN, Growing, follow
from spanwise_profiling.render.glyphs import glyphs_for
from spanwise_profiling.render.numbers import count, moment, seconds
from spanwise_profiling.render.timeline import label_with_error, timeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from rich.console import Console

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.following import Snapshot
    from spanwise_profiling.runs import Run

_LAST: Final = "last"
_FEWEST_LINES: Final = 8
_AROUND: Final = 7
"""Lines of a terminal that the tree leaves free: ruler, what was left out, title, prompt."""


def followed(reference: str, journal: Path, out: Console, *, sleep: Callable[[float], object] = time.sleep) -> Run:
    """Show a run while it goes on, and return it once it is over.

    Args:
        reference: `last` (the newest that goes on, or else the next one), or the first characters of an id.
        journal: its folder.
        out: what is drawn on.
        sleep: waits between two looks.

    Raises:
        InputError: no run can be followed by that name.
    """
    if ":" in reference or "~" in reference or "/" in reference or reference.endswith((".json", ".jsonl")):
        raise InputError(f"{reference}: cannot be followed; give an id or its first characters, or `last`")
    growing = Growing(None if reference == _LAST else reference)
    view = _Terminal(out) if out.is_terminal else _Lines(out)
    over: list[Snapshot] = []

    def looked(interval: float) -> bool:
        growing.settle()
        snapshot = growing.snapshot(time.time_ns())
        view.show(snapshot, waits_for=f"{reference} in {journal}")
        if snapshot is not None and snapshot.is_over:
            over.append(snapshot)
            return True
        sleep(interval)
        return False

    with view:
        for span in follow(journal, wait=looked, interval=POLL_SECONDS):
            growing.add(span)
    return over[0].run


class _Terminal:
    """Draws the tree anew at each look, and wipes it at the end."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._live = Live(console=out, transient=True, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._live.stop()

    def show(self, snapshot: Snapshot | None, *, waits_for: str) -> None:
        self._live.update(self._drawn(snapshot, waits_for), refresh=True)

    def _drawn(self, snapshot: Snapshot | None, waits_for: str) -> Text:
        glyphs = glyphs_for(self._out.encoding)
        if snapshot is None:
            return Text(glyphs.clean(f"waiting for {waits_for}; Ctrl-C ends"), style="dim")
        run, totals = snapshot.run, snapshot.run.totals
        figures = (seconds(run.seconds), count(totals.spans, "span"), count(totals.tokens, "token"))
        title = f"trace {run.trace_id}" if run.workflow == STILL_OPEN else run.title
        text = Text(f"{glyphs.clean(title)}\n{', '.join(figures)} so far; Ctrl-C ends\n", style="bold")
        most = max(_FEWEST_LINES, self._out.height - _AROUND)
        return text.append_text(timeline(run, self._out.width, glyphs=glyphs, most=most, open_ids=snapshot.open_ids))


class _Lines:
    """Prints a line for each span that has ended, in order of their ends: for a pipe, a log, a screen reader."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._out.print()

    def show(self, snapshot: Snapshot | None, *, waits_for: str) -> None:
        del waits_for
        if snapshot is None:
            return
        run, glyphs = snapshot.run, glyphs_for(self._out.encoding)
        hidden = snapshot.open_ids | self._told
        for span in sorted((span for _, span in run.walk() if span.span_id not in hidden), key=_end):
            self._told.add(span.span_id)
            line = f"{moment(span.end_ns)}  {label_with_error(span)}, {seconds(run.scaled(span.duration_ns))}"
            self._out.print(Text(glyphs.clean(line)), soft_wrap=True)


def _end(span: SpanRecord) -> tuple[int, int, str]:
    return span.end_ns, -span.start_ns, span.span_id
