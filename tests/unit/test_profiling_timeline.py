from __future__ import annotations

from datetime import UTC
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console
from support.traces import agent, cache_lookup, chat, record, run_of, span, step, tool, wait, workflow

from spanwise import conventions as c
from spanwise_profiling.load import load_runs
from spanwise_profiling.render.compact import compact_timeline, legend
from spanwise_profiling.render.glyphs import ASCII, UNICODE, glyphs_for
from spanwise_profiling.render.numbers import moment, seconds
from spanwise_profiling.render.tables import agent_table, heading, run_table
from spanwise_profiling.render.timeline import errors, timeline

if TYPE_CHECKING:
    from rich.console import RenderableType

    from spanwise_profiling.runs import Run

HOSTILE = "x[red]\x1b[2J\n\u202e\u200by:smile:[/red]"


def printed(renderable: RenderableType, width: int = 80) -> str:
    stream = StringIO()
    Console(file=stream, width=width, color_system=None, highlight=False).print(renderable)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def desk() -> Run:
    preset = {c.RUN_ID: "7d1f" * 8, c.RUN_VARIANT: "optimized", c.QUALITY_GRADE: "A+", c.QUALITY_SCORE: 100}
    retried = {c.RETRY_SCHEDULED: True}
    return run_of(
        workflow(1, 0, 6, attributes=preset, scale=20.0),
        step(2, 0, 0.2, name="dispatch", parent=1),
        agent(3, 0.2, 2.1, name="market_analyst", parent=1),
        tool(4, 0.2, 0.21, parent=3),
        cache_lookup(5, 0.2, 0.201, parent=4),
        wait(6, 0.25, 0.6, parent=3),
        chat(7, 0.6, 2.1, parent=3),
        agent(8, 0.2, 1.5, name="news_analyst", parent=1),
        chat(9, 0.2, 0.7, parent=8, error="429", message="slow\ndown", attributes=retried, tokens=(0, 0)),
        chat(10, 0.8, 1.5, parent=8),
        agent(11, 2.1, 4, name="bull", parent=1),
        chat(12, 2.1, 4, parent=11),
        agent(13, 4, 6, name="bull", parent=1, error="ValueError"),
        chat(14, 4, 6, parent=13),
    )


TIMELINE = """\
                                           0 s            60.00 s        120.0 s
workflow trading                  120.0 s  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
├─ step dispatch                   4.00 s  ━
├─ agent market_analyst           38.00 s   ━━━━━━━━━━━━
│  ├─ tool prices                 0.200 s   ▏
│  │  └─ cache market hit         0.020 s   ▏
│  ├─ wait llm                     7.00 s    ░░
│  └─ chat sim-1                  30.00 s      █████████
├─ agent news_analyst             26.00 s   ━━━━━━━━
│  ├─ ✗ chat sim-1 429, retried   10.00 s   ███
│  └─ chat sim-1                  14.00 s       ████
├─ agent bull                     38.00 s               ━━━━━━━━━━━━
│  └─ chat sim-1                  38.00 s               ████████████
└─ ✗ agent bull ValueError        40.00 s                           ━━━━━━━━━━━━
   └─ chat sim-1                  40.00 s                           ████████████"""
TIMELINE_IN_ASCII = """\
                                           0 s            60.00 s        120.0 s
workflow trading                  120.0 s  =====================================
|- step dispatch                   4.00 s  =
|- agent market_analyst           38.00 s   ============
|  |- tool prices                 0.200 s   '
|  |  `- cache market hit         0.020 s   '
|  |- wait llm                     7.00 s    ..
|  `- chat sim-1                  30.00 s      #########
|- agent news_analyst             26.00 s   ========
|  |- X chat sim-1 429, retried   10.00 s   ###
|  `- chat sim-1                  14.00 s       ####
|- agent bull                     38.00 s               ============
|  `- chat sim-1                  38.00 s               ############
`- X agent bull ValueError        40.00 s                           ============
   `- chat sim-1                  40.00 s                           ############"""
COMPACT = """\
optimized       0 s                    60.00 s                 120.0 s
dispatch        ━━                                                        4.00 s
market_analyst    ░░░██████████████                                      38.00 s
news_analyst      ████━███████                                           26.00 s
✗ bull x2                          ███████████████████████████████████   78.00 s"""
AGENTS = """\
agent                       seconds  of run  waiting  tokens in  out  LLM  tools
bull                        78.00 s     65%      0 s        200   40    2      0
market_analyst              38.00 s     32%   7.00 s        100   20    1      1
news_analyst                26.00 s     22%      0 s        100   20    2      0"""
HEADING = """\
trading/optimized
run 7d1f7d1f7d1f7d1f7d1f7d1f7d1f7d1f, 2026-09-21 14:13:20, desk
120.0 s, 480 tokens, 4.0 tok/s, 3 agents, 5 LLM calls, 1 tool call,
1/1 cache hits, 1 retried, 1 error, grade A+"""
ERRORS = """\
Errors, where they began (1 of 2 tried again)
✗ at    4.00 s  chat sim-1 429, retried: slow\\ndown
✗ at   80.00 s  agent bull ValueError"""
RUNS = """\
run       started      workflow                seconds  tokens  hits  err  grade
0002aaaa  09-21 14:14  ✗ hedge_fund_with_a_l…   1.50 s       0     -    1      -
7d1f7d1f  09-21 14:13  trading/optimized       120.0 s     480   1/1    1     A+"""


def test_a_timeline_shows_what_happened_when_and_for_how_long() -> None:
    assert printed(timeline(desk(), 80)) == TIMELINE


def test_the_page_about_show_prints_what_the_program_prints() -> None:
    page = (Path(__file__).parents[2] / "docs" / "show.md").read_text(encoding="utf-8")
    for shown in (HEADING, TIMELINE, AGENTS, ERRORS, COMPACT):
        assert shown in page


def test_a_compact_timeline_has_a_line_an_agent_or_step() -> None:
    assert printed(compact_timeline(desk(), 80)) == COMPACT


def test_agents_are_listed_by_their_seconds() -> None:
    assert printed(agent_table(desk())) == AGENTS


def test_a_heading_says_who_when_and_how_much() -> None:
    assert printed(heading(desk(), 80, zone=UTC)) == HEADING


def test_errors_are_told_where_they_began() -> None:
    run = desk()
    listed = errors(run)
    assert listed is not None
    assert printed(listed) == ERRORS
    assert errors(run_of(workflow(1, 0, 1))) is None


def test_runs_are_listed_in_eighty_columns() -> None:
    failed = run_of(workflow(1, 60, 61.5, trace=2, name="hedge_fund_with_a_long_name", error="ValueError"))
    assert printed(run_table([failed, desk()], zone=UTC)) == RUNS


def test_a_stream_that_cannot_encode_blocks_gets_ascii() -> None:
    assert [glyphs_for(name) for name in ("utf-8", "ascii", "latin-1", "cp437", None, "no-such")] == [
        UNICODE,
        *[ASCII] * 5,
    ]
    for report in (timeline(desk(), 80, glyphs=ASCII), compact_timeline(desk(), 80, glyphs=ASCII), legend(ASCII)):
        assert str(report).isascii()
    assert printed(timeline(desk(), 80, glyphs=ASCII)) == TIMELINE_IN_ASCII
    assert printed(run_table([run_of(workflow(1, 0, 1, name="böse" * 9))], glyphs=ASCII)).isascii()


def test_text_from_a_trace_cannot_draw_colour_or_break_lines() -> None:
    run = run_of(
        workflow(
            1, 0, 2, name=HOSTILE, attributes={c.RUN_ID: HOSTILE, c.RUN_VARIANT: HOSTILE, c.QUALITY_GRADE: HOSTILE}
        ),
        agent(2, 0, 1, parent=1, name=HOSTILE, error=HOSTILE, message=HOSTILE),
        span(3, 1, 2, parent=1, name=HOSTILE),
    )
    listed = errors(run)
    assert listed is not None
    shown: list[RenderableType] = [
        timeline(run, 200),
        compact_timeline(run, 200),
        agent_table(run),
        run_table([run]),
        heading(run, 200),
        listed,
    ]
    for renderable in shown:
        text = printed(renderable, 200)
        assert "x[red]\\x1b[2J\\n\\u202e\\u200by:smile:[/red]" in text
        assert not set(text) & {"\x1b", "\u202e", "\u200b"}
    assert len(printed(timeline(run, 200), 200).splitlines()) == 4


@pytest.mark.parametrize("width", [20, 60, 80, 81, 133, 250])
def test_every_line_of_a_timeline_fits_the_width(width: int) -> None:
    wide = run_of(workflow(1, 0, 2, name="日本語" * 40), agent(2, 0, 1, parent=1, name="分析" * 60, error="E" * 90))
    for run in (desk(), wide, many()):
        for text in (timeline(run, width), compact_timeline(run, width)):
            assert max(map(cell_len, text.plain.splitlines())) <= max(width, 60)


def test_an_instant_run_and_one_without_times_can_be_shown() -> None:
    assert printed(timeline(run_of(workflow(1, 1, 1)), 60)) == INSTANT
    assert printed(compact_timeline(run_of(span(1, 2, 1)), 60)) == BACKWARDS


def test_what_outlives_the_run_lengthens_the_axis_and_what_came_before_is_cut() -> None:
    run = run_of(workflow(1, 1, 3), chat(2, 0, 2, parent=1), chat(3, 2, 5, parent=1))
    assert printed(timeline(run, 60)) == OUTLIVED


INSTANT = """\
                            0 s
workflow trading       0 s  ▏"""
BACKWARDS = """\
work  0 s
work  ▏                                                  0 s"""
OUTLIVED = """\
                            0 s          2.00 s       4.00 s
workflow trading    2.00 s  ━━━━━━━━━━━━━━━━
├─ chat sim-1       2.00 s  ████████
└─ chat sim-1       3.00 s          ████████████████████████"""


def many() -> Run:
    agents = [agent(number, number / 10, number / 10 + 5, parent=1, name=f"agent_{number}") for number in range(2, 300)]
    calls = [chat(1000 + n, n / 10, n / 10 + (4 if n % 50 else 0.1), parent=n) for n in range(2, 300)]
    broken = tool(2000, 20, 20.01, parent=200, error="KeyError")
    return run_of(workflow(1, 0, 36), *agents, *calls, broken)


def test_of_a_big_run_errors_and_the_longest_spans_are_shown_and_the_rest_is_told() -> None:
    lines = printed(timeline(many(), 80)).splitlines()
    assert lines[-5:] == [
        "├─ agent agent_200                    5.00 s                     ━━━━━",
        "│  ├─ chat sim-1                     0.100 s                     ▏",
        "│  └─ ✗ tool prices KeyError         0.010 s                     ▏",
        "└─ … 520 more: 260 agent, 260 chat",
        "… 78 of 598 spans shown: errors and the longest; --all shows the rest",
    ]
    assert len(lines) == 81


def test_all_of_a_big_run_is_shown_on_request() -> None:
    lines = printed(timeline(many(), 80, show_all=True)).splitlines()
    assert len(lines) == 1 + 1 + 298 + 298 + 1
    assert not any("…" in line for line in lines)


def test_a_deep_run_is_cut_off_and_with_all_its_levels_are_counted() -> None:
    run = run_of(workflow(1, 0, 40), *(span(n, n - 1, 40, parent=n - 1) for n in range(2, 41)))
    lines = printed(timeline(run, 80)).splitlines()
    assert lines[9:] == [
        "                     └─ work              32.00 s        ━━━━━━━━━━━━━━━━━━━━━━━",
        "                     +1 … 31 more: span",
        "… 9 of 40 spans shown: errors and the longest; --all shows the rest",
    ]
    everything = printed(timeline(run, 80, show_all=True)).splitlines()
    assert len(everything) == 41
    assert everything[14] == "                     +5 work    27.00 s               ━━━━━━━━━━━━━━━━━━━━━━━━━━"


def test_compact_lines_are_limited_and_the_rest_is_told() -> None:
    lines = printed(compact_timeline(many(), 80, most_lines=5)).splitlines()
    assert len(lines) == 7
    assert lines[-1] == "… 293 more, 5.00 s at most; see: spanwise show"


@pytest.mark.slow
def test_a_run_of_five_thousand_spans_is_read_and_shown(tmp_path: Path) -> None:
    chain = [span(n, 0, 9, parent=n - 1) for n in range(2, 2001)]
    fan = [chat(n, 0, n / 1000, parent=1) for n in range(2001, 5001)]
    record(tmp_path, workflow(1, 0, 9), *chain, *fan)
    (run,) = load_runs(tmp_path)
    assert len(timeline(run, 80).plain.splitlines()) <= 75
    assert len(timeline(run, 80, show_all=True).plain.splitlines()) == 5001


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 s"), (0.0004, "0.000 s"), (0.102, "0.102 s"), (0.9996, "1.00 s"), (59.996, "60.00 s"), (99.996, "100.0 s"),
     (290.91, "290.9 s"), (9999.96, "10,000 s"), (16667, "16,667 s")],
)  # fmt: skip
def test_seconds_have_three_digits_that_count(value: float, text: str) -> None:
    assert seconds(value) == text


def test_a_moment_beyond_the_calendar_has_no_date() -> None:
    assert moment(2**63 * 100, UTC) == "(no date)"
