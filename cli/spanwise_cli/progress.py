"""Live progress of runs on a terminal's standard error, and nothing anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

    from spanwise_pipeline.runner import RunPlan


class Progress:
    """One line a run: how many agents' texts are there, whose was the last, and after how many seconds."""

    def __init__(self, console: Console, *, total: int) -> None:
        self._total = total
        self._lines: list[tuple[str, list[tuple[str, float]]]] = []
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Wipe what was drawn."""
        if self._live is not None:
            self._live.stop()

    def watch(self, preset: str, plan: RunPlan) -> Callable[[str, float], None]:
        """Return the function that a run tells its finished agents."""
        texts: list[tuple[str, float]] = []
        self._lines.append((f"{preset} (seed {plan.seed})", texts))

        def tell(agent: str, seconds: float) -> None:
            texts.append((agent, seconds))
            self._draw()

        self._draw()
        return tell

    def _draw(self) -> None:
        if self._live is None:
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for number, (name, texts) in enumerate(self._lines[-8:], start=max(1, len(self._lines) - 7)):
            agents = len({agent for agent, _ in texts})
            last = f"{texts[-1][1]:7.1f} s  {texts[-1][0]}" if texts else "starting"
            table.add_row(f"run {number}/{self._total}", name, f"{agents:2d} agents", last)
        self._live.update(table)
