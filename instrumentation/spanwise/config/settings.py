"""Every setting with its value and where the value came from.

Precedence: code, then `SPANWISE_*`, then `OTEL_*`, then `[tool.spanwise]` of the nearest pyproject.toml, then the
default. `spanwise doctor` prints the result, so that nobody has to guess which of them won.
"""

from __future__ import annotations

import math
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast, get_args
from urllib.parse import urlsplit, urlunsplit

from spanwise.content.policy import KINDS, SAME, destination_kinds, kinds
from spanwise.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

TRUE_WORDS: Final = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS: Final = frozenset({"0", "false", "no", "off"})
MASK: Final = "***"
Causality = Literal["off", "sampled", "on"]
Durability = Literal["interval", "sync"]
_SHORTEST_LIMIT: Final = 256
_UNITS: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class Settings(NamedTuple):
    """What `configure` works from. Durations are seconds.

    No dataclass, since one of so many fields takes 2 ms to make, of the 60 that starting may take.
    """

    service_name: str = "unknown_service"
    """`service.name` of the resource; Prometheus' `job`."""
    journal_dir: str | None = None
    """Folder that runs are recorded in; none: nothing is written to disk."""
    durability: Durability = "interval"
    """When an ended span is on disk: within `journal_interval`, or (`sync`) before its `end` returns."""
    journal_interval: float = 0.2
    """Longest time that an ended span waits to be written."""
    buffer_size: int = 64 * 1024 * 1024
    """Bytes of ended spans that may wait to be written."""
    journal_size: int = 2**30
    """Bytes that all segments of the folder may take; the oldest closed ones are deleted beyond that."""
    journal_age: float = 14 * 86_400.0
    """How long a segment is kept."""
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
    """Shortest recorded (real) wait that gets a record of its own; shorter ones are summed on the waiter."""
    causality: Causality = "off"
    """Whether asyncio tasks say what they waited for: `off`, `sampled` (one trace in ten) or `on`."""
    shutdown_timeout: float = 5.0
    """Longest time that flushing may take at the end of the process."""
    capture_content: tuple[str, ...] = ()
    """Kinds of content that are recorded (`spanwise.content.policy.KINDS`); none by default."""
    fingerprints: bool = False
    """Whether short hashes of what is asked and returned are recorded, and which span's text a prompt holds."""
    exceptions: str = "type"
    """What is recorded of an exception: `type`, also its `message`, or its `stacktrace` besides."""
    content_limit: int = 32_768
    """Longest text of an attribute, event or message, in characters."""
    redact: bool = True
    """Whether secrets and personal data are replaced before anything is written or sent."""
    redact_patterns: tuple[str, ...] = ()
    """Regular expressions of further things to redact."""
    span_hook: str | Callable[..., Any] | None = None
    """`module:function`, or in code a function, that may rewrite or drop each ended span."""
    otlp_content: tuple[str, ...] = SAME
    """Kinds of content that the OTLP receiver gets of those recorded; `same`: all of them."""
    otlp_drop: tuple[str, ...] = ()
    """Rules such as `http.route=/health*` of spans that the OTLP receiver does not get."""
    otlp_waits: bool = True
    """Whether the OTLP receiver gets waits, each as a span `wait {resource}`."""
    langsmith_project: str | None = None
    """Project of LangSmith that is sent to, with the key in `LANGSMITH_API_KEY`; none: nothing is sent there."""
    langsmith_content: tuple[str, ...] = SAME
    """Kinds of content that LangSmith gets of those recorded; `same`: all of them."""
    langsmith_drop: tuple[str, ...] = ()
    """Rules of spans that LangSmith does not get."""
    langsmith_waits: bool = False
    """Whether LangSmith gets waits, each as a run `wait {resource}`."""
    propagate_to: tuple[str, ...] = ()
    """Hosts that requests carry the trace to (`inject(headers, url=…)`), such as `*.internal` or `localhost:8080`."""
    thread_context: bool = True
    """Whether threads and thread pools continue the span that they are started or asked in."""
    disabled: bool = False
    """`OTEL_SDK_DISABLED`: nothing is recorded, written, sent or served."""


class Sourced(NamedTuple):
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


def _durability(text: str) -> str:
    if text not in get_args(Durability):
        raise ValueError(text)
    return text


def _size(text: str) -> int:
    """Return bytes; `text` is a number, with a unit or without."""
    number = text.strip().removesuffix("B").rstrip()
    for unit, factor in _UNITS.items():
        if number.endswith(unit):
            return int(_positive(number.removesuffix(unit)) * factor)
    value = int(number)
    if value < 1:
        raise ValueError(text)
    return value


def _length(text: str) -> int:
    value = int(text)
    if value < _SHORTEST_LIMIT:
        raise ValueError(text)
    return value


def _exceptions(text: str) -> str:
    if text not in {"type", "message", "stacktrace"}:
        raise ValueError(text)
    return text


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _patterns(text: str) -> tuple[str, ...]:
    for line in _lines(text):
        try:
            matches_nothing = re.compile(line).match("") is not None
        except re.error as error:
            raise ValueError(line) from error
        if matches_nothing:
            raise ValueError(line)
    return _lines(text)


def _rules(text: str) -> tuple[str, ...]:
    for line in _lines(text):
        attribute, _, form = line.partition("=")
        if not attribute.strip() or not form.strip():
            raise ValueError(line)
    return _lines(text)


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(one.strip().lower() for one in re.split(r"[,\n]", text) if one.strip())
    if any("/" in one or "@" in one for one in hosts):
        raise ValueError(text)
    return hosts


def _hook(text: str) -> str:
    module, _, function = text.partition(":")
    if not module or not function:
        raise ValueError(text)
    return text


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError(text)
    return word in TRUE_WORDS


class _Rule(NamedTuple):
    parse: Callable[[str], Any]
    needs: str
    otel: tuple[str, ...] = ()
    empty: str = ""
    """What an empty list stands for."""


_RULES: Final[Mapping[str, _Rule]] = {
    "service_name": _Rule(str, "text", ("OTEL_SERVICE_NAME",)),
    "journal_dir": _Rule(_folder, "a folder"),
    "durability": _Rule(_durability, "interval or sync"),
    "journal_interval": _Rule(_positive, "a number of seconds above 0"),
    "buffer_size": _Rule(_size, "a number of bytes, such as 64 MiB"),
    "journal_size": _Rule(_size, "a number of bytes, such as 1 GiB"),
    "journal_age": _Rule(_positive, "a number of seconds above 0"),
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
    "capture_content": _Rule(
        kinds,
        f"none, all, or some of {', '.join(KINDS)}",
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",),
        empty="none",
    ),
    "fingerprints": _Rule(_truth, "true or false"),
    "exceptions": _Rule(_exceptions, "type, message or stacktrace"),
    "content_limit": _Rule(_length, "a number of characters of at least 256"),
    "redact": _Rule(_truth, "true or false"),
    "redact_patterns": _Rule(_patterns, "regular expressions, one a line, that match at least a character"),
    "span_hook": _Rule(_hook, "module:function"),
    "otlp_content": _Rule(destination_kinds, f"same, none, or some of {', '.join(KINDS)}", empty="none"),
    "otlp_drop": _Rule(_rules, "rules, one a line, such as name=step * or http.route=/health*"),
    "otlp_waits": _Rule(_truth, "true or false"),
    "langsmith_project": _Rule(str, "the name of a project"),
    "langsmith_content": _Rule(destination_kinds, f"same, none, or some of {', '.join(KINDS)}", empty="none"),
    "langsmith_drop": _Rule(_rules, "rules, one a line, such as name=step * or http.route=/health*"),
    "langsmith_waits": _Rule(_truth, "true or false"),
    "propagate_to": _Rule(_hosts, "hosts with commas, such as *.internal, localhost:8080"),
    "thread_context": _Rule(_truth, "true or false"),
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
    return Settings(**{name: resolved[name].value for name in Settings._fields})


def _from_environment(name: str, environment: Mapping[str, str]) -> Sourced | None:
    for variable in (f"SPANWISE_{name.upper()}", *_RULES[name].otel):
        if text := environment.get(variable, "").strip():
            return Sourced(_checked(name, text, variable), variable)
    return None


def _checked(name: str, value: Any, where: str) -> Any:
    rule = _RULES[name]
    if name == "span_hook" and callable(value):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        separator = "," if rule.parse in (kinds, destination_kinds) else "\n"
        value = separator.join(str(one) for one in cast("Iterable[object]", value)) or rule.empty
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
    try:
        text = path.read_text(encoding="utf-8")
        document = _parsed(text) if _may_have_table(text) else {}
    except (OSError, ValueError) as error:
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


def _may_have_table(text: str) -> bool:
    """Return whether a TOML text may have a key `spanwise`; most name it as a dependency only, if at all."""
    for before, after in pairwise(text.split("spanwise")):
        quote = before[-1:] if before[-1:] in {'"', "'"} else ""
        behind = after.removeprefix(quote).lstrip(" \t")[:1] if after.startswith(quote) else ""
        is_header = before.rpartition("\n")[2].lstrip().startswith("[")
        if before.endswith(".") or behind in {".", "="} or (behind == "]" and is_header):
            return True
    return False


def _parsed(text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - 5 ms with the reading, and only where there is something of ours

    return tomllib.loads(text)
