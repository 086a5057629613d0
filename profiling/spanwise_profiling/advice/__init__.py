"""What to change first: deterministic rules over one run's profile, each with its evidence and what it could save.

A rule reads the profile and yields findings, or nothing; it never reads prose and never guesses from names alone. A
saving is what a simulation of the run with the change comes to, and never more than the path holds of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spanwise_profiling.advice import outputs, prompts, repeats, sequence, shape, waiting
from spanwise_profiling.advice.blind import blind_rules
from spanwise_profiling.advice.view import view_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from spanwise_profiling.advice.view import View
    from spanwise_profiling.profile import Finding, Profile
    from spanwise_profiling.runs import Run

RULES: Final[Mapping[str, Callable[[View], Iterator[Finding]]]] = {
    "sequential-calls": sequence.find,
    "idle-barrier": shape.barriers,
    "straggler": shape.stragglers,
    "duplicate-calls": repeats.duplicates,
    "missed-cache": repeats.missed,
    "retry-storm": waiting.retries,
    "low-limit": waiting.limits,
    "blocking-call": waiting.blocked_loop,
    "connection-churn": waiting.connections,
    "uncached-prefix": prompts.uncached_prefixes,
    "repeated-context": prompts.repeated_context,
    "growing-context": prompts.growing_context,
    "unused-output": outputs.unused_outputs,
    "unread-tool-result": outputs.unread_results,
    "idle-critic": outputs.idle_critics,
}
"""Id of a finding to the rule that yields it."""
IDS: Final = (*RULES, repeats.AGAIN)
_WEIGHT: Final = {"high": 1.0, "medium": 0.6, "low": 0.3}


def advised(profile: Profile, earlier: Sequence[Run] = ()) -> Profile:
    """Return `profile` with what the rules find, how many rules there are, and which of them could not look.

    Args:
        profile: of one run.
        earlier: other runs of the same recording; what the run asked again is looked for in those that ended before it.
    """
    view = view_of(profile)
    return replace(profile, findings=_found(view, earlier), rules=len(IDS), blind=blind_rules(view))


def findings_of(profile: Profile, earlier: Sequence[Run] = ()) -> tuple[Finding, ...]:
    """Return what the rules find, what is likely to save most first; the arguments are those of `advised`."""
    return _found(view_of(profile), earlier)


def _found(view: View, earlier: Sequence[Run]) -> tuple[Finding, ...]:
    found = [finding for rule in RULES.values() for finding in rule(view)]
    found.extend(repeats.between_runs(view, earlier))
    return tuple(sorted(found, key=lambda one: (-one.saves_ns * _WEIGHT[one.confidence], one.id, one.title)))
