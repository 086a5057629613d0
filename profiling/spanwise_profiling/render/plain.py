"""A profile in sentences and lists, for a screen reader, a log or an e-mail: no drawing, no columns, no colour.

What a picture shows by position is told in order: the critical path is a list of who was waited for, one after another.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from spanwise_profiling import kinds
from spanwise_profiling.render.budget import MEANINGS, filled, share_of
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.headline import nothing_found
from spanwise_profiling.render.numbers import count, seconds
from spanwise_profiling.render.profile_texts import (
    MOST_EVIDENCE,
    MOST_FINDINGS,
    NOBODY,
    about,
    evidence_of,
    facts,
    page_of,
    saving,
    where,
)
from spanwise_profiling.render.tables import figures
from spanwise_profiling.render.usage_texts import NO_NAME, amount

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise_profiling.profile import Finding, Profile, Segment, Share
    from spanwise_profiling.usage import Sum

MOST_SEGMENTS: Final = 30


def plain_report(profile: Profile, *, glyphs: Glyphs = UNICODE, show_all: bool = False) -> str:
    """Return the report as lines, each a sentence or a list's item; the last one ends in a line end too."""
    return "".join(f"{glyphs.clean(line)}\n" for line in _lines(profile, glyphs, show_all=show_all))


def _lines(profile: Profile, glyphs: Glyphs, *, show_all: bool) -> Iterator[str]:
    run = profile.run
    yield f"Profile of {run.title}: {', '.join(about(profile))}."
    yield f"In all: {', '.join(figures(run, glyphs))}."
    if run.error:
        yield f"The run failed: {run.error}."
    yield from facts(profile)
    yield ""
    yield "What the run waited for, in order:"
    yield from _path(profile, show_all=show_all)
    yield ""
    yield "Where the wall clock went:"
    for name, length in filled(profile.budget_ns):
        yield f"- {name} ({MEANINGS[name]}): {seconds(run.scaled(length))}, {share_of(length, profile)}."
    for title, shares in (("Agents", profile.agents), ("Roles", profile.roles)):
        if any(share.name for share in shares):
            yield ""
            yield f"{title}, the longest on the path first:"
            yield from (_share(profile, share) for share in shares)
    if profile.usage is not None and profile.usage.models:
        yield ""
        yield "Models, by tokens:"
        yield from (_model(model, profile.usage.currency) for model in profile.usage.models)
    yield ""
    yield from _findings(profile, show_all=show_all)


def _path(profile: Profile, *, show_all: bool) -> Iterator[str]:
    stretches = _stretches(profile.path)
    longest = sorted(range(len(stretches)), key=lambda index: (-_length(stretches[index]), index))
    kept = [stretches[index] for index in sorted(longest if show_all else longest[:MOST_SEGMENTS])]
    for number, stretch in enumerate(kept, start=1):
        yield f"{number}. {_stretch(profile, stretch)}"
    if len(kept) < len(stretches):
        rest = profile.run.scaled(sum(map(_length, stretches)) - sum(map(_length, kept)))
        shorter = len(stretches) - len(kept)
        yield f"Left out: {shorter:,} shorter ones between these, {seconds(rest)} in all; --all tells them."


def _stretches(path: Sequence[Segment]) -> list[list[Segment]]:
    """Return segments in groups: what follows one another in the same span is told as one."""
    return [list(group) for _, group in groupby(path, key=lambda segment: segment.span.span_id)]


def _length(stretch: Sequence[Segment]) -> int:
    return stretch[-1].end_ns - stretch[0].start_ns


def _stretch(profile: Profile, stretch: Sequence[Segment]) -> str:
    run = profile.run
    at = max(0.0, run.scaled(stretch[0].start_ns - run.start_ns))
    buckets = dict.fromkeys(MEANINGS[segment.bucket] for segment in stretch)
    edges = dict.fromkeys(segment.certainty for segment in stretch)
    failure = kinds.error_of(stretch[0].span)
    failed = f", failed with {failure}" if failure else ""
    return (
        f"At {seconds(at)} for {seconds(run.scaled(_length(stretch)))}: {where(stretch[0])}{failed} "
        f"({'; '.join(buckets)}; {' and '.join(edges)})."
    )


def _share(profile: Profile, share: Share) -> str:
    run = profile.run
    mostly = [name for name, _ in filled(share.budget_ns)][:1]
    return (
        f"- {share.name or NOBODY}: {seconds(run.scaled(share.on_path_ns))} on the path, took "
        f"{seconds(run.scaled(share.total_ns))}{', mostly ' if mostly else ''}{''.join(mostly)}; "
        f"{count(share.calls, 'call')}, {share.input_tokens:,} tokens in and {share.output_tokens:,} out."
    )


def _model(model: Sum, currency: str) -> str:
    decode = model.decode_tokens_per_second
    return (
        f"- {model.name or NO_NAME}: {count(model.calls, 'call')}, {model.input_tokens:,} tokens in "
        f"({model.cached_tokens:,} cached) and {model.output_tokens:,} out, {model.tokens_per_second:.1f} tok/s"
        f"{f', {decode:.1f} after the first chunk' if decode is not None else ''}; cost {amount(model.cost)}"
        f"{f' {currency}' if model.cost is not None else ''}."
    )


def _findings(profile: Profile, *, show_all: bool) -> Iterator[str]:
    if not profile.findings:
        yield nothing_found(profile)
        return
    yield "What to change, most promising first:"
    for number, finding in enumerate(profile.findings, start=1):
        yield f"{number}. {finding.title}: {saving(profile, finding)}.{f' {finding.why}' if finding.why else ''}"
        if show_all or number <= MOST_FINDINGS:
            yield from _details(profile, finding, most=None if show_all else MOST_EVIDENCE)
    if not show_all and len(profile.findings) > MOST_FINDINGS:
        yield "Use --all for evidence and fixes."


def _details(profile: Profile, finding: Finding, *, most: int | None) -> Iterator[str]:
    evidence = evidence_of(profile, finding)
    for item, label in evidence[:most]:
        note = f", {item.note}" if item.note else ""
        length = seconds(profile.run.scaled(item.on_path_ns))
        yield f"- Evidence: {label}{note}, {length} on the path, span {item.span_id}."
    if most is not None and len(evidence) > most:
        yield f"- {len(evidence) - most} more pieces of evidence; --all tells them."
    yield f"- Here: {finding.here}."
    yield f"- Elsewhere: {finding.elsewhere}."
    yield f"- More in {page_of(finding)}."
