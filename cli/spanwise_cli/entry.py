"""Where the `spanwise` program begins: little loads here, so that Ctrl-C while the rest loads is one line, too."""

from __future__ import annotations

import os
import sys
from typing import Final

from spanwise_cli import overview

_INTERRUPTED: Final = 130
COMPLETE: Final = "_SPANWISE_COMPLETE"
"""The variable by which a shell asks for completions."""


def main() -> int:
    """Load and run the program; returns its exit code."""
    try:
        said = overview.answer(sys.argv[1:])
        if said is not None and not os.environ.get(COMPLETE):
            return _say(said)
        from spanwise_cli import main as program  # noqa: PLC0415 - a quarter of a second, in which people press Ctrl-C

        return program.main()
    except KeyboardInterrupt:
        sys.stderr.write("spanwise: interrupted\n")
        return _INTERRUPTED


def _say(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        from spanwise_cli.guard import hang_up  # noqa: PLC0415 - likewise

        return hang_up()
    return 0
