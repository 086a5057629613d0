"""Where the `spanwise` program begins: nothing loads here, so that Ctrl-C while the rest loads is one line, too."""

from __future__ import annotations

import sys

_INTERRUPTED = 130


def main() -> int:
    """Load and run the program; returns its exit code."""
    try:
        from spanwise_cli import main as program  # noqa: PLC0415 - a quarter of a second, in which people press Ctrl-C

        return program.main()
    except KeyboardInterrupt:
        sys.stderr.write("spanwise: interrupted\n")
        return _INTERRUPTED
