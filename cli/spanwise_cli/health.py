"""What `spanwise doctor` looks at: each check is a function that returns lines and neither raises nor prints.

A line is `failed` only where something that was asked for does not work; what is merely absent or odd is a `warning`.
Secrets never get into a line: header values, passwords and queries of addresses are masked.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from opentelemetry.util.re import parse_env_headers

from spanwise.causality import steps
from spanwise.config.settings import MASK, Settings, Sourced, destination, masked, resolve, settings_of
from spanwise.destinations import otlp
from spanwise.errors import InputError, SpanwiseError, UnavailableError
from spanwise.journal.folder import prepare
from spanwise.process.native import PURE_PYTHON
from spanwise_cli import disks, endpoint
from spanwise_cli.stack import running
from spanwise_cli.stack.ports import taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Status = Literal["ok", "warning", "failed"]
_WORST_FIRST: Final[tuple[Status, ...]] = ("failed", "warning", "ok")
_LIBRARIES: Final = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
_EXTRA: Final = re.compile(r"""^([A-Za-z0-9._-]+).*;.*\bextra == ['"]([\w-]+)['"]""")
_HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_LITTLE_DISK: Final = 2**30
_SHORT_LIVED: Final[dict[disks.ShortLived, str]] = {
    "memory": "it survives the process and not the machine; name a folder on a disk with SPANWISE_JOURNAL_DIR",
    "a container's own layer": "it survives the process, not the container; mount a volume there, or set an endpoint",
}
"""What lossless means there."""
_GIB: Final = 2**30
_LARGEST_SKEW: Final = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """One finding."""

    check: str
    status: Status
    detail: str
    """What was found, and where it is not ok, the remedy."""


@dataclass(frozen=True, slots=True)
class Health:
    """Everything that the doctor found."""

    lines: tuple[Line, ...]
    settings: tuple[tuple[str, str | int | float | bool | None, str], ...]
    """Name, value (masked) and source of each setting."""

    @property
    def status(self) -> Status:
        """The worst status of all lines."""
        found = {line.status for line in self.lines}
        return next(status for status in _WORST_FIRST if status in found)


def examine(journal: Path | None, default_journal: Path) -> Health:
    """Return the state of this installation and of what is configured in this folder.

    Args:
        journal: folder named on the command line, if any.
        default_journal: folder that the command line records in where none is configured.
    """
    lines = [*_versions(), *_extras()]
    sources: dict[str, Sourced] = {}
    settings = Settings()
    try:
        sources = resolve({})
        settings = settings_of(sources)
    except InputError as error:
        lines.append(Line("settings", "failed", str(error)))
    if journal is not None:
        sources["journal_dir"] = Sourced(str(journal), "--journal")
    lines += _switch(settings)
    lines.append(Line("causality", "ok", settings.causality))
    lines += _native()
    lines += _content(settings)
    lines += _journal(journal or Path(settings.journal_dir or default_journal))
    lines += _metrics(settings)
    lines += _otlp(settings.destination(otlp.NAME))
    for name, _ in settings.destinations:
        lines += _other(settings, name) if name != otlp.NAME else ()
    lines += _stack()
    return Health(tuple(lines), tuple(_shown(sources)))


def _versions() -> Iterator[Line]:
    yield Line("python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Line("spanwise", "ok", metadata.version("spanwise"))
    found = {name: metadata.version(name) for name in _LIBRARIES}
    alike = len(set(found.values())) == 1
    detail = ", ".join(f"{name.removeprefix('opentelemetry-')} {version}" for name, version in found.items())
    remedy = "" if alike else "; these belong together: pip install --upgrade " + " ".join(_LIBRARIES)
    yield Line("opentelemetry", "ok" if alike else "warning", detail + remedy)


def _extras() -> Iterator[Line]:
    extras: dict[str, list[str]] = {}
    for requirement in metadata.requires("spanwise") or ():
        match = _EXTRA.match(requirement)
        if match is not None and match[2] != "all":
            extras.setdefault(match[2], []).append(match[1])
    for extra, names in extras.items():
        missing = [name for name in names if not _installed(name)]
        absent = f"without {', '.join(missing)}; to have it: pip install 'spanwise[{extra}]'"
        yield Line(f"extra {extra}", "warning" if missing else "ok", absent if missing else "installed")


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _shown(sources: Mapping[str, Sourced]) -> Iterator[tuple[str, str | int | float | bool | None, str]]:
    for name, found in sources.items():
        yield name, _plain(found.value), found.source
    for variable in _HEADERS:
        names = parse_env_headers(os.environ.get(variable, ""), liberal=True)
        if names:
            yield "headers", ",".join(f"{name}={MASK}" for name in names), variable


def _plain(value: Any) -> str | int | float | bool | None:
    """Return a setting's value as it is shown: lists as text, a function by its name."""
    if isinstance(value, tuple):
        return ", ".join(cast("tuple[str, ...]", value)) or "none"
    if callable(value):
        return f"{value.__module__}:{value.__qualname__}"
    return masked(value) if isinstance(value, str) else cast("int | float | bool | None", value)


def _switch(settings: Settings) -> Iterator[Line]:
    if settings.disabled:
        yield Line("recording", "warning", "switched off by OTEL_SDK_DISABLED or SPANWISE_DISABLED; unset it to record")
    else:
        yield Line("recording", "ok", "on")


def _native() -> Iterator[Line]:
    what = "the step of causality"
    if steps.compiled is not None:
        how = f"{what} is compiled from C"
    elif os.environ.get(PURE_PYTHON):
        how = f"{what} runs in Python, as {PURE_PYTHON} is set"
    else:
        how = f"{what} runs in Python, slower: with a C compiler and Python's headers at hand, install spanwise again"
    yield Line("native code", "ok", how)


def _content(settings: Settings) -> Iterator[Line]:
    recorded = f"recorded: {', '.join(settings.capture_content) or 'none'}"
    if settings.redact:
        yield Line("content", "ok", f"{recorded}; secrets and personal data are redacted")
    else:
        detail = f"{recorded}; redaction is off, so that secrets are written as they are: unset SPANWISE_REDACT"
        yield Line("content", "warning", detail)


def _journal(folder: Path) -> Iterator[Line]:
    where = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    yield _folder(folder) if where == folder else _folder_to_be(folder, where)
    free = shutil.disk_usage(where).free
    detail = f"{free / _GIB:,.1f} GiB free"
    yield Line("disk", "ok", detail) if free >= _LITTLE_DISK else Line("disk", "warning", f"{detail}; make room")
    if (kind := disks.short_lived(where)) is not None:
        yield Line("disk", "warning", f"{folder} is on {kind}, and so is the journal: {_SHORT_LIVED[kind]}")


def _folder_to_be(folder: Path, where: Path) -> Line:
    if where.is_dir() and os.access(where, os.W_OK | os.X_OK):
        return Line("journal", "ok", f"{folder} (made with the first run)")
    return Line(
        "journal", "failed", f"{folder}: cannot be made in {where}; unlock that, or name another with --journal"
    )


def _folder(folder: Path) -> Line:
    try:
        prepare(folder)
    except UnavailableError as error:
        return Line("journal", "failed", str(error))
    if folder.stat().st_mode & 0o077:
        return Line("journal", "warning", f"{folder} is writable, and open to other users: chmod 700 {folder}")
    return Line("journal", "ok", f"{folder} is writable")


def _metrics(settings: Settings) -> Iterator[Line]:
    if not settings.metrics_port:
        return
    if taken(settings.metrics_port):
        detail = f"port {settings.metrics_port} is taken: by a program that records, or else set SPANWISE_METRICS_PORT"
        yield Line("metrics", "warning", detail)
    else:
        yield Line("metrics", "ok", f"port {settings.metrics_port} is free")


def _otlp(settings: otlp.Settings | None) -> Iterator[Line]:
    if settings is None:
        yield Line("endpoint", "ok", "none configured; runs stay on this machine")
        return
    address = masked(settings.endpoint or "")
    try:
        answer = endpoint.probe(settings)
    except SpanwiseError as error:
        yield Line("endpoint", "failed", str(error))
        return
    yield Line("endpoint", "ok", f"{address} takes spans ({settings.protocol}, {answer.seconds * 1000:.0f} ms)")
    if answer.clock_ahead is not None:
        yield _clock(answer.clock_ahead)


def _other(settings: Settings, name: str) -> Iterator[Line]:
    found = destination(name).DESTINATION
    try:
        reply = endpoint.probe_other(settings, name)
    except SpanwiseError as error:
        yield Line(name, "failed", str(error))
        return
    if reply.verdict == "accepted":
        yield Line(name, "ok", f"{found.shown(settings.destination(name))} takes spans")
    else:
        yield Line(name, "failed", f"{reply.reason}; {found.remedy}")


def _clock(ahead: float) -> Line:
    if abs(ahead) <= _LARGEST_SKEW:
        return Line("clock", "ok", "agrees with the endpoint's")
    side = "ahead of" if ahead > 0 else "behind"
    return Line(
        "clock", "warning", f"{abs(ahead):.0f} s {side} the endpoint's; set it, or traces of both do not line up"
    )


def _stack() -> Iterator[Line]:
    try:
        servers = running()
    except InputError as error:
        yield Line("stack", "warning", str(error))
        return
    if servers is None:
        yield Line("stack", "ok", "not running; start it with: spanwise stack up")
    else:
        yield Line("stack", "ok", f"running ({servers.kind}): send to {servers.otlp_http}")
