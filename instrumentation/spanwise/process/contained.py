"""The one boundary between other people's code and the program that is recorded.

Attributes, samplers, processors, hooks and exceptions of a host are any code, and so are faults of ours. Whatever is
raised inside `contained` stays there: it costs the detail that was being recorded, and is counted by its reason. What
ends a program (KeyboardInterrupt, SystemExit) passes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

failures: Final[Counter[str]] = Counter()
"""How often something was contained, by reason."""
last: Final[dict[str, Exception]] = {}
"""What was contained last, by reason."""


class contained:  # noqa: N801 - it reads as a statement, like `suppress`
    """A block whose exceptions stay inside.

    Args:
        reason: what was being done, for `failures`.
    """

    __slots__ = ("_reason",)

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> bool:
        """Keep an exception in; returns whether there was one."""
        if not isinstance(error, Exception):
            return False
        failures[self._reason] += 1
        last[self._reason] = error.with_traceback(None)
        return True
