"""PromQL that rules and dashboards share, in the subset of Prometheus 2.42.

`growth` replaces `increase`. `increase` starts counting at the second value of a series, so it never sees the first run
of a process, which is the only run of a batch job. It also extrapolates, so that "one run in twenty" would depend on
the moment of the scrape. `growth` counts whole events.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKFLOW: Final = "gen_ai_workflow_name"
JOB: Final = "job"
"""Label that Prometheus gives each series; it holds `service.name`."""
HIT: Final = "hit|coalesced"
"""Results of a lookup that was answered without doing the work again; a coalesced one shared another's work."""
BYPASS: Final = "bypass"
"""Result of a lookup that did not ask the cache; it counts neither for nor against."""


def selector(name: str, matchers: Sequence[str] = ()) -> str:
    """Return the series `name` that fit all `matchers`."""
    return f"{name}{{{', '.join(matchers)}}}" if matchers else name


def equals(label: str, value: str) -> str:
    """Return the matcher for series whose `label` is `value`."""
    return f"{label}={_quoted(value)}"


def none_of(label: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return the matchers for series whose `label` is none of `values`."""
    return (f"{label}!~{_quoted('|'.join(re.escape(value) for value in values))}",) if values else ()


def bucket_bound(bound: float) -> str:
    """Return the matcher for the bucket up to `bound`, which servers write as `120` or as `120.0`."""
    text = number(bound)
    return f'le=~"{text}|{text}[.]0"' if bound.is_integer() else equals("le", text)


def number(value: float) -> str:
    """Return `value` in full, without an exponent where it is whole and without `.0`."""
    return str(int(value)) if value.is_integer() else repr(value)


def growth(series: str, window: str) -> str:
    """Return by how much each counter of `series` (name and matchers) grew within `window`.

    Three cases, each a line: the series ran before the window; it is new in it (or its program started again just
    before), so that all it counts is of this window; its program started again within, where only `increase` knows.
    """
    steady = f"(last_over_time({series}[{window}]) unless resets({series}[{window}]) > 0)"
    return f"({steady} - {series} offset {window} >= 0)\nor {steady}\nor increase({series}[{window}])"


def total(series: str, window: str, by: Sequence[str]) -> str:
    """Return the `growth` of `series` within `window`, summed by the labels `by`."""
    return f"sum by ({', '.join(by)}) (\n{indent(growth(series, window))}\n)"


def indent(text: str) -> str:
    """Return `text` with each line moved in by two spaces."""
    return "\n".join(f"  {line}" for line in text.splitlines())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
