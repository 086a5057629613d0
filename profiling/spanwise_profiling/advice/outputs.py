"""Text that was written and not read: answers longer than what is passed on, results nobody looks at, idle critics.

Reading means that a line stands in a later prompt of the run. What a program takes out of an answer by its own code,
or shows to people, is not seen: an answer that no prompt holds a line of may be the product, and only where parts of
answers are passed on is the rest said to be unread.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.advice.saving import saving_of
from spanwise_profiling.advice.words import listed, together
from spanwise_profiling.profile import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.advice.view import View

_UNREAD: Final = 0.5
"""Share of an answer that has to be unread for it to be too long."""
_LONG: Final = 50
"""Tokens below which an answer is short, whatever is read of it."""
_CRITIC: Final = re.compile(
    r"(?:^|[\W_])(?:critic|critique|reviewer?|verif(?:y|ier)|judge|validator|checker)s?(?:$|[\W_])", re.IGNORECASE
)
_TWICE: Final = 2


def unused_outputs(view: View) -> Iterator[Finding]:
    """Yield a finding where prompts took over a small part of long answers."""
    read = _read(view)
    cuts: dict[str, int] = {}
    for call in view.of_kind("chat"):
        new = kinds.number_of(call, c.RESPONSE_NEW_CHARACTERS) or 0
        known = read.get(call.span_id, 0)
        tokens = kinds.number_of(call, c.USAGE_OUTPUT_TOKENS) or 0
        if known and tokens >= _LONG and known < (1 - _UNREAD) * new:
            cuts[call.span_id] = round(_writing_ns(call) * (1 - known / new))
    bound = sum(min(cut, view.bucket_ns(span_id, "model_decode", "model")) for span_id, cut in cuts.items())
    saving = min(saving_of(view, cuts=cuts), bound)
    if not view.matters(saving):
        return
    spans = [view.spans[span_id] for span_id in cuts]
    shares = [read[span.span_id] / (kinds.number_of(span, c.RESPONSE_NEW_CHARACTERS) or 1) for span in spans]
    agents = listed(dict.fromkeys(_authors(view, spans)))
    yield Finding(
        id="unused-output",
        title=f"Ask for shorter answers of {together(_authors(view, spans))}",
        why=f"Later prompts hold {min(shares):.0%} to {max(shares):.0%} of what they wrote ({agents}).",
        fix="ask for the fields that are used, and set a limit of tokens",
        evidence=view.evidence(spans, "mostly unread", meant=view.on_path(cuts)),
        saves_ns=saving,
        confidence="low",
        here="ask for what is passed on, in as few words; a figure a line is enough for another agent",
        elsewhere="ask for structured output with the fields that are used, and set a limit of tokens",
    )


def _authors(view: View, spans: Sequence[SpanRecord]) -> list[str]:
    return [view.agents[span.span_id] or view.label(span) for span in spans]


def unread_results(view: View) -> Iterator[Finding]:
    """Yield a finding where results of tools stand in no later prompt though prompts were compared."""
    read = _read(view)
    compared = [view.spans[call].start_ns for call in view.reads]
    unread = [
        tool
        for tool in view.of_kind("tool")
        if not tool.is_error
        and kinds.number_of(tool, c.RESPONSE_NEW_CHARACTERS)
        and not read.get(tool.span_id)
        and any(start >= tool.end_ns for start in compared)
    ]
    saving = _saving(view, unread)
    if unread and view.matters(saving):
        yield Finding(
            id="unread-tool-result",
            title=f"Drop {together(map(view.label, unread))}, or pass on what comes back",
            why=f"No later prompt holds a line of what {listed(dict.fromkeys(map(view.label, unread)))} returned.",
            fix="drop the call, or run it beside the work if it is there for its effect",
            evidence=view.evidence(unread, "unread"),
            saves_ns=saving,
            confidence="medium",
            here="take the tool off the agent's Toolbox, or pass its result on",
            elsewhere="drop the call, or run it beside the work when it is there for its effect",
        )


def idle_critics(view: View) -> Iterator[Finding]:
    """Yield a finding for each critic after whom nobody ever worked again on what was criticised."""
    invoked: defaultdict[str, list[SpanRecord]] = defaultdict(list)
    for agent in view.of_kind("agent"):
        if _CRITIC.search(kinds.text_of(agent, c.STEP_ROLE) or view.label(agent)):
            invoked[view.label(agent)].append(agent)
    for name, critics in invoked.items():
        if len(critics) < _TWICE or any(_changed_something(view, critic) for critic in critics):
            continue
        saving = _saving(view, critics)
        if view.matters(saving):
            yield Finding(
                id="idle-critic",
                title=f"Ask {name} only about what fails a check in code",
                why=f"It was asked {len(critics)} times, and nothing was done again because of it.",
                fix="check in code first; ask the critic about what fails, or beside the work",
                evidence=view.evidence(critics, "changed nothing"),
                saves_ns=saving,
                confidence="medium",
                here="skip the step where a check in code is enough (valid JSON, the fields that are needed)",
                elsewhere="check in code first, and ask the critic about what fails; or let it run beside the work",
            )


def _changed_something(view: View, critic: SpanRecord) -> bool:
    """Whether an agent that worked before the critic worked again after it, or a prompt holds what it wrote.

    Agents are looked at below the critic's own parent, until it is asked again: the next case is another matter.
    """
    readers = (reader for call in view.below(critic.span_id, "chat") for reader in view.readers.get(call.span_id, ()))
    if any(not view.is_below(reader, critic.span_id) for reader in readers):
        return True
    siblings = [one for one in view.children(view.parents[critic.span_id]) if view.kinds[one.span_id] == "agent"]
    name = view.label(critic)
    asked = [one for one in siblings if view.label(one) == name]
    before = max((one.end_ns for one in asked if one.end_ns <= critic.start_ns), default=0)
    after = min((one.start_ns for one in asked if one.start_ns > critic.start_ns), default=None)
    if after is None:
        worked = {view.label(one) for one in siblings if before <= one.start_ns < critic.start_ns} - {name}
        return any(view.label(one) in worked for one in siblings if one.start_ns >= critic.end_ns)
    return False


def _read(view: View) -> dict[str, int]:
    """Return per span how many characters of its text later prompts hold, each line counted once."""
    read: defaultdict[str, int] = defaultdict(int)
    for writers in view.reads.values():
        for writer, held in writers.items():
            read[writer] += held.new
    return read


def _writing_ns(call: SpanRecord) -> int:
    first = kinds.number_of(call, c.RESPONSE_TIME_TO_FIRST_CHUNK) or 0.0
    return max(0, call.duration_ns - round(first * 1e9))


def _saving(view: View, spans: Sequence[SpanRecord]) -> int:
    cuts = {span.span_id: span.duration_ns for span in spans}
    return min(saving_of(view, cuts=cuts), sum(view.path_ns[span_id] for span_id in cuts))
