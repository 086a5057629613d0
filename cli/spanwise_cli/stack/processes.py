"""Server processes that outlive the command that started them, and are only ever ended by their own identity.

A process id alone is not an identity: it is reused. Its start time tells whether the process behind a remembered id is
still the one that was started, so `stack down` after a reboot or a crash ends nothing of anybody else's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for good: its id and when it started (in the system's own words)."""

    pid: int
    started: str


def start(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Identity:
    """Start `command` in a session of its own, its output into `log` (truncated), and return who it is."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        # Not subprocess.Popen: that object would warn, on its way out, that its process still runs. This one shall.
        pid = os.posix_spawn(
            command[0], list(command), {**os.environ, **environment}, setsid=True, setsigdef=[signal.SIGPIPE],
            file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), *((os.POSIX_SPAWN_DUP2, handle, n) for n in (1, 2))],
        )  # fmt: skip
    finally:
        os.close(handle)
        os.close(null)
    return Identity(pid, _started(pid) or "")


def alive(process: Identity) -> bool:
    """Return whether `process` runs, and is the one that was started."""
    if process.started and _started(process.pid) == process.started:
        return True
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)  # where this process is the parent, it has to let go of what is left
    return False


def end(processes: Sequence[Identity], grace: float = 10.0) -> None:
    """End `processes` together: ask, wait `grace` seconds, then make them, and return when all are gone."""
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            if alive(process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, wanted)
        deadline = time.monotonic() + grace
        while any(map(alive, processes)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def _started(pid: int) -> str | None:
    """Return when process `pid` started, `None` where there is none (or only its zombie)."""
    if Path("/proc/self/stat").exists():
        return _started_by_proc(pid)
    answer = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False,
        env={"LC_ALL": "C"},
    )  # fmt: skip
    state, _, started = answer.stdout.strip().partition(" ")
    return started.strip() or None if not state.startswith("Z") else None


def _started_by_proc(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets and may hold anything, brackets and spaces too.
    fields = text.rpartition(")")[2].split()
    state, threads, started = fields[0], int(fields[17]), fields[19]
    # While one thread is left, a process whose main thread has ended still holds its ports and files.
    return None if state in "ZX" and threads <= 1 else f"{_boot()}:{started}"


def _boot() -> str:
    """Return this boot's id: start times count from it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
