"""A profile as a comment on a pull request: GitHub's Markdown, findings first, everything long folded away.

Names in a trace come from models and users. In running text nothing of them is markup, a mention or a reference to an
issue; elsewhere they stand in code spans.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from spanwise_profiling.render.budget import MEANINGS, filled, share_of
from spanwise_profiling.render.glyphs import UNICODE
from spanwise_profiling.render.headline import nothing_found
from spanwise_profiling.render.numbers import count, seconds
from spanwise_profiling.render.path_tree import legend, path_tree
from spanwise_profiling.render.profile_texts import (
    MOST_EVIDENCE,
    MOST_FINDINGS,
    NOBODY,
    about,
    evidence_of,
    facts,
    mostly,
    page_of,
    saving,
)
from spanwise_profiling.render.tables import figures
from spanwise_profiling.render.usage_texts import MODEL_COLUMNS, NO_NAME, model_cells
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spanwise_profiling.profile import Finding, Profile, Share
    from spanwise_profiling.usage import Usage

_WIDTH: Final = 100
_MARKUP: Final = re.compile(r"([\\`*_\[\]<>#!|~&$])")
_CALLS_SOMEBODY: Final = re.compile(r"([@#](?=\w)|:(?=//)|\bwww(?=\.)|\bGH-(?=\d))", re.IGNORECASE)
_NOTHING: Final = "\u200b"
"""A space without width keeps what is around it from being a mention, a reference or an address."""


def markdown_report(profiles: Iterable[Profile]) -> str:
    """Return a section for each of `profiles`, in the order given."""
    return "\n".join(line for profile in profiles for line in (*_lines(profile), ""))


def text(recorded: str) -> str:
    """Return recorded text so that Markdown shows it as it is."""
    separate = _CALLS_SOMEBODY.sub(lambda match: match[1] + _NOTHING, printable(recorded))
    return _MARKUP.sub(r"\\\1", separate)


def code(recorded: str) -> str:
    """Return recorded text as a code span that a cell of a table can hold."""
    safe = printable(recorded).replace("|", "\\|")
    longest = max((len(ticks) for ticks in re.findall(r"`+", safe)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if safe.startswith("`") or safe.endswith("`") or not safe else ""
    return f"{fence}{padding}{safe}{padding}{fence}"


def _lines(profile: Profile) -> Iterator[str]:
    run = profile.run
    yield f"### Profile of {code(run.title)}: {seconds(run.seconds)}"
    yield ""
    yield f"{text(', '.join(figures(run, UNICODE)))}. {', '.join(map(code, about(profile)))}."
    if run.error:
        yield ""
        yield f"**The run failed:** {code(run.error)}"
    yield ""
    yield from _findings(profile)
    yield from _budget(profile)
    for title, shares in (("agent", profile.agents), ("role", profile.roles)):
        if any(share.name for share in shares):
            yield from _folded(f"By {title}", _shares(profile, title, shares))
    if profile.usage is not None and profile.usage.models:
        yield from _folded("By model", _models(profile.usage))
    yield from _folded("Critical path", _path(profile))


def _findings(profile: Profile) -> Iterator[str]:
    if not profile.findings:
        yield nothing_found(profile)
        yield ""
        return
    yield f"**{count(len(profile.findings), 'thing')} to change**, most promising first:"
    yield ""
    for number, finding in enumerate(profile.findings, start=1):
        why = f". {text(finding.why)}" if finding.why else ""
        yield f"{number}. **{text(finding.title)}**: {saving(profile, finding)}{why}"
        if number <= MOST_FINDINGS:
            yield from (f"   - {line}" for line in _details(profile, finding))
    yield ""


def _details(profile: Profile, finding: Finding) -> Iterator[str]:
    evidence = evidence_of(profile, finding)
    for item, label in evidence[:MOST_EVIDENCE]:
        note = f", {text(item.note)}" if item.note else ""
        length = seconds(profile.run.scaled(item.on_path_ns))
        yield f"{code(label)}{note}: {length} on the path (span {code(item.span_id)})"
    if len(evidence) > MOST_EVIDENCE:
        yield f"and {len(evidence) - MOST_EVIDENCE} more"
    yield f"Here: {text(finding.here)}"
    yield f"Elsewhere: {text(finding.elsewhere)}"
    yield f"More: {code(page_of(finding))}"


def _budget(profile: Profile) -> Iterator[str]:
    yield "| where the wall clock went | seconds | of the run | |"
    yield "| --- | ---: | ---: | --- |"
    for name, length in filled(profile.budget_ns):
        share = share_of(length, profile)
        yield f"| `{name}` | {seconds(profile.run.scaled(length))} | {share} | {MEANINGS[name]} |"
    yield ""


def _shares(profile: Profile, title: str, shares: Sequence[Share]) -> Iterator[str]:
    yield f"| {title} | on path | took | calls | tokens in | out | mostly |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for share in shares:
        cells = (
            code(share.name) if share.name else NOBODY,
            seconds(profile.run.scaled(share.on_path_ns)),
            seconds(profile.run.scaled(share.total_ns)),
            f"{share.calls:,}",
            f"{share.input_tokens:,}",
            f"{share.output_tokens:,}",
            mostly(filled(share.budget_ns)),
        )
        yield f"| {' | '.join(cells)} |"


def _models(usage: Usage) -> Iterator[str]:
    yield f"| model | {' | '.join((*MODEL_COLUMNS[:-1], f'cost ({usage.currency})'))} |"
    yield f"| --- {'| ---: ' * len(MODEL_COLUMNS)}|"
    for model in usage.models:
        yield f"| {code(model.name or NO_NAME)} | {' | '.join(model_cells(model))} |"


def _path(profile: Profile) -> Iterator[str]:
    drawn = f"{path_tree(profile, _WIDTH).plain}\n{legend()}"
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall(r"`+", drawn) or [""]))
    yield fence + "text"
    yield drawn
    yield fence
    yield ""
    yield from (f"- {text(fact)}" for fact in facts(profile))


def _folded(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield from lines
    yield ""
    yield "</details>"
    yield ""
