"""How much of a big file was read, on a terminal's standard error, while one waits for it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.console import Console

_MEGABYTE: Final = 1e6


@contextmanager
def reading(console: Console) -> Generator[Callable[[int], None] | None]:
    """Give what shows, on a terminal, how many bytes of a big file were read; it is wiped at the end."""
    if not console.is_terminal:
        yield None
        return
    status = console.status("")

    def tell(done: int) -> None:
        status.update(f"reading: {done / _MEGABYTE:,.0f} MB")
        status.start()

    try:
        yield tell
    finally:
        status.stop()
