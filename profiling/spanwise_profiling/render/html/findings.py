"""The findings, most promising first as they come, each with links to the spans that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanwise_profiling.render import numbers
from spanwise_profiling.render.headline import SURE, nothing_found
from spanwise_profiling.render.html import columns
from spanwise_profiling.render.html.columns import LETTERS
from spanwise_profiling.render.html.markup import escaped, name, span_link

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Evidence, Finding, Profile

_FIRST_FINDINGS: Final = 5
"""The others are behind a summary."""
_FIRST_EVIDENCE: Final = 4
_MOST_EVIDENCE: Final = 24
"""Spans that are linked from one finding; how many more there are is said."""
_ONE_PERCENT: Final = 0.01


def section(profiles: Sequence[Profile]) -> str:
    """Return the section of findings, one list for each run."""
    lists = "".join(_list(profiles, position) for position in range(len(profiles)))
    return (
        '<section aria-labelledby="h-findings"><h2 id="h-findings">What to change first</h2>'
        "<p>Found by rules. A saving is what a change could take off the critical path at most.</p>"
        f"{lists}</section>"
    )


def _list(profiles: Sequence[Profile], position: int) -> str:
    profile, letter, badge = profiles[position], LETTERS[position], columns.badge(profiles, position)
    heading = f"<h3>{badge}{name(profile.run.title)}</h3>" if badge else ""
    if not profile.findings:
        return f'{heading}<p class="quiet">{escaped(nothing_found(profile))}</p>'
    spans = {span.span_id: span for _, span in profile.run.walk()}
    items = [f"<li>{_item(profile, finding, spans, letter)}</li>" for finding in profile.findings]
    first, rest = items[:_FIRST_FINDINGS], items[_FIRST_FINDINGS:]
    more = f"<details><summary>{len(rest)} more</summary>{_ordered(rest, _FIRST_FINDINGS)}</details>" if rest else ""
    return heading + _ordered(first, 0) + more


def _ordered(items: Sequence[str], before: int) -> str:
    return f'<ol class="findings" start="{before + 1}">{"".join(items)}</ol>'


def _item(profile: Profile, finding: Finding, spans: Mapping[str, SpanRecord], letter: str) -> str:
    saves = numbers.seconds(profile.run.scaled(finding.saves_ns))
    links = [f"<li>{_link(profile, one, spans, letter)}</li>" for one in finding.evidence[:_MOST_EVIDENCE]]
    if left := len(finding.evidence) - len(links):
        links.append(f"<li>and {left:,} more</li>")
    return (
        f"<h3>{escaped(finding.title)}</h3>"
        f'<p class="saves">saves up to <strong>{saves}</strong>{_share(profile, finding)} · '
        f"{SURE[finding.confidence]}</p>"
        f"{f'<p>{escaped(finding.why)}</p>' if finding.why else ''}"
        f"{_evidence(links[:_FIRST_EVIDENCE])}"
        f"<details><summary>{_summary(links[_FIRST_EVIDENCE:])}</summary>{_evidence(links[_FIRST_EVIDENCE:])}"
        f"<p>With spanwise: {escaped(finding.here)}</p><p>Elsewhere: {escaped(finding.elsewhere)}</p></details>"
    )


def _share(profile: Profile, finding: Finding) -> str:
    """Return which part of the run a saving is; nothing for a run of no length."""
    if not profile.run.duration_ns:
        return ""
    part = finding.saves_ns / profile.run.duration_ns
    return f", {part:.0%} of the run" if part >= _ONE_PERCENT else ", under 1% of the run"


def _summary(hidden: Sequence[str]) -> str:
    return "How, and more spans" if hidden else "How"


def _evidence(links: Sequence[str]) -> str:
    return f'<ul class="evidence">{"".join(links)}</ul>' if links else ""


def _link(profile: Profile, evidence: Evidence, spans: Mapping[str, SpanRecord], letter: str) -> str:
    span = spans.get(evidence.span_id)
    target = span_link(letter, span) if span else f"<code>{escaped(evidence.span_id)}</code>"
    on_path = f" <small>{numbers.seconds(profile.run.scaled(evidence.on_path_ns))} on the path</small>"
    note = f" <small>{escaped(evidence.note)}</small>" if evidence.note else ""
    return f"{target}{note}{on_path if evidence.on_path_ns else ''}"
