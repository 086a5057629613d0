"""Where runs ran: machine, Python, provider, speed and load. A change of these explains a difference as well as any.

A surrounding differs where no run of one side had what a run of the other had. That many hosts serve both sides is no
difference, nor is a surrounding that one side has not recorded.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from spanwise import conventions as c
from spanwise_profiling import kinds
from spanwise_profiling.clocks import HOSTS
from spanwise_profiling.comparison.result import Surrounding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from spanwise_profiling.profile import Profile
    from spanwise_profiling.runs import Run

_RUNTIME: Final = ("process.runtime.name", "process.runtime.version")
_MACHINE: Final = tuple(name for name in HOSTS if name.startswith("host."))
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_LOADS_APART: Final = 0.5
"""Runnable processes for each processor; that much more on one side slows it down."""


def surroundings_of(a: Sequence[Profile], b: Sequence[Profile]) -> tuple[Surrounding, ...]:
    """Return what is recorded of the surroundings of both sides."""
    facts = {"machine": _machines, "architecture": _architectures, "Python": _runtimes, "provider": _providers}
    found = [
        Surrounding(name, first, second, bool(first and second and set(first).isdisjoint(second)))
        for name, values in facts.items()
        if (first := _sorted(a, values)) + (second := _sorted(b, values))
    ]
    speed, other = (_sorted(side, lambda run: [f"{run.scale:g}"]) for side in (a, b))
    return (*found, Surrounding("speed", speed, other, differs=speed != other), *_loads(a, b))


def _sorted(profiles: Sequence[Profile], values: Callable[[Run], Iterable[str]]) -> tuple[str, ...]:
    return tuple(sorted({value for profile in profiles for value in values(profile.run)}))


def _resource(run: Run, name: str) -> str | None:
    value = run.root.resource.get(name)
    return value if isinstance(value, str) and value else None


def _machines(run: Run) -> Iterator[str]:
    name = next((value for one in _MACHINE if (value := _resource(run, one))), None)
    if name:
        yield name


def _architectures(run: Run) -> Iterator[str]:
    words = [value for name in ("os.type", "host.arch") if (value := _resource(run, name))]
    if words:
        yield " ".join(words)


def _runtimes(run: Run) -> Iterator[str]:
    words = [value for name in _RUNTIME if (value := _resource(run, name))]
    if words:
        yield " ".join(words)


def _providers(run: Run) -> Iterator[str]:
    for _, span in run.walk():
        if kinds.kind_of(span) == "chat":
            name, address = kinds.text_of(span, c.PROVIDER_NAME), kinds.text_of(span, c.SERVER_ADDRESS)
            words = [name, "at this machine" if address in _LOOPBACK else address and f"at {address}"]
            if any(words):
                yield " ".join(word for word in words if word)


def _loads(a: Sequence[Profile], b: Sequence[Profile]) -> Iterator[Surrounding]:
    loads = [
        [load for one in side if (load := kinds.number_of(one.run.root, c.RUN_LOAD)) is not None] for side in (a, b)
    ]
    if all(loads):
        first, second = (statistics.median(side) for side in loads)
        yield Surrounding("load", (f"{first:.2f}",), (f"{second:.2f}",), differs=abs(first - second) > _LOADS_APART)
