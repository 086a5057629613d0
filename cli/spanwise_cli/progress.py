"""Live progress of runs on a terminal's standard error, and nothing anywhere else."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console, RenderableType

    from spanwise_pipeline.runner import RunPlan

_FINISHED_SHOWN: Final = 6


@dataclass(slots=True)
class _Watched:
    name: str
    speed: float
    began: float = field(default_factory=time.perf_counter)
    texts: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])

    ended: float | None = None

    def elapsed(self) -> float:
        now = time.perf_counter() if self.ended is None else self.ended
        return (now - self.began) * self.speed


class Progress:
    """The runs that are done in a line each; of the one that goes on, its clock and every agent's text as it comes."""

    def __init__(self, console: Console, *, total: int) -> None:
        self._total = total
        self._runs: list[_Watched] = []
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, refresh_per_second=8, transient=True, get_renderable=self._render)

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Wipe what was drawn."""
        if self._live is not None:
            self._live.stop()

    def begin(self, preset: str, plan: RunPlan) -> Callable[[str, float], None]:
        """Return the function that a run tells the agents that finished a text."""
        watched = _Watched(f"{preset}, seed {plan.seed}", plan.speed)
        self._runs.append(watched)

        def tell(agent: str, seconds: float) -> None:
            watched.texts.append((agent, seconds))

        return tell

    def end(self) -> None:
        """Stop the clock of the run that went on."""
        self._runs[-1].ended = time.perf_counter()

    def _render(self) -> RenderableType:
        if not self._runs:
            return Text("starting")
        done, current = self._runs[:-1], self._runs[-1]
        lines = [
            Text(f"run {number}/{self._total}  {run.name}: {run.elapsed():.0f} s")
            for number, run in enumerate(done, start=1)
            if number > len(done) - _FINISHED_SHOWN
        ]
        agents = len({agent for agent, _ in current.texts})
        head = f"run {len(self._runs)}/{self._total}  {current.name}: {current.elapsed():.0f} s, {agents} agents done"
        if current.ended is not None:
            head += "; computing its bound"
        table = Table(box=None, pad_edge=False, show_header=False)
        for agent, seconds in current.texts:
            table.add_row(f"{seconds:9.1f} s", agent)
        return Group(*lines, Text(head), table)
