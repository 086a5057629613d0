"""Starts a simulated provider in a process of its own, through the door that programs use."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spanwise_pipeline.provider.profile import Profile

LIMIT_S = 30


def command(folder: Path, profile: Profile, *, speed: float = 1.0, port: int = 0) -> list[str]:
    """The command line of a provider with `profile`, written into `folder`."""
    path = folder / f"{profile.name}.json"
    path.write_text(json.dumps(dataclasses.asdict(profile)), encoding="utf-8")
    module = ["-m", "spanwise_pipeline.provider", "--profile-json", str(path)]
    return [sys.executable, *module, "--port", str(port), "--speed", str(speed)]


def announced(process: subprocess.Popen[str]) -> str:
    """Wait for the line that a provider prints when it listens; returns its base URL."""
    assert process.stdout is not None
    return str(json.loads(process.stdout.readline())["base_url"])


@contextlib.contextmanager
def started(arguments: list[str], *, stdin: int | IO[str] = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """Run `arguments` until the block ends, and fail when the process does not end then."""
    with subprocess.Popen(arguments, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()
            else:
                process.terminate()
            try:
                process.wait(LIMIT_S)
            finally:
                process.kill()


@contextlib.contextmanager
def provider(folder: Path, profile: Profile, *, speed: float = 1.0) -> Iterator[str]:
    """Serve `profile` until the block ends; yields the base URL."""
    with started(command(folder, profile, speed=speed)) as process:
        yield announced(process)
