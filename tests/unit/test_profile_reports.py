"""A profile as text: for the terminal, in plain sentences, and as a comment on a pull request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from support.pages import ROOT, blocks
from support.profiles import SEQUENTIAL, desk_profile, profile
from support.screens import path_of, screen
from support.traces import agent, chat, identifier, run_of, span, wait, workflow

from spanwise_profiling.profile import BUCKETS, Blind, Evidence, Finding
from spanwise_profiling.render.budget import MEANINGS, budget_bars, share_of
from spanwise_profiling.render.glyphs import ASCII, UNICODE
from spanwise_profiling.render.markdown import code, markdown_report, text
from spanwise_profiling.render.path_tree import path_tree
from spanwise_profiling.render.plain import plain_report

if TYPE_CHECKING:
    from support.profiles import Stretch

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.render.glyphs import Glyphs

HOSTILE = "x[red]\x1b[2J\n\u202e\u200by:smile:[/red] @octocat #12 <script>|`*"
PLAIN = """\
Profile of trading/optimized: run 7d1f7d1f7d1f7d1f7d1f7d1f7d1f7d1f, 2026-09-21 14:13:20 UTC, desk.
In all: 120.0 s, 480 tokens, 4.0 tok/s, 3 agents, 5 LLM calls, 1 tool call, 1/1 cache hits, 1 retried, 1 error, \
grade A+.
Path: certain, by recorded waits where anything overlapped.
Work of 143.0 s in 120.0 s: 1.19 at once.
Longest way beside it: 26.00 s from 4.00 s on, most of it in chat sim-1 of news_analyst; it decides once the path is \
shorter there.

What the run waited for, in order:
1. At 0 s for 4.00 s: step dispatch (between steps; only).
2. At 4.00 s for 8.00 s: chat sim-1 of news_analyst, failed with 429 (model, not streamed; observed).
3. At 12.00 s for 30.00 s: chat sim-1 of market_analyst (model, to the first chunk; model, from there on; observed).
4. At 42.00 s for 38.00 s: chat sim-1 of bull (model, not streamed; only).
5. At 80.00 s for 40.00 s: chat sim-1 of bull (model, not streamed; only).

Where the wall clock went:
- model (model, not streamed): 86.00 s, 72 %.
- model_decode (model, from there on): 24.00 s, 20 %.
- model_prefill (model, to the first chunk): 6.00 s, 5 %.
- coordination (between steps): 4.00 s, 3 %.

Agents, the longest on the path first:
- bull: 78.00 s on the path, took 78.00 s, mostly model; 2 calls, 200 tokens in and 40 out.
- market_analyst: 30.00 s on the path, took 38.00 s, mostly model_decode; 1 call, 100 tokens in and 20 out.
- news_analyst: 8.00 s on the path, took 26.00 s, mostly model; 2 calls, 100 tokens in and 20 out.
- (none): 4.00 s on the path, took 120.0 s, mostly coordination; 0 calls, 0 tokens in and 0 out.

What to change, most promising first:
1. Let bull work once on both inputs: saves 38.00 s (32 %), sure. It worked twice, one after the other, though neither \
needs the other.
- Evidence: agent bull, second, 40.00 s on the path, span 000daaaaaaaaaaaa.
- Evidence: agent bull, first, 38.00 s on the path, span 000baaaaaaaaaaaa.
- Here: give both steps the same inputs, so that the flow starts them together.
- Elsewhere: await them together: asyncio.gather(first(), second()).
- More in docs/findings/sequential-calls.md.
"""


def hostile() -> Profile:
    run = run_of(
        workflow(1, 0, 2, name=HOSTILE), agent(2, 0, 2, parent=1, name=HOSTILE),
        span(3, 0, 1, parent=2, name=HOSTILE), span(4, 1, 2, parent=2, error=HOSTILE, message=HOSTILE),
    )  # fmt: skip
    finding = Finding("x", HOSTILE, (Evidence(identifier(3), 10**9, HOSTILE),), 10**9, "low", HOSTILE, HOSTILE)
    path: list[Stretch] = [(3, 0, 1, "tool", "inferred"), (4, 1, 2, "unknown", "inferred")]
    return profile(run, path, findings=[finding])


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_line_of_a_report_is_wider_than_the_terminal(width: int, glyphs: Glyphs) -> None:
    wide = max(cell_len(line) for line in screen(desk_profile(), width, glyphs=glyphs).splitlines())
    # What is one word, such as a finding's page, is not broken.
    assert wide <= max(width, 80)


def test_each_moment_of_a_run_is_solid_in_one_line_only() -> None:
    drawn = path_tree(desk_profile(), 120).plain.splitlines()
    begin = drawn[0].index("0 s")
    columns = zip(*(line[begin : begin + 51] for line in drawn[1:]), strict=True)
    assert [sum(cell in "█░" for cell in column) for column in columns] == [1] * 51


def test_a_wait_on_the_path_is_drawn_as_a_wait() -> None:
    run = run_of(workflow(1, 0, 4), wait(2, 0, 2, parent=1), chat(3, 2, 4, parent=1))
    shown = profile(run, [(2, 0, 2, "wait_rate_limit", "inferred"), (3, 2, 4, "model", "inferred")])
    drawn = path_tree(shown, 60).plain.splitlines()
    assert [line.split()[2] for line in drawn[2:]] == ["llm", "sim-1"]
    assert "░░░" in drawn[2]
    assert "███" in drawn[3]
    assert "░░░" in budget_bars(shown, 80).plain


def test_a_report_in_ascii_holds_nothing_else() -> None:
    assert screen(desk_profile(), glyphs=ASCII).isascii()
    assert screen(hostile(), glyphs=ASCII).isascii()
    assert plain_report(hostile(), glyphs=ASCII).isascii()


def test_a_plain_report_tells_the_path_in_order_without_drawing() -> None:
    assert plain_report(desk_profile()) == PLAIN
    assert not set(PLAIN) & set("█━░▏·✗├─└│")


def test_a_plain_report_of_a_long_path_tells_its_longest_stretches() -> None:
    count = 50
    run = run_of(workflow(1, 0, count), *(chat(n + 2, n, n + 1, parent=1) for n in range(count)))
    shown = profile(run, [(n + 2, n, n + 1, "model", "inferred") for n in range(count)])
    assert "\nLeft out: 20 shorter ones between these, 20.00 s in all; --all tells them.\n" in plain_report(shown)
    assert "\n50. At 49.00 s for 1.00 s: chat sim-1 (" in plain_report(shown, show_all=True)


def test_big_runs_show_what_is_longest_on_the_path() -> None:
    others = [chat(n, 0, 9.9, parent=1) for n in range(100, 200)]
    run = run_of(workflow(1, 0, 10), *others, chat(2, 0, 0.2, parent=1, model="decisive"), chat(3, 9, 10, parent=1))
    shown = profile(run, [(2, 0, 0.2, "model", "observed"), (3, 0.2, 10, "model", "inferred")])
    drawn = path_tree(shown, 80).plain
    assert "chat decisive" in drawn
    assert "those longest on the path first; --all" in drawn
    assert path_tree(shown, 80, show_all=True).plain.count("\n") == 103


def test_a_report_of_a_run_without_findings_or_length_says_so() -> None:
    empty = profile(run_of(workflow(1, 0, 0)), [])
    for report in (screen(empty), plain_report(empty), markdown_report([empty])):
        assert "Nothing to change was looked for." in report
    looked = replace(empty, rules=16)
    for report in (screen(looked), plain_report(looked), markdown_report([looked])):
        assert "Nothing to change was found; all 16 rules ran." in report
    assert share_of(0, empty) == "0 %"


def test_silence_of_rules_that_could_not_look_is_no_good_news() -> None:
    lacking = (Blind(("a", "b"), "prompt fingerprints", "SPANWISE_FINGERPRINTS=true"), Blind(("c",), "waits", "X=on"))
    blind = replace(desk_profile(findings=[]), rules=16, blind=lacking)
    for report in (screen(blind), plain_report(blind), markdown_report([blind])):
        assert "Nothing to change was found by the 13 of 16 rules that could run." in " ".join(report.split())
        told = "13 of 16 rules ran; 2 need prompt fingerprints (SPANWISE_FINGERPRINTS=true), 1 needs waits (X=on)."
        assert told in " ".join(report.replace("\\", "").split())


def test_every_bucket_has_a_meaning_that_fits_its_line() -> None:
    assert set(MEANINGS) == set(BUCKETS)
    run = run_of(workflow(1, 0, 18))
    full = profile(run, [(1, n, n + 1, bucket, "inferred") for n, bucket in enumerate(BUCKETS)])
    assert max(map(cell_len, budget_bars(full, 80).plain.splitlines())) <= 80


def test_nothing_recorded_acts_on_a_terminal() -> None:
    for report in (screen(hostile()), plain_report(hostile())):
        assert not set(report) & {"\x1b", "\u202e", "\u200b"}
        assert "x[red]\\x1b[2J\\n\\u202e\\u200by:smile:[/red]" in report.replace("\n   ", " ")


def test_nothing_recorded_is_markup_a_mention_or_a_reference_in_a_comment() -> None:
    report = markdown_report([hostile()])
    assert "\x1b" not in report
    prose = "\n".join(line for line in report.splitlines() if "`" not in line)
    assert "<script>" not in prose.replace("\\<script\\>", "")
    assert text("@octocat #12 https://a.example www.a.example a@b GH-7 a_b <b> [x](y)") == (
        "@\u200boctocat \\#\u200b12 https:\u200b//a.example www\u200b.a.example a@\u200bb GH-\u200b7 a\\_b "
        "\\<b\\> \\[x\\](y)"
    )
    assert code("a`|b") == "``a`\\|b``"
    assert code("`") == "`` ` ``"


def test_a_comment_has_findings_budget_agents_and_path() -> None:
    report = markdown_report([desk_profile()])
    assert report.startswith("### Profile of `trading/optimized`: 120.0 s\n")
    assert (
        "1. **Let bull work once on both inputs**: saves 38.00 s (32 %), sure. It worked twice, one after the other, "
        "though neither needs the other.\n   - `agent bull`, second: 40.00 s on the path (span `000daaaaaaaaaaaa`)\n"
    ) in report
    assert "\n| `model` | 86.00 s | 72 % | model, not streamed |\n" in report
    assert "\n| `bull` | 78.00 s | 78.00 s | 2 | 200 | 40 | model |\n" in report
    assert report.count("<details>") == report.count("</details>") == 2


def test_what_blocked_the_loop_and_roles_are_told() -> None:
    shown = desk_profile()
    shown = replace(shown, blockers={identifier(2): 100_000_000}, roles=shown.agents[:1], findings=())
    for report in (screen(shown, show_all=True), plain_report(shown), markdown_report([shown])):
        assert "Event loop blocked for 2.00 s of it by step dispatch." in report
    assert "\nrole " in screen(shown, show_all=True)
    assert "\nRoles, the longest on the path first:\n- bull: " in plain_report(shown)
    assert "| role | on path |" in markdown_report([shown])


def test_much_evidence_is_cut_and_where_the_rest_is_told_is_said() -> None:
    shown = desk_profile(findings=[replace(SEQUENTIAL, evidence=SEQUENTIAL.evidence * 4)])
    assert "\n   5 more: spanwise explain 1\n" in screen(shown, show_all=True)
    assert "\n- 5 more pieces of evidence; --all tells them.\n" in plain_report(shown)
    assert plain_report(shown, show_all=True).count("- Evidence: ") == 8
    assert "\n   - and 5 more\n" in markdown_report([shown])


def test_of_many_findings_the_first_are_told_in_full_unless_all_are_asked_for() -> None:
    shown = desk_profile(findings=[SEQUENTIAL] * 7)
    assert screen(shown).count("-38 s (32 %)") == 3
    assert "\n   4 more, 38 s or less each: --all\n" in screen(shown)
    assert screen(shown, show_all=True).count("-38 s (32 %)") == 7
    short, whole = plain_report(shown), plain_report(shown, show_all=True)
    assert [text.count("saves 38.00 s (32 %)") for text in (short, whole)] == [7, 7]
    assert [text.lower().count("elsewhere: ") for text in (short, whole)] == [5, 7]
    assert markdown_report([shown]).count("   - Elsewhere: ") == 5


def test_the_page_about_the_command_prints_what_the_program_prints() -> None:
    page = (ROOT / "docs" / "profile-command.md").read_text(encoding="utf-8")
    told, path, *_ = (text for language, text in blocks(page) if language == "text")
    assert told == path_of("profile", "trading-baseline", 80).read_text(encoding="utf-8")
    assert path in plain_report(desk_profile())
