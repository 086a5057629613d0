"""One finding whole: what to do, what shows it, which spans, what the replay comes to, and how it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from spanwise_profiling import kinds
from spanwise_profiling.advice.remedies import REMEDIES
from spanwise_profiling.render import headline
from spanwise_profiling.render.budget import per_cent
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.numbers import fixed, rough
from spanwise_profiling.render.profile_texts import evidence_of, page_of
from spanwise_profiling.render.screen import NARROWEST, WIDEST
from spanwise_profiling.render.tables import paragraph

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise_profiling.profile import Evidence, Finding, Profile

MOST_EVIDENCE = 20
_BAR = 40


def explanation(profile: Profile, number: int, width: int, *, glyphs: Glyphs = UNICODE) -> Iterator[Text]:
    """Yield the parts of the explanation of a finding, one below the other.

    Args:
        profile: of which run.
        number: of the finding, from 1, as the profile shows it.
        width: of the terminal.
        glyphs: to draw with.
    """
    whole = min(max(width, NARROWEST), WIDEST)
    finding = profile.findings[number - 1]
    run = profile.run
    saved = f"{rough(run.scaled(finding.saves_ns))} less ({headline.share(profile, finding)})"
    yield paragraph(f"{number}. ", f"{glyphs.clean(finding.title)}.", whole, style="bold")
    about = f"{run.title} {run.run_id[:8]}: about {saved}, {headline.SURE[finding.confidence]}"
    yield paragraph("   ", glyphs.clean(about), whole)
    yield Text()
    yield paragraph("Why: ", glyphs.clean(finding.why or finding.title), whole, hanging=5)
    yield from _spans(profile, finding, whole, glyphs)
    yield from _replay(profile, finding, glyphs)
    yield Text("\nHow", style="bold")
    yield from _how(finding, whole, glyphs)
    yield paragraph("More: ", f"{page_of(finding)} in the documentation", whole, hanging=6, style="dim")


def _spans(profile: Profile, finding: Finding, width: int, glyphs: Glyphs) -> Iterator[Text]:
    evidence = evidence_of(profile, finding)
    if not evidence:
        return
    agents = _agents_of(profile, [item for item, _ in evidence])
    yield Text("\nSpans, and the seconds of the path that are meant", style="bold")
    longest = profile.run.scaled(max(item.on_path_ns for item, _ in evidence))
    for item, label in evidence[:MOST_EVIDENCE]:
        seconds = fixed(profile.run.scaled(item.on_path_ns), longest)
        agent = agents.get(item.span_id)
        whose = f" of {agent}" if agent and agent not in label else ""
        note = f", {item.note}" if item.note else ""
        yield paragraph("", glyphs.clean(f"{seconds:>12}  {label}{whose}{note} [{item.span_id}]"), width, hanging=14)
    if len(evidence) > MOST_EVIDENCE:
        yield Text(f"{'':14}{len(evidence) - MOST_EVIDENCE} more: --json has all of them", style="dim")


def _agents_of(profile: Profile, evidence: Sequence[Evidence]) -> Mapping[str, str]:
    """Return the agent that each span of the evidence is or belongs to."""
    wanted = {item.span_id for item in evidence}
    found: dict[str, str] = {}
    above: list[str | None] = []
    for depth, span in profile.run.walk():
        del above[depth:]
        agent = above[-1] if above else None
        if kinds.kind_of(span) == "agent":
            agent = kinds.subject_of(span) or span.name
        above.append(agent)
        if span.span_id in wanted and agent is not None:
            found[span.span_id] = agent
    return found


def _replay(profile: Profile, finding: Finding, glyphs: Glyphs) -> Iterator[Text]:
    run = profile.run
    if not run.duration_ns:
        return
    after_ns = run.duration_ns - finding.saves_ns
    yield Text("\nReplay", style="bold")
    for name, length in (("before", run.duration_ns), ("after", after_ns)):
        part = length / run.duration_ns
        bar = glyphs.bar * max(1, round(part * _BAR))
        yield Text(f"  {name:<6} {fixed(run.scaled(length), run.seconds):>9}  {bar} {per_cent(part)}")
    yield Text("  Every other wait, limit and order stays as it was recorded.", style="dim")


def _how(finding: Finding, width: int, glyphs: Glyphs) -> Iterator[Text]:
    remedy = REMEDIES.get(finding.id)
    ways = (
        ("Plain asyncio", finding.elsewhere, remedy.asyncio if remedy else ""),
        ("LangGraph", "", remedy.langgraph if remedy else ""),
        ("spanwise_pipeline", finding.here, remedy.pipeline if remedy else ""),
    )
    for title, words, code in ways:
        if not words and not code:
            continue
        yield paragraph("", f"{title}: {glyphs.clean(words)}" if words else f"{title}:", width, hanging=2)
        if code:
            yield Text("\n".join(f"    {line}".rstrip() for line in code.splitlines()), style="cyan")
        yield Text()
