"""The findings, most promising first as they come, each with links to the spans that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spanwise_profiling.render import numbers
from spanwise_profiling.render.html import columns
from spanwise_profiling.render.html.columns import LETTERS
from spanwise_profiling.render.html.markup import escaped, name, span_link
from spanwise_profiling.render.profile_texts import page_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Evidence, Finding, Profile

_MOST_EVIDENCE: Final = 12
"""Spans that are linked from one finding; how many more there are is said."""


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
        return f'{heading}<p class="quiet">Nothing found that would make this run faster.</p>'
    spans = {span.span_id: span for _, span in profile.run.walk()}
    items = "".join(f"<li>{_item(profile, finding, spans, letter)}</li>" for finding in profile.findings)
    return f'{heading}<ol class="findings">{items}</ol>'


def _item(profile: Profile, finding: Finding, spans: Mapping[str, SpanRecord], letter: str) -> str:
    run = profile.run
    saves = numbers.seconds(run.scaled(finding.saves_ns))
    share = f", {finding.saves_ns / run.duration_ns:.0%} of the run" if run.duration_ns else ""
    shown = finding.evidence[:_MOST_EVIDENCE]
    links = "".join(f"<li>{_link(profile, one, spans, letter)}</li>" for one in shown)
    left = len(finding.evidence) - len(shown)
    more = f"<li>and {left:,} more</li>" if left else ""
    return (
        f"<h3>{escaped(finding.title)}</h3>"
        f'<p class="saves">saves up to <strong>{saves}</strong>{share} · {finding.confidence} confidence · '
        f"<code>{escaped(page_of(finding))}</code></p>"
        f'<ul class="evidence">{links}{more}</ul>'
        f"<details><summary>How</summary><p>With spanwise: {escaped(finding.here)}</p>"
        f"<p>Elsewhere: {escaped(finding.elsewhere)}</p></details>"
    )


def _link(profile: Profile, evidence: Evidence, spans: Mapping[str, SpanRecord], letter: str) -> str:
    span = spans.get(evidence.span_id)
    target = span_link(letter, span) if span else f"<code>{escaped(evidence.span_id)}</code>"
    on_path = f" <small>{numbers.seconds(profile.run.scaled(evidence.on_path_ns))} on the path</small>"
    note = f" <small>{escaped(evidence.note)}</small>" if evidence.note else ""
    return f"{target}{note}{on_path if evidence.on_path_ns else ''}"
