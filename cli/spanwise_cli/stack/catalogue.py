"""The servers by name: what each brings, how to get it here, and what else a person can do.

`find` is what the rest of the program asks. It prefers the cached version, because that is the one the configuration is
tested with, and otherwise takes a program on PATH that is new enough.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise.errors import InputError, UnavailableError, nearest
from spanwise_cli.stack import debian, golang
from spanwise_cli.stack.cache import servers_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise_cli.stack.workshop import Workshop

INSTALL: Final = "python -m spanwise_cli.stack.install"


@dataclass(frozen=True, slots=True)
class Program:
    """An executable of an item, and what stands for it on PATH."""

    name: str
    aliases: tuple[str, ...]
    """Names on PATH that may serve; none where only a build of ours will do."""
    version_arguments: tuple[str, ...] = ("--version",)


@dataclass(frozen=True, slots=True)
class Item:
    """Something to install: one folder in the cache with one or more programs."""

    name: str
    version: str
    programs: tuple[Program, ...]
    build: Callable[[Workshop], None]
    oldest: tuple[int, ...]
    """The oldest version on PATH that will do."""
    duration: str
    """About how long it takes the first time on two cores."""
    remedy: str

    @property
    def folder_name(self) -> str:
        """The item's folder inside the cache of servers."""
        return f"{self.name}-{self.version}"


def _redis(shop: Workshop) -> None:
    debian.extract(shop, "redis-server", "usr/bin/redis-server", name="redis-server")


def _chromium(shop: Workshop) -> None:
    debian.extract(shop, "chromium", "usr/lib/chromium/chromium", name="chromium")


def _oldest_promtool(shop: Workshop) -> None:
    debian.extract(shop, "prometheus", "usr/bin/promtool", name="promtool-2.42", closure=False)


_GO_REMEDY: Final = "needs the package index, the Go module proxy and 10 GB of disk; or run the stack with Docker"

CATALOGUE: Final = (
    Item(
        "collector", golang.COLLECTOR, (Program("otelcol", ("otelcol-contrib",)),),
        golang.build_collector, (0, 155), "2 min", _GO_REMEDY,
    ),
    Item(
        "alertmanager", golang.ALERTMANAGER,
        (Program("alertmanager", ("alertmanager",)), Program("amtool", ("amtool",))),
        golang.build_alertmanager, (0, 27), "1 min", _GO_REMEDY,
    ),
    Item(
        "jaeger", golang.JAEGER, (Program("jaeger", ("jaeger",), ("version",)),),
        golang.build_jaeger, (2, 10), "3 min", _GO_REMEDY,
    ),
    Item(
        "prometheus", golang.PROMETHEUS,
        (Program("prometheus", ("prometheus",)), Program("promtool", ("promtool",))),
        golang.build_prometheus, (3, 0), "3 min", _GO_REMEDY,
    ),
    Item(
        "redis", "debian", (Program("redis-server", ("redis-server",)),),
        _redis, (6, 2), "5 s", "install Redis 6.2 or later so that redis-server is on PATH",
    ),
    Item(
        "promtool-2.42", "debian", (Program("promtool-2.42", ("promtool-2.42",)),),
        _oldest_promtool, (2, 42), "5 s", "put promtool of Prometheus 2.42 on PATH under the name promtool-2.42",
    ),
    Item(
        "chromium", "debian", (Program("chromium", ("chromium", "chromium-browser", "google-chrome")),),
        _chromium, (120,), "20 s", "install Chromium so that chromium is on PATH",
    ),
)  # fmt: skip
"""Everything the installer gets, in the order it does."""


def select(names: tuple[str, ...]) -> tuple[Item, ...]:
    """Return the items called `names`, all when empty; raises `InputError` for an unknown one."""
    known = {item.name: item for item in CATALOGUE}
    for name in names:
        if name not in known:
            raise InputError(f"--only {name}: no such server; {nearest(name, known)}")
    return tuple(item for item in CATALOGUE if not names or item.name in names)


def find(name: str) -> Path | None:
    """Return the program `name` (`otelcol`, `promtool`, ...), `None` where it is not on this machine.

    Raises:
        InputError: No item has such a program.
    """
    item, program = _owner(name)
    return _cached(item, program) or _on_path(item, program)


def require(name: str) -> Path:
    """Return the program `name`; raises `UnavailableError` that says how to get it."""
    if (path := find(name)) is not None:
        return path
    item, _ = _owner(name)
    raise UnavailableError(f"{name} is not on this machine; run: {INSTALL} --only {item.name} ({item.remedy})")


def installed(item: Item) -> bool:
    """Return whether every program of `item` is here."""
    return all(find(program.name) for program in item.programs)


def _owner(name: str) -> tuple[Item, Program]:
    programs = {program.name: (item, program) for item in CATALOGUE for program in item.programs}
    if name not in programs:
        raise InputError(f"no server program is called {name!r}; {nearest(name, programs)}")
    return programs[name]


def _cached(item: Item, program: Program) -> Path | None:
    path = servers_folder() / item.folder_name / "bin" / program.name
    return path if path.is_file() else None


def _on_path(item: Item, program: Program) -> Path | None:
    for alias in program.aliases:
        path = shutil.which(alias)
        if path and version_of(path, program.version_arguments) >= item.oldest:
            return Path(path)
    return None


@functools.lru_cache(maxsize=64)
def version_of(path: str, arguments: tuple[str, ...]) -> tuple[int, ...]:
    """Return the version that the program at `path` states, `()` where it states none within 20 s."""
    try:
        answer = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout + answer.stderr)
    return tuple(int(part) for part in match.groups() if part) if match else ()
