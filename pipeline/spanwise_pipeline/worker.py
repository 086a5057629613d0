"""The worker process of a `ProcessPool`: reads pickled calls from standard input, writes outcomes to standard output.

What the functions print goes to standard error, so that it cannot get between the outcomes. The process ends when its
standard input closes, so it does not outlive the program that started it.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import BinaryIO

_LENGTH = struct.Struct("!Q")


def main() -> None:
    """Answer calls until there are no more."""
    sys.path[:] = sys.argv[1:]
    calls = os.fdopen(os.dup(0), "rb")
    outcomes = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from spanwise_pipeline.pools import answer_call  # noqa: PLC0415 - the path had to be set first

    _write(outcomes, b"")  # ready
    while head := calls.read(_LENGTH.size):
        _write(outcomes, answer_call(calls.read(_LENGTH.unpack(head)[0])))


def _write(outcomes: BinaryIO, answer: bytes) -> None:
    outcomes.write(_LENGTH.pack(len(answer)) + answer)
    outcomes.flush()


if __name__ == "__main__":
    main()
