"""What a command says on a terminal while it reads a big file or a long trace, and nothing anywhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.text import Text

from spanwise_cli.options import console
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def progress() -> Generator[Callable[[str], None] | None]:
    """Give the function that is told in words how much was read; none without a terminal."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield None
        return
    status = out.status("reading")

    def tell(how_much: str) -> None:
        status.update(Text(f"reading: {printable(how_much)}"))
        status.start()  # here and not before: most of what is read is read faster than it could be seen

    try:
        yield tell
    finally:
        status.stop()
