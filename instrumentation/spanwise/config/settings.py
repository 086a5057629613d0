"""Every setting with its value and where the value came from.

Precedence: code, then `SPANWISE_*`, then `OTEL_*`, then `[tool.spanwise]` of the nearest pyproject.toml, then the
default. `spanwise doctor` prints the result, so that nobody has to guess which of them won.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args
from urllib.parse import urlsplit, urlunsplit

from spanwise.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TRUE_WORDS: Final = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS: Final = frozenset({"0", "false", "no", "off"})
MASK: Final = "***"
Causality = Literal["off", "sampled", "on"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What `configure` works from. Durations are seconds."""

    service_name: str = "unknown_service"
    """`service.name` of the resource; Prometheus' `job`."""
    journal_dir: str | None = None
    """Folder that runs are recorded in; none: nothing is written to disk."""
    endpoint: str | None = None
    """Base address of an OTLP receiver, such as `http://127.0.0.1:4318`; none: nothing is sent.

    Over HTTP, `/v1/traces` is added unless the address ends in it.
    """
    protocol: str = "http/protobuf"
    """`http/protobuf`, or `grpc` with the extra of that name."""
    metrics_port: int | None = None
    """Port that Prometheus metrics are served on; none: they are not served. 0 takes a free one."""
    time_scale: float = 1.0
    """How many system seconds a recorded second stands for; above 1 only for systems run in scaled time."""
    wait_threshold: float = 0.001
    """Shortest recorded (real) wait that gets a span of its own; shorter ones are summed on the waiter."""
    causality: Causality = "off"
    """Whether asyncio tasks say what they waited for: `off`, `sampled` (one trace in ten) or `on`."""
    shutdown_timeout: float = 5.0
    """Longest time that flushing may take at the end of the process."""
    disabled: bool = False
    """`OTEL_SDK_DISABLED`: nothing is recorded, written, sent or served."""


@dataclass(frozen=True, slots=True)
class Sourced:
    """A setting's value and the place it was taken from."""

    value: Any
    source: str


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ValueError(text)
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if not value:
        raise ValueError(text)
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65_535:  # noqa: PLR2004 - the range of a TCP port
        raise ValueError(text)
    return value


def _folder(text: str) -> str:
    return os.path.expanduser(text)  # noqa: PTH111 - Path's own raises where nobody has a home


def _protocol(text: str) -> str:
    if text not in {"http/protobuf", "grpc"}:
        raise ValueError(text)
    return text


def _causality(text: str) -> str:
    if text not in get_args(Causality):
        raise ValueError(text)
    return text


def _endpoint(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError(text)
    return text


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError(text)
    return word in TRUE_WORDS


@dataclass(frozen=True, slots=True)
class _Rule:
    parse: Callable[[str], Any]
    needs: str
    otel: tuple[str, ...] = ()


_RULES: Final[Mapping[str, _Rule]] = {
    "service_name": _Rule(str, "text", ("OTEL_SERVICE_NAME",)),
    "journal_dir": _Rule(_folder, "a folder"),
    "endpoint": _Rule(
        _endpoint,
        "an address such as http://127.0.0.1:4318",
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ),
    "protocol": _Rule(
        _protocol, "http/protobuf or grpc", ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    ),
    "metrics_port": _Rule(_port, "a port from 0 to 65535"),
    "time_scale": _Rule(_positive, "a number above 0"),
    "wait_threshold": _Rule(_number, "a number of seconds of at least 0"),
    "causality": _Rule(_causality, "off, sampled or on"),
    "shutdown_timeout": _Rule(_number, "a number of seconds of at least 0"),
    "disabled": _Rule(_truth, "true or false", ("OTEL_SDK_DISABLED",)),
}


def resolve(
    code: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> dict[str, Sourced]:
    """Return each setting with its source.

    Args:
        code: settings given in code; `None` means not given.
        environment: defaults to the process's.
        directory: where the search for pyproject.toml begins, upwards; defaults to the working directory.

    Raises:
        InputError: a value cannot be used, or `[tool.spanwise]` has an unknown key; names where it stands.
    """
    environment = os.environ if environment is None else environment
    project, path = _project_table(directory or Path.cwd())
    defaults = Settings()
    result: dict[str, Sourced] = {}
    for name in _RULES:
        if code.get(name) is not None:
            result[name] = Sourced(_checked(name, code[name], f"configure({name}=…)"), "code")
        elif found := _from_environment(name, environment):
            result[name] = found
        elif name in project:
            result[name] = Sourced(_checked(name, project[name], f"{path}: [tool.spanwise] {name}"), str(path))
        else:
            result[name] = Sourced(getattr(defaults, name), "default")
    return result


def settings_of(resolved: Mapping[str, Sourced]) -> Settings:
    """Return the plain settings of a resolution."""
    return Settings(**{field.name: resolved[field.name].value for field in fields(Settings)})


def _from_environment(name: str, environment: Mapping[str, str]) -> Sourced | None:
    for variable in (f"SPANWISE_{name.upper()}", *_RULES[name].otel):
        if text := environment.get(variable, "").strip():
            return Sourced(_checked(name, text, variable), variable)
    return None


def _checked(name: str, value: Any, where: str) -> Any:
    rule = _RULES[name]
    try:
        return rule.parse(str(value))
    except ValueError:
        raise InputError(f"{where}: {masked(str(value))!r} cannot be used; give {rule.needs}") from None


def masked(text: str) -> str:
    """Return `text` fit to be shown: in an address, password and query are replaced by `MASK`."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    if not parts.netloc:
        return text
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = f"{name + colon if colon else ''}{MASK}@{host}" if at else host
    return urlunsplit(parts._replace(netloc=shown, query=MASK if parts.query else ""))


def _project_table(directory: Path) -> tuple[Mapping[str, Any], Path | None]:
    for folder in (directory, *directory.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            return _read_table(path), path
    return {}, None


def _read_table(path: Path) -> Mapping[str, Any]:
    import tomllib  # noqa: PLC0415 - only where there is a pyproject.toml

    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); mend it or run from another folder") from None
    tools = document.get("tool", {})
    table: object = cast("dict[str, Any]", tools).get("spanwise", {}) if isinstance(tools, dict) else {}
    if not isinstance(table, dict):
        raise InputError(f"{path}: tool.spanwise is no table; write [tool.spanwise] with one key a line")
    keys = cast("dict[str, Any]", table)
    for name in keys:
        if name not in _RULES:
            raise InputError(f"{path}: [tool.spanwise]: unknown key {name!r}; {nearest(name, _RULES)}")
    return keys
