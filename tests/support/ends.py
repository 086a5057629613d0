"""How recorded spans ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from spanwise.testing import PlainSpan

End: TypeAlias = tuple[str, str, Any]
"""Name, status and error type of a span."""


def ends(spans: list[PlainSpan]) -> list[End]:
    """Return how each span ended."""
    return [(span["name"], span["status"], span["attributes"].get("error.type")) for span in spans]
