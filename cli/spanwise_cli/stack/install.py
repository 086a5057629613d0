"""`python -m spanwise_cli.stack.install`: find or build the real servers into the per-user cache.

Running it again, or twice at the same time, is safe. On a user's machine, a server that cannot be had is reported and
the others are installed. Under `CI=true` that is an error, because a test that needs the server must not be skipped.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from spanwise.errors import SpanwiseError, UnavailableError
from spanwise_cli.stack.cache import exclusive, servers_folder
from spanwise_cli.stack.catalogue import CATALOGUE, Item, find, installed, select
from spanwise_cli.stack.workshop import say, workshop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MEGABYTE: Final = 1e6


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one item ended."""

    name: str
    state: Literal["found", "built", "unavailable"]
    detail: str
    """Where it is, or why it is not."""


def install(items: Sequence[Item] = CATALOGUE) -> tuple[Outcome, ...]:
    """Find or build each of `items`, one after another, and return how each ended."""
    servers = servers_folder()
    with exclusive(servers, waiting=lambda: say("another install is running: waiting for it")):
        return tuple(_install(item, servers) for item in items)


def _install(item: Item, servers: Path) -> Outcome:
    if installed(item):
        outcome = Outcome(item.name, "found", str(find(item.programs[0].name)))
    else:
        say(f"{item.name} {item.version}: getting it (about {item.duration} the first time)")
        outcome = _build(item, servers)
    say(f"{item.name}: {outcome.state}, {outcome.detail}")
    return outcome


def _build(item: Item, servers: Path) -> Outcome:
    begun = time.monotonic()
    try:
        with workshop(servers, item.folder_name) as shop:
            item.build(shop)
            _check(item, shop.bin)
    except (UnavailableError, OSError) as error:
        return Outcome(item.name, "unavailable", f"{error}; {item.remedy}")
    return Outcome(item.name, "built", f"{servers / item.folder_name} in {time.monotonic() - begun:.0f} s")


def _check(item: Item, folder: Path) -> None:
    for program in item.programs:
        if not (folder / program.name).is_file():
            raise UnavailableError(f"the build of {item.name} made no {program.name}")


def disk_use(folder: Path) -> float:
    """Return the megabytes in `folder`."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink()) / _MEGABYTE


def main(arguments: Sequence[str] | None = None) -> int:
    """Install what `arguments` name (default: the process's) and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spanwise_cli.stack.install", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="one server (repeatable)")
    try:
        outcomes = install(select(tuple(parser.parse_args(arguments).only)))
    except SpanwiseError as error:
        say(f"spanwise: {error}")
        return error.exit_code
    say(f"{servers_folder()}: {disk_use(servers_folder()):.0f} MB")
    missing = [outcome for outcome in outcomes if outcome.state == "unavailable"]
    if missing and os.environ.get("CI") == "true":
        say(f"spanwise: needed under CI=true and not to be had: {', '.join(outcome.name for outcome in missing)}")
        return UnavailableError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
