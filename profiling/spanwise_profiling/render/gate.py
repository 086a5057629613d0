"""A gate's result for the terminal, as a comment for a pull request, as JUnit XML and as JSON.

The verdict is the first line of each. Whoever made the runs and the budgets chose the names in them, so they are
escaped for each form.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from rich.text import Text

from spanwise_profiling.render.comparison import comparison_document
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.markdown import text as escaped
from spanwise_profiling.render.numbers import count
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spanwise_profiling.gate.result import Check, GateResult, Outcome

SCHEMA: Final = "spanwise.gate/1"
MARKER: Final = "<!-- spanwise gate -->"
"""First line of a comment: by it the comment of an earlier push is found again."""
LONGEST_COMMENT: Final = 60_000
"""GitHub takes 65,536 characters."""
_HEADLINES: Final[Mapping[Outcome, str]] = {
    "pass": "Gate passed", "fail": "Gate failed", "inconclusive": "Gate undecided",
    "nothing_measured": "NOTHING WAS MEASURED",
}  # fmt: skip
_MARKS: Final[Mapping[Outcome, str]] = {
    "pass": "ok", "fail": "FAIL", "inconclusive": "not decided", "nothing_measured": "NOT MEASURED",
}  # fmt: skip
_ICONS: Final[Mapping[Outcome, str]] = {
    "pass": "\u2705", "fail": "\u274c", "inconclusive": "\u2754", "nothing_measured": "\u26a0\ufe0f",
}  # fmt: skip
_STYLES: Final[Mapping[Outcome, str]] = {
    "pass": "green", "fail": "bold red", "inconclusive": "yellow", "nothing_measured": "bold red",
}  # fmt: skip
_ORDER: Final[tuple[Outcome, ...]] = ("fail", "nothing_measured", "inconclusive", "pass")


def headline(result: GateResult) -> str:
    """Return the verdict as one line."""
    if not result.checks:
        return "NOTHING WAS MEASURED: there is no run, or nothing to judge it by"
    words = {"fail": "failed", "nothing_measured": "not measured", "inconclusive": "not decided", "pass": "passed"}
    counts = [f"{len(found)} {words[outcome]}" for outcome in _ORDER if (found := result.of(outcome))]
    return f"{_HEADLINES[result.verdict]}: {', '.join(counts)} of {count(len(result.checks), 'check')}"


def gate_report(result: GateResult, *, glyphs: Glyphs = UNICODE) -> Iterator[Text]:
    """Yield the lines of a report; to be printed without wrapping of their own."""
    yield Text(glyphs.clean(headline(result)), style=_STYLES[result.verdict])
    for check in _sorted(result.checks):
        line = Text(f"  {_MARKS[check.outcome]:<12} ", style=_STYLES[check.outcome])
        line.append(glyphs.clean(printable(_said(check))), style="default")
        yield line
        for detail in check.details:
            yield Text(glyphs.clean(f"{'':17}{printable(detail)}"))
    for note in result.notes:
        yield Text(glyphs.clean(f"  note: {printable(note)}"))


def gate_markdown(result: GateResult) -> str:
    """Return a comment for a pull request, of at most `LONGEST_COMMENT` characters."""
    lines = [MARKER, f"### {_ICONS[result.verdict]} {escaped(headline(result))}", ""]
    if not result.checks or result.verdict == "nothing_measured":
        lines += ["**No verdict is not a pass.** Record runs of each workflow, and give a baseline of it.", ""]
    if result.checks:
        lines += ["| | workflow | check | found |", "| --- | --- | --- | --- |"]
    tail = [f"- {escaped(note)}" for note in result.notes]
    details = [
        line
        for check in result.of("fail")
        if check.details
        for line in ("", f"**{escaped(check.name)}: where it went**", "", *_list(check.details))
    ]
    rows = [
        f"| {_ICONS[check.outcome]} | {escaped(check.workflow)} | {escaped(check.name)} | {escaped(check.text)} |"
        for check in _sorted(result.checks)
    ]
    room = LONGEST_COMMENT - sum(len(line) + 1 for line in lines) - 200
    kept = _fitting([*rows, *details, "", *tail], room)
    if len(kept) < len(rows) + len(details) + 1 + len(tail):
        kept += ["", "The comment was cut here; the output of `spanwise gate` in the job has everything."]
    return "\n".join([*lines, *kept, ""])


def gate_junit(result: GateResult) -> str:
    """Return a JUnit XML document: a suite for each workflow, a test for each check."""
    root = ET.Element("testsuites", name="spanwise gate")
    for workflow in dict.fromkeys(check.workflow for check in result.checks):
        checks = [check for check in result.checks if check.workflow == workflow]
        suite = ET.SubElement(root, "testsuite", name=_xml(workflow), tests=str(len(checks)))
        suite.set("failures", str(sum(check.outcome == "fail" for check in checks)))
        suite.set("errors", str(sum(check.outcome == "nothing_measured" for check in checks)))
        suite.set("skipped", str(sum(check.outcome == "inconclusive" for check in checks)))
        for check in checks:
            case = ET.SubElement(suite, "testcase", classname=_xml(f"spanwise.{workflow}"), name=_xml(check.name))
            case.set("time", "0")
            _add_outcome(case, check)
    if not result.checks:
        suite = ET.SubElement(root, "testsuite", name="spanwise", tests="1", failures="0", errors="1", skipped="0")
        case = ET.SubElement(suite, "testcase", classname="spanwise", name="runs", time="0")
        ET.SubElement(case, "error", message=headline(result))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def gate_document(result: GateResult, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the result as plain JSON values; seconds are the system's."""
    return {
        "schema": SCHEMA,
        "verdict": result.verdict,
        "exit_code": result.exit_code,
        "headline": headline(result),
        "checks": [asdict(check) for check in result.checks],
        "comparisons": {name: comparison_document(found) for name, found in result.comparisons.items()},
        "notes": list(result.notes),
        "warnings": list(warnings),
    }


def _add_outcome(case: ET.Element, check: Check) -> None:
    tags = {"fail": "failure", "nothing_measured": "error", "inconclusive": "skipped"}
    if check.outcome in tags:
        element = ET.SubElement(case, tags[check.outcome], message=_xml(check.text))
        element.text = _xml("\n".join(check.details)) or None
    else:
        ET.SubElement(case, "system-out").text = _xml(check.text)


def _sorted(checks: Sequence[Check]) -> list[Check]:
    return sorted(checks, key=lambda check: (_ORDER.index(check.outcome), check.workflow))


def _said(check: Check) -> str:
    named = f"{check.name}: " if check.kind in ("failures", "runs") else ""
    place = f" ({check.place})" if check.place and check.outcome != "pass" else ""
    return f"{check.workflow}: {named}{check.text}{place}"


def _list(details: Sequence[str]) -> list[str]:
    return [f"- {escaped(line)}" for line in details]


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        room -= len(line.encode("utf-16-le")) // 2 + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def _xml(text: str) -> str:
    """Return recorded text without what XML cannot hold."""
    return printable(text) if "\n" not in text else "\n".join(map(printable, text.split("\n")))
