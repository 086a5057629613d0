"""The parts of the page in the order in which they are read: what it was, where the time went, what to change first.

Each part shows one run, or two beside one another with the change from the first to the second. Seconds are scaled.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

from spanwise_profiling.profile import BUCKETS
from spanwise_profiling.render import numbers
from spanwise_profiling.render.html import columns, findings, models, shares, shells
from spanwise_profiling.render.html.markup import escaped, name, span_link, stacked, swatch, table
from spanwise_profiling.render.html.palette import INKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise_profiling.profile import Bucket, Profile

_MOST_BLOCKERS: Final = 6


def body(profiles: Sequence[Profile], lead: str = "") -> str:
    """Return everything in the page that people see; `lead` is HTML that comes first."""
    parts = (
        shells.asset("before.html"),
        _header(profiles),
        "<main>",
        lead,
        _figures(profiles),
        _warnings(profiles),
        '<div class="pair">',
        _budget(profiles),
        findings.section(profiles),
        "</div>",
        shells.timeline(len(profiles)),
        shares.section(profiles, "Agents", "agent", [profile.agents for profile in profiles]),
        shares.section(profiles, "Roles", "role of the step", [profile.roles for profile in profiles]),
        models.section(profiles),
        shells.calls(len(profiles)),
        "</main>",
        shells.asset("after.html"),
    )
    return "\n".join(part for part in parts if part)


def _header(profiles: Sequence[Profile]) -> str:
    runs = "".join(
        f'<h1>{columns.badge(profiles, position)}{name(profile.run.title)}</h1><p class="about">{_about(profile)}</p>'
        for position, profile in enumerate(profiles)
    )
    return f'<header class="top"><div class="runs">{runs}</div>{shells.asset("theme.html")}</header>'


def _about(profile: Profile) -> str:
    run = profile.run
    words = [f"<span>run <code>{escaped(run.run_id)}</code></span>"]
    words.append(f"<span>started {numbers.moment(run.start_ns, UTC)} UTC</span>")
    if run.service:
        words.append(f"<span>service {name(run.service)}</span>")
    if run.scale != 1.0:
        words.append(f"<span>a recorded second counts as {run.scale:g} s</span>")
    if run.error:
        words.append(f'<span class="bad">ended in {name(run.error)}</span>')
    return " ".join(words)


def _figures(profiles: Sequence[Profile]) -> str:
    """Return the figures that sum a run up, one beside the other."""
    of_each = [dict(_figures_of(profile)) for profile in profiles]
    labels = list(dict.fromkeys(label for figures in of_each for label in figures))
    return f'<dl class="figures">{"".join(_figure(profiles, of_each, label) for label in labels)}</dl>'


def _figure(profiles: Sequence[Profile], of_each: Sequence[dict[str, str]], label: str) -> str:
    values = (
        f"<dd>{columns.badge(profiles, position)}{figures.get(label, columns.NONE)}</dd>"
        for position, figures in enumerate(of_each)
    )
    return f"<div><dt>{label}</dt>{''.join(values)}</div>"


def _figures_of(profile: Profile) -> Iterator[tuple[str, str]]:
    run, totals = profile.run, profile.run.totals
    retried = f" <small>{totals.retries:,} retried</small>" if totals.retries else ""
    work = numbers.seconds(run.scaled(profile.work_ns))
    yield "Duration", f"<strong>{numbers.seconds(run.seconds)}</strong>"
    yield "Work done in it", f"{work} <small>{profile.parallelism:.2f}&times;</small>"
    yield "Model calls", f"{totals.llm_calls:,}{retried}"
    yield "Tool calls", f"{totals.tool_calls:,}"
    yield "Tokens", f"{totals.tokens:,} <small>{run.tokens_per_second:.1f}/s</small>"
    if totals.cache_lookups:
        yield "Cache hits", f"{totals.cache_hits:,} <small>of {totals.cache_lookups:,}</small>"
    if totals.errors:
        yield "Errors", f'<span class="bad">{totals.errors:,}</span>'
    if run.grade or run.score is not None:
        yield "Grade", escaped(run.grade or f"{run.score:g}")
    waits = f" <small>and {totals.waits:,} wait{'' if totals.waits == 1 else 's'}</small>" if totals.waits else ""
    yield "Spans", f"{totals.spans:,}{waits}"


def _warnings(profiles: Sequence[Profile]) -> str:
    lines = [
        f"<li>{columns.badge(profiles, position)}{escaped(line)}</li>"
        for position, profile in enumerate(profiles)
        for line in dict.fromkeys((*profile.run.warnings, *profile.warnings))
    ]
    return f'<ul class="warnings" aria-label="Warnings">{"".join(lines)}</ul>' if lines else ""


def _budget(profiles: Sequence[Profile]) -> str:
    longest = max(profile.run.seconds for profile in profiles)
    bars = "".join(
        f'<div class="whole">{columns.badge(profiles, position)}{_bar_of(profile, longest)}</div>'
        for position, profile in enumerate(profiles)
    )
    used: list[Bucket] = [bucket for bucket in BUCKETS if any(profile.budget_ns.get(bucket) for profile in profiles)]
    ranked = sorted(used, key=lambda bucket: -max(_seconds(profile, bucket) for profile in profiles))
    rows = [_bucket_cells(profiles, bucket) for bucket in ranked]
    unused = " &middot; ".join(INKS[bucket].label for bucket in BUCKETS if bucket not in used)
    return (
        '<section aria-labelledby="h-budget"><h2 id="h-budget">Where the time went</h2>'
        "<p>Each nanosecond of the run is in one bucket: what the answer waited for then.</p>"
        f"{bars}{table('Wall-clock budget', ['Bucket', *columns.heads(profiles, 'seconds')], rows, 'budget')}"
        + "".join(_blockers(profiles, position) for position in range(len(profiles)))
        + (f'<p class="unused">No time in: {unused}</p>' if unused else "")
        + "</section>"
    )


def _blockers(profiles: Sequence[Profile], position: int) -> str:
    """Return who kept the event loop from the others while the answer waited."""
    profile, letter = profiles[position], columns.LETTERS[position]
    spans = {span.span_id: span for _, span in profile.run.walk() if span.span_id in profile.blockers}
    longest = sorted(profile.blockers.items(), key=lambda item: (-item[1], item[0]))
    items = [
        f"<li>{span_link(letter, spans[span_id])} <small>{numbers.seconds(profile.run.scaled(length))}</small></li>"
        for span_id, length in longest
        if span_id in spans
    ]
    if not items:
        return ""
    left = f"<li>and {len(items) - _MOST_BLOCKERS:,} more</li>" if len(items) > _MOST_BLOCKERS else ""
    heading = f"<p>{columns.badge(profiles, position)}The event loop was blocked by</p>"
    return f'{heading}<ul class="blockers">{"".join(items[:_MOST_BLOCKERS])}{left}</ul>'


def _bar_of(profile: Profile, longest: float) -> str:
    """Return a run's budget as a bar that is as wide beside the longest run's as the run is long."""
    whole = round(profile.run.duration_ns * longest / profile.run.seconds) if profile.run.seconds else 0
    return stacked(profile.budget_ns, whole)


def _seconds(profile: Profile, bucket: Bucket) -> float:
    return profile.run.scaled(profile.budget_ns.get(bucket, 0))


def _bucket_cells(profiles: Sequence[Profile], bucket: Bucket) -> list[str]:
    ink = INKS[bucket]
    seconds = [_seconds(profile, bucket) for profile in profiles]
    return [
        f"{swatch(bucket)}{ink.label}<small>{ink.meaning} &middot; <code>{bucket}</code></small>",
        *columns.cells(profiles, seconds),
    ]
