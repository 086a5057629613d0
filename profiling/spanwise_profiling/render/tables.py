"""Tables of runs and of a run's agents, in the columns that fit 80 cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from spanwise_profiling.agents import agent_usage
from spanwise_profiling.load import short_ids
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.numbers import count, moment, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from spanwise_profiling.runs import Run

_UNFINISHED: Final = {
    "open": "open: it goes on; shown up to the last recorded moment",
    "interrupted": "interrupted: its process ended without an end of it; shown up to the last recorded moment",
}


def run_table(runs: Sequence[Run], *, glyphs: Glyphs = UNICODE, zone: tzinfo | None = None) -> Table:
    """Return a row a run, in the order given; times of day in `zone` (default: this machine's)."""
    table = _table(glyphs)
    table.add_column("run", no_wrap=True)
    table.add_column("started", no_wrap=True)
    table.add_column("workflow", ratio=1, no_wrap=True, overflow="ellipsis" if not glyphs.ascii_only else "crop")
    for title in ("seconds", "tokens", "hits", "err", "grade"):
        table.add_column(title, justify="right", no_wrap=True)
    short = short_ids(runs)
    for run in runs:
        totals = run.totals
        sign = f"{glyphs.error} " if run.error else ""
        table.add_row(
            Text(glyphs.clean(short[run.run_id])),
            moment(run.start_ns, zone)[5:-3],
            Text(f"{sign}{glyphs.clean(run.title)}", style="red" if run.error else ""),
            seconds(run.seconds),
            f"{totals.tokens:,}",
            _hits(totals.cache_hits, totals.cache_lookups),
            str(totals.errors),
            Text(glyphs.clean(run.grade or "-") if run.state == "ended" else run.state),
        )
    return table


def agent_table(run: Run, *, glyphs: Glyphs = UNICODE) -> Table:
    """Return a row an agent, the longest first."""
    table = _table(glyphs)
    table.add_column("agent", ratio=1, no_wrap=True, overflow="ellipsis" if not glyphs.ascii_only else "crop")
    for title in ("seconds", "of run", "waiting", "tokens in", "out", "LLM", "tools"):
        table.add_column(title, justify="right", no_wrap=True)
    for agent in agent_usage(run):
        table.add_row(
            Text(glyphs.clean(agent.name)),
            seconds(agent.seconds),
            f"{agent.share:.0%}",
            seconds(agent.waiting_seconds),
            f"{agent.input_tokens:,}",
            f"{agent.output_tokens:,}",
            f"{agent.llm_calls:,}",
            f"{agent.tool_calls:,}",
        )
    return table


def heading(run: Run, width: int, *, glyphs: Glyphs = UNICODE, zone: tzinfo | None = None) -> Text:
    """Return who, when and how much of a run, in lines of at most `width` cells."""
    about = [f"run {glyphs.clean(run.run_id)}", moment(run.start_ns, zone)]
    about += [glyphs.clean(run.service)] if run.service else []
    text = Text(glyphs.clean(run.title), style="bold")
    text.append("".join(f"\n{line}" for line in _wrapped(about, width)), style="not bold dim")
    text.append("".join(f"\n{line}" for line in _wrapped(_figures(run, glyphs), width)), style="not bold")
    if run.state != "ended":
        text.append(f"\n{_UNFINISHED[run.state]}", style="not bold yellow")
    if run.error:
        text.append(f"\n{glyphs.error} failed: {glyphs.clean(run.error)}", style="red")
    return text


def _figures(run: Run, glyphs: Glyphs) -> list[str]:
    totals = run.totals
    figures = [seconds(run.seconds), count(totals.tokens, "token"), f"{run.tokens_per_second:,.1f} tok/s"]
    figures += [
        count(totals.agents, "agent"),
        count(totals.llm_calls, "LLM call"),
        count(totals.tool_calls, "tool call"),
    ]
    figures += [f"{_hits(totals.cache_hits, totals.cache_lookups)} cache hits"] if totals.cache_lookups else []
    figures += [f"{totals.retries} retried"] if totals.retries else []
    figures += [count(totals.errors, "error")] if totals.errors else []
    figures += [f"grade {glyphs.clean(run.grade)}"] if run.grade else []
    return figures


def _wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Join `parts` with commas into lines, never breaking one."""
    lines = [parts[0]]
    for part in parts[1:]:
        if cell_len(lines[-1]) + cell_len(part) + len(", ,") > width:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] += f", {part}"
    return lines


def _table(glyphs: Glyphs) -> Table:
    return Table(box=None, pad_edge=False, expand=True, header_style="dim", safe_box=glyphs.ascii_only, padding=(0, 1))


def _hits(hits: int, lookups: int) -> str:
    return f"{hits}/{lookups}" if lookups else "-"
