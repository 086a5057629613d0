"""Golden traces: small runs in JSON with the answers that a person worked out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import traces

from spanwise import conventions as c
from spanwise.journal.reader import LinkRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.profile import Profile, Segment, Share
    from spanwise_profiling.runs import Run

FOLDER = Path(__file__).parent.parent / "golden"
_OPERATIONS = {
    "workflow": "invoke_workflow", "agent": "invoke_agent", "chat": "chat", "tool": "execute_tool",
    "retrieval": "retrieval",
}  # fmt: skip


def names() -> list[str]:
    """Return the names of all golden traces."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> tuple[Run, dict[str, Any]]:
    """Return the run and the whole document of a golden trace."""
    document = json.loads((FOLDER / f"{name}.json").read_text())
    numbers = {span: number for number, span in enumerate(document["spans"], start=1)}
    return traces.run_of(*(_record(span, about, numbers) for span, about in document["spans"].items())), document


def answers(profile: Profile, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return of `profile` what `document` has an answer for, in its form."""
    labels = {traces.identifier(number): span for number, span in enumerate(document["spans"], start=1)}
    given: dict[str, Any] = {
        "path": [_line(segment, labels, profile) for segment in profile.path],
        "second_path": [_line(segment, labels, profile).removesuffix(" overlap") for segment in profile.second_path],
        "slack": {labels[span]: _seconds(slack) for span, slack in profile.slack_ns.items()},
        "blockers": {labels[span]: _seconds(blocked) for span, blocked in profile.blockers.items()},
        "agents": _shares(profile.agents, document.get("agents", {})),
        "roles": _shares(profile.roles, document.get("roles", {})),
        "work": _seconds(profile.work_ns),
    }
    given["slack"] = {span: slack for span, slack in given["slack"].items() if span in document.get("slack", {})}
    return {key: given[key] for key in document if key in given}


def _record(name: str, about: Mapping[str, Any], numbers: Mapping[str, int]) -> SpanRecord:
    kind, parent = about["is"], about.get("in")
    attributes: dict[str, Any] = dict(about.get("attributes", {}))
    match kind:
        case "wait":
            attributes |= {c.WAIT_KIND: about["kind"], c.WAIT_RESOURCE: about["resource"]}
        case "step":
            attributes[c.STEP_NAME] = name
        case "cache":
            attributes |= {c.CACHE_NAME: name, c.CACHE_RESULT: "hit"}
        case "span":
            pass
        case _:
            attributes[c.OPERATION_NAME] = _OPERATIONS[kind]
    attributes |= {c.AGENT_NAME: name} if kind == "agent" else {}
    span = traces.span(
        numbers[name], about["from"], about["to"], name=name, attributes=attributes, error=about.get("error"),
        parent=None if parent is None else numbers.get(parent, 999),
    )  # fmt: skip
    links = [
        LinkRecord(span.trace_id, traces.identifier(numbers[other]), {c.LINK_REASON: reason})
        for key, reason in (("by", "waits_on"), ("started_by", "waits_on"), ("spawned_by", "spawned_by"))
        for other in ([about[key]] if key == "by" and key in about else about.get(key, []))
    ]
    return replace(span, links=tuple(links))


def _line(segment: Segment, labels: Mapping[str, str], profile: Profile) -> str:
    begin = profile.run.start_ns
    between = segment.bucket in ("queue", "human") and c.WAIT_KIND not in segment.span.attributes
    name = "(between)" if between else labels[segment.span.span_id]
    times = f"{_seconds(segment.start_ns - begin):g}-{_seconds(segment.end_ns - begin):g}"
    marks = ["observed"] * (segment.edge == "observed") + ["overlap"] * segment.overlap
    return " ".join([name, times, segment.bucket, *marks])


def _shares(shares: Iterable[Share], asked: Mapping[str, Any]) -> dict[str, list[float]]:
    found = {share.name: [_seconds(share.on_path_ns), _seconds(share.total_ns), share.calls] for share in shares}
    return {name: found[name][: len(answer)] for name, answer in asked.items()}


def _seconds(nanoseconds: int) -> float:
    return nanoseconds / 1e9
