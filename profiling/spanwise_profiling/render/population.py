"""Many runs as one: for the terminal, in sentences, as a comment, and as JSON.

Lines are told in words first; the table and the bars of the terminal hold nothing that the sentences lack.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from rich.text import Text

from spanwise_profiling.populations import weight_of
from spanwise_profiling.render.budget import MEANINGS, bars, per_cent
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.markdown import text as escaped
from spanwise_profiling.render.numbers import count, seconds
from spanwise_profiling.render.tables import paragraph, plain_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from spanwise_profiling.populations import AgentPopulation, PathPopulation, Population
    from spanwise_profiling.profile import Bucket, Finding, Profile
    from spanwise_profiling.slow_runs import Difference

MOST_PATHS: Final = 3
MOST_DIFFERENCES: Final = 10
_NONE: Final = "(none)"


@dataclass(frozen=True, slots=True)
class CommonFinding:
    """A rule's findings over all runs."""

    id: str
    share: float
    """Of the runs that have it."""
    saves: float
    """Mean over all runs of the scaled seconds that its greatest finding in each could save."""
    title: str
    """Of the finding that could save most."""


def common_findings(profiles: Sequence[Profile]) -> list[CommonFinding]:
    """Return what is to be changed in `profiles` by rule, what could save most in the mean first; weights count."""
    weights = [weight_of(profile.run) for profile in profiles]
    best: defaultdict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for profile, weight in zip(profiles, weights, strict=True):
        greatest: dict[str, Finding] = {}
        for finding in profile.findings:
            known = greatest.setdefault(finding.id, finding)
            greatest[finding.id] = finding if finding.saves_ns > known.saves_ns else known
        for rule, finding in greatest.items():
            best[rule].append((profile.run.scaled(finding.saves_ns), weight, finding.title))
    whole = sum(weights)
    common = [
        CommonFinding(
            id=rule,
            share=sum(weight for _, weight, _ in found) / whole,
            saves=sum(saves * weight for saves, weight, _ in found) / whole,
            title=max(found)[2],
        )
        for rule, found in best.items()
    ]
    return sorted(common, key=lambda one: (-one.saves, one.id))


def population_report(
    population: Population, profiles: Sequence[Profile], width: int, *, glyphs: Glyphs = UNICODE
) -> Iterator[RenderableType]:
    """Yield the parts of a report, one below the other; to be printed without wrapping of their own."""
    yield Text(_title(population), style="bold")
    yield paragraph("", _durations(population), width, hanging=2)
    yield Text("\nWhere the wall clock went, in the mean", style="bold")
    yield bars(_budget(population), width, glyphs=glyphs)
    if population.agents:
        yield Text()
        yield _agents(population, glyphs)
    for title, lines in _sections(population, profiles):
        yield Text(f"\n{title}", style="bold")
        yield from (paragraph("- ", glyphs.clean(line), width, hanging=2) for line in lines)


def plain_population(population: Population, profiles: Sequence[Profile], *, glyphs: Glyphs = UNICODE) -> str:
    """Return the same in sentences and lists."""
    return "".join(f"{glyphs.clean(line)}\n" for line in _sentences(population, profiles))


def markdown_population(population: Population, profiles: Sequence[Profile]) -> str:
    """Return the same as a section of a comment on a pull request."""
    lines = [f"### {_title(population)}", "", _durations(population), ""]
    lines += ["| where the wall clock went, in the mean | seconds | of the run | |", "| --- | ---: | ---: | --- |"]
    whole = sum(length for _, length in _budget(population))
    for name, length in _budget(population):
        share = per_cent(length / whole if whole else 0.0)
        lines.append(f"| `{name}` | {seconds(length)} | {share} | {MEANINGS[name]} |")
    for title, told in _sections(population, profiles):
        lines += ["", f"**{title}**", "", *(f"- {escaped(line)}" for line in told)]
    return "\n".join([*lines, "", ""])


def population_document(population: Population, profiles: Sequence[Profile]) -> dict[str, Any]:
    """Return the population as plain JSON values; seconds are scaled."""
    return {**asdict(population), "findings": [asdict(finding) for finding in common_findings(profiles)]}


def _title(population: Population) -> str:
    sampled = f", which stand for {population.stands_for:,.0f}" if population.stands_for != population.runs else ""
    return f"{count(population.runs, 'run')} as one{sampled}"


def _durations(population: Population) -> str:
    known = population.seconds
    return (
        f"Duration: median {seconds(known.p50)}, mean {seconds(known.mean)}; one in ten up to {seconds(known.p10)}, "
        f"one in ten from {seconds(known.p90)} on, the longest {seconds(known.largest)}."
    )


def _budget(population: Population) -> list[tuple[Bucket, float]]:
    pairs = cast("list[tuple[Bucket, float]]", list(population.budget.items()))
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def _agents(population: Population, glyphs: Glyphs) -> Table:
    table = plain_table(glyphs)
    table.add_column("agent", ratio=1, no_wrap=True, overflow="crop" if glyphs.ascii_only else "ellipsis")
    for heading in ("runs", "path 50 %", "mean", "90 %", "took 50 %", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    for agent in population.agents:
        table.add_row(
            Text(glyphs.clean(agent.name or _NONE)),
            per_cent(agent.present),
            seconds(agent.on_path.p50),
            seconds(agent.on_path.mean),
            seconds(agent.on_path.p90),
            seconds(agent.total.p50),
            f"{agent.tokens:,.0f}",
        )
    return table


def _sections(population: Population, profiles: Sequence[Profile]) -> Iterator[tuple[str, Iterator[str]]]:
    yield "Critical paths", _paths(population)
    yield "What the slow tenth has", _slow(population)
    yield "What to change, by what it could save in the mean", _findings(profiles)


def _findings(profiles: Sequence[Profile]) -> Iterator[str]:
    common = common_findings(profiles)
    for finding in common:
        where = f"in {per_cent(finding.share)} of the runs, saves {seconds(finding.saves)} in the mean"
        yield f"{finding.id}: {where}; for example: {finding.title}"
    if not common:
        yield "Nothing to change was found."


def _sentences(population: Population, profiles: Sequence[Profile]) -> Iterator[str]:
    yield f"{_title(population)}."
    yield _durations(population)
    yield ""
    yield "Where the wall clock went, in the mean:"
    whole = sum(length for _, length in _budget(population))
    for name, length in _budget(population):
        yield f"- {name} ({MEANINGS[name]}): {seconds(length)}, {per_cent(length / whole if whole else 0.0)}."
    yield ""
    yield "Agents, the longest on the path first:"
    yield from (_agent(agent) for agent in population.agents)
    for title, lines in _sections(population, profiles):
        yield ""
        yield f"{title}:"
        yield from (f"- {line}" for line in lines)


def _agent(agent: AgentPopulation) -> str:
    return (
        f"- {agent.name or _NONE}: in {per_cent(agent.present)} of the runs; on the path {seconds(agent.on_path.p50)} "
        f"in the median, {seconds(agent.on_path.mean)} in the mean, over {seconds(agent.on_path.p90)} in one of ten; "
        f"took {seconds(agent.total.p50)}; {agent.tokens:,.0f} tokens."
    )


def _paths(population: Population) -> Iterator[str]:
    for path in population.paths[:MOST_PATHS]:
        yield _path(path)
    if len(population.paths) > MOST_PATHS:
        yield f"and {count(len(population.paths) - MOST_PATHS, 'rarer one')}"


def _path(path: PathPopulation) -> str:
    agents = " > ".join(name or _NONE for name in path.agents) or _NONE
    return f"{per_cent(path.share)} of the runs ({path.runs}), median {seconds(path.seconds)}: {agents}"


def _slow(population: Population) -> Iterator[str]:
    if population.slow_from is None:
        yield "Too few runs to say: it takes 20."
        return
    yield f"Slow are runs from {seconds(population.slow_from)} on."
    for difference in population.slow[:MOST_DIFFERENCES]:
        yield _difference(difference)
    if not population.slow:
        yield "Nothing sets them apart from the rest."


def _difference(difference: Difference) -> str:
    shown = {"seconds": seconds, "count": "{:,.1f}".format, "share": per_cent}[difference.measure]
    return f"{difference.name}: {shown(difference.slow)} against {shown(difference.rest)} (p {difference.p:.3f})"
