"""Loading without the garbage collector.

What is loaded stays, and all else is freed by counting; yet the collector would look at millions of objects again and
again as they come: half of the time that a large journal took.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def paused() -> Generator[None]:
    """Keep the collector from running; it runs again afterwards if it did before. Also a decorator."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
