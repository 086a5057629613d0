"""The one place where a test lets real time pass, for a length of time that is itself recorded or measured.

To wait for something, a test waits for the condition (`support.servers.eventually`, an event, a pipe) or runs on the
virtual clock.
"""

from __future__ import annotations

import time


def spend(seconds: float) -> None:
    """Block this thread for a length of time, as a call that works or waits would."""
    time.sleep(seconds)
