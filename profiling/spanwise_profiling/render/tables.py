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

MOST_AGENTS: Final = 50
"""Rows of a table of agents; laying out tens of thousands takes longer than anybody reads."""
UNFINISHED: Final = {
    "open": "open: it goes on; shown up to the last recorded moment",
    "interrupted": "interrupted: its process ended without an end of it; shown up to the last recorded moment",
}


def run_table(runs: Sequence[Run], *, glyphs: Glyphs = UNICODE, zone: tzinfo | None = None) -> Table:
    """Return a row a run, in the order given; times of day in `zone` (default: this machine's)."""
    table = plain_table(glyphs)
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


def agent_table(run: Run, *, glyphs: Glyphs = UNICODE, most: int = MOST_AGENTS) -> Table:
    """Return a row for each agent, the longest first, and a last one that counts those beyond `most`."""
    table = plain_table(glyphs)
    table.add_column("agent", ratio=1, no_wrap=True, overflow="ellipsis" if not glyphs.ascii_only else "crop")
    for title in ("seconds", "of run", "waiting", "tokens in", "out", "LLM", "tools"):
        table.add_column(title, justify="right", no_wrap=True)
    agents = agent_usage(run)
    for agent in agents[:most]:
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
    if len(agents) > most:
        table.add_row(Text(f"{glyphs.ellipsis} {len(agents) - most:,} more", style="dim"))
    return table


def heading(run: Run, width: int, *, glyphs: Glyphs = UNICODE, zone: tzinfo | None = None) -> Text:
    """Return who, when and how much of a run, in lines of at most `width` cells."""
    about = [f"run {run.run_id}", moment(run.start_ns, zone)]
    return heading_about(run, [*about, run.service] if run.service else about, width, glyphs=glyphs)


def heading_about(run: Run, about: Sequence[str], width: int, *, glyphs: Glyphs = UNICODE) -> Text:
    """Return the title of a run, what is said `about` it (not yet safe to print), its figures and its error."""
    text = Text(glyphs.clean(run.title), style="bold")
    cleaned = [glyphs.clean(part) for part in about]
    text.append("".join(f"\n{line}" for line in wrapped(cleaned, width)), style="not bold dim")
    text.append("".join(f"\n{line}" for line in wrapped(figures(run, glyphs), width)), style="not bold")
    if run.state != "ended":
        text.append(f"\n{UNFINISHED[run.state]}", style="not bold yellow")
    if run.error:
        text.append(f"\n{glyphs.error} failed: {glyphs.clean(run.error)}", style="red")
    return text


def figures(run: Run, glyphs: Glyphs) -> list[str]:
    """Return how long a run took and how much it did: `120.0 s`, `3 agents`."""
    totals = run.totals
    parts = [seconds(run.seconds), count(totals.tokens, "token"), f"{run.tokens_per_second:,.1f} tok/s"]
    parts += [
        count(totals.agents, "agent"),
        count(totals.llm_calls, "LLM call"),
        count(totals.tool_calls, "tool call"),
    ]
    parts += [f"{_hits(totals.cache_hits, totals.cache_lookups)} cache hits"] if totals.cache_lookups else []
    parts += [f"{totals.retries} retried"] if totals.retries else []
    parts += [count(totals.errors, "error")] if totals.errors else []
    parts += [f"grade {glyphs.clean(run.grade)}"] if run.grade else []
    return parts


def wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Return `parts` (at least one) joined with commas into lines of at most `width` cells; none of them is broken."""
    lines = [parts[0]]
    for part in parts[1:]:
        if cell_len(lines[-1]) + cell_len(part) + len(", ,") > width:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] += f", {part}"
    return lines


def plain_table(glyphs: Glyphs) -> Table:
    """Return an empty table without lines, as wide as the page."""
    return Table(box=None, pad_edge=False, expand=True, header_style="dim", safe_box=glyphs.ascii_only, padding=(0, 1))


def paragraph(indent: str, text: str, width: int, *, hanging: int = 3, style: str = "") -> Text:
    """Return clean `text` with lines of at most `width` cells, broken between words.

    The first line begins with `indent`, the others with `hanging` spaces; a word that is wider stays whole.
    """
    lines = [indent]
    begun = False
    for word in text.split(" "):
        if begun and cell_len(lines[-1]) + 1 + cell_len(word) > width:
            lines.append(" " * hanging + word)
        else:
            lines[-1] += f" {word}" if begun else word
        begun = True
    return Text("\n".join(lines), style=style)


def _hits(hits: int, lookups: int) -> str:
    return f"{hits}/{lookups}" if lookups else "-"
