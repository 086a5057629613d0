"""Which run of one side belongs to which of the other: those of the same task and the same seed.

Runs of the same input vary less from one another than runs of different inputs, so that pairs see smaller changes. A
run without its counterpart is left out of everything that is compared, and counted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from spanwise import conventions as c
from spanwise_profiling import kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run

    Key: TypeAlias = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Runs of both sides that belong together."""

    by: str
    members: tuple[tuple[Profile, Profile], ...]
    alone: int
    """Runs of either side without a counterpart."""


def pairs_of(a: Sequence[Profile], b: Sequence[Profile]) -> Pairs | None:
    """Return the pairs of two sides; `None` where no run of one has a counterpart in the other.

    Where a task and seed come several times on a side, they are paired in the order in which they began.
    """
    first, second = _by_key(a), _by_key(b)
    keys = [key for key in first if key in second]
    members = [pair for key in keys for pair in zip(first[key], second[key], strict=False)]
    if not members:
        return None
    names = [name for place, name in enumerate(("task", "seed")) if any(key[place] is not None for key in keys)]
    return Pairs(" and ".join(names), tuple(members), len(a) + len(b) - 2 * len(members))


def _by_key(profiles: Sequence[Profile]) -> dict[Key, list[Profile]]:
    found: defaultdict[Key, list[Profile]] = defaultdict(list)
    for profile in sorted(profiles, key=lambda one: one.run.start_ns):
        key = _key_of(profile.run)
        if key != (None, None):
            found[key].append(profile)
    return dict(found)


def _key_of(run: Run) -> Key:
    return _attribute(run, c.RUN_TASK), _attribute(run, c.RUN_SEED) or _seed_of_calls(run)


def _attribute(run: Run, name: str) -> str | None:
    value = run.root.attributes.get(name)
    return str(value) if isinstance(value, str | int) and value != "" else None


def _seed_of_calls(run: Run) -> str | None:
    """Return the seed that all model calls of a run asked for: what a run without a seed of its own depends on."""
    seeds = {kinds.number_of(span, c.REQUEST_SEED) for _, span in run.walk() if kinds.kind_of(span) == "chat"}
    only = seeds.pop() if len(seeds) == 1 else None
    return f"{only:g}" if only is not None else None
