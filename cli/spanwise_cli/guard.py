"""The last line between a program of ours and a person: every fault becomes one line and an exit code.

Codes: 0 done, 1 the answer is no, 2 bad usage or input, 3 not enough runs to say, 4 something needed is not reachable,
5 nothing was measured, 70 a fault of our own, 130 interrupted, 141 the reader of the output went away (as a shell
counts the last two). A traceback is for `-v`.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from spanwise.errors import SpanwiseError
from spanwise_cli.options import presentation

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERRUPTED: Final = 130
_HUNG_UP: Final = 141
_UNEXPECTED: Final = 70


def guarded(work: Callable[[], int], *, name: str, last_resort: str = "report it") -> int:
    """Return the exit code of `work`, or of what it raised, which is then said on standard error.

    Args:
        work: the program.
        name: what a line begins with.
        last_resort: what to do about a fault of our own.
    """
    try:
        code = work()
        sys.stdout.flush()
    except SpanwiseError as error:
        report(str(error), name=name)
        return error.exit_code
    except KeyboardInterrupt:
        report("interrupted; what was recorded is kept", name=name)
        return _INTERRUPTED
    except (BrokenPipeError, SystemExit):  # typer's console for help knows no other answer to a closed pipe than exit
        return _hang_up()
    except Exception as error:  # noqa: BLE001 - nothing is above this: one line for people, the traceback with -v
        report(f"unexpected {type(error).__name__}: {error}; {last_resort}", name=name)
        return _UNEXPECTED
    return code


def report(message: str, *, name: str) -> None:
    """Say `message` after everything that was printed, with the traceback where it is asked for."""
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.write(f"{name}: {message}\n")
    if presentation.verbose:
        traceback.print_exc()


def _hang_up() -> int:
    """Leave without a word: nobody reads. The interpreter flushes once more at its end, so let that go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return _HUNG_UP
