"""What each role of steps took, in one table: the model, data, waiting, the rest, and writes to files.

Seconds are those on the critical path, so the rows add up to the run. Writes are batches, also those that no step
waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from spanwise.errors import InputError
from spanwise_profiling.render.glyphs import UNICODE, Glyphs
from spanwise_profiling.render.numbers import seconds
from spanwise_profiling.render.profile_texts import NOBODY
from spanwise_profiling.render.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from spanwise_profiling.profile import Bucket, Profile, Share

COLUMNS: Final[Mapping[str, tuple[Bucket, ...]]] = {
    "model": ("model_prefill", "model_decode", "model"),
    "data": ("tool", "retrieval", "cache_lookup"),
    "waiting": (
        "queue", "wait_rate_limit", "wait_concurrency", "wait_retry", "wait_circuit", "connect", "human",
    ),
    "rest": ("cpu", "gc", "coordination", "loop_blocked", "unknown"),
}  # fmt: skip
"""Heading to the buckets below it; every bucket is in one."""


def by_role(profile: Profile, *, glyphs: Glyphs = UNICODE) -> Iterator[RenderableType]:
    """Yield the table of a run.

    Raises:
        InputError: no step of the run has a role.
    """
    if not any(share.name for share in profile.roles):
        raise InputError(
            f"--by-role: no step of {profile.run.title} has a role; give it one with spanwise.step(name, role=...)"
        )
    table = plain_table(glyphs)
    table.add_column("role", no_wrap=True)
    for heading in ("on path", *COLUMNS, "writes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for share in profile.roles:
        if not (share.name or share.on_path_ns or share.writes):
            continue
        table.add_row(Text(glyphs.clean(share.name or NOBODY)), *_cells(profile, share))
    yield Text(f"{glyphs.clean(profile.run.title)}  {seconds(profile.run.seconds)}")
    yield table


def _cells(profile: Profile, share: Share) -> Iterator[str]:
    for length in (share.on_path_ns, *(sum(share.budget_ns.get(b, 0) for b in of) for of in COLUMNS.values())):
        yield seconds(profile.run.scaled(length)) if length else "-"
    yield _writes(share)


def _writes(share: Share) -> str:
    if share.writes in {0, share.files}:
        return f"{share.writes:,}" if share.writes else "-"
    return f"{share.writes:,} of {share.files:,}"
