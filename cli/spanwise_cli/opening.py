"""What a command says on a terminal while a server sends it a long trace, and nothing anywhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from spanwise_cli.options import console

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def progress() -> Generator[Callable[[int], None] | None]:
    """Give the function that is told how many runs LangSmith has sent; none without a terminal."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield None
        return
    status = out.status("reading")

    def tell(number: int) -> None:
        status.update(f"{number:,} runs read from LangSmith")
        status.start()  # here and not before: what is on this machine is read faster than it could be seen

    try:
        yield tell
    finally:
        status.stop()
