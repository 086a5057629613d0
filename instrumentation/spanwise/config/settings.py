"""Every setting, declared once, and its value with the place that it was taken from.

Precedence: code, then `SPANWISE_*`, then `OTEL_*`, then `[tool.spanwise]` of the nearest pyproject.toml, then the
default. `spanwise doctor` prints the result, so that nobody has to guess which of them won.

A destination declares its settings in its own module; `DESTINATIONS` says which module that is.
"""

# No `from __future__ import annotations`: a setting is what its annotation says, so the annotations are evaluated.

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, cast, get_args
from urllib.parse import urlsplit, urlunsplit

from spanwise.config import declaration as d
from spanwise.config.declaration import OtelVariable, Setting, declared
from spanwise.content.policy import KINDS, kinds
from spanwise.errors import InputError, nearest

DESTINATIONS: Final[Mapping[str, str]] = {
    "otlp": "spanwise.destinations.otlp",
    "langsmith": "spanwise.destinations.langsmith",
}
"""Name to module of each destination. The module has a class `Settings` and an object `DESTINATION`."""
MASK: Final = "***"
INTEGRATIONS: Final = ("http_servers", "langchain", "openai", "openai_agents")
"""Libraries that `spanwise.integrations` records."""
Causality = Literal["off", "sampled", "on"]
Durability = Literal["interval", "sync"]


class Settings(NamedTuple):
    """What `configure` works from. Durations are seconds.

    No dataclass, since one of so many fields takes 2 ms to make, of the 60 that starting may take.
    """

    service_name: Annotated[
        str,
        Setting(
            str,
            "text",
            "`service.name` of a provider that spanwise makes; Prometheus' `job`",
            (
                OtelVariable("OTEL_SERVICE_NAME"),
                OtelVariable("OTEL_RESOURCE_ATTRIBUTES", d.resource_attribute("service.name")),
            ),
        ),
    ] = "unknown_service"
    journal_dir: Annotated[
        str | None,
        Setting(d.folder, "a folder", "folder to record in, fixed at `configure`; none: nothing is written"),
    ] = None
    durability: Annotated[
        Durability,
        Setting(
            d.one_of(*get_args(Durability)),
            "interval or sync",
            "[when an ended span is on disk](durability.md): `interval`, or `sync`: before its end returns",
        ),
    ] = "interval"
    journal_interval: Annotated[
        float,
        Setting(
            d.positive,
            "a number of seconds above 0",
            "longest time that an ended span waits to be written",
            unit="s",
        ),
    ] = 0.2
    buffer_size: Annotated[
        int,
        Setting(d.size, "a number of bytes, such as 64 MiB", "how much may wait to be written", unit="bytes"),
    ] = 64 * 1024 * 1024
    journal_size: Annotated[
        int,
        Setting(
            d.size,
            "a number of bytes, such as 1 GiB",
            "[how big the folder may get](journal.md#size-and-age); the oldest closed segments go first",
            unit="bytes",
        ),
    ] = 2**30
    journal_age: Annotated[
        float,
        Setting(d.positive, "a number of seconds above 0", "how long a segment is kept: 14 days", unit="s"),
    ] = 14 * 86_400.0
    metrics_port: Annotated[
        int | None,
        Setting(
            d.port,
            "a port from 0 to 65535",
            "serves Prometheus metrics on 127.0.0.1; 0 takes a free port; none: they are not served",
        ),
    ] = None
    time_scale: Annotated[
        float,
        Setting(
            d.positive,
            "a number above 0",
            "system seconds that a recorded second stands for; above 1 only for systems run in scaled time",
        ),
    ] = 1.0
    wait_threshold: Annotated[
        float,
        Setting(
            d.number,
            "a number of seconds of at least 0",
            "from here on a [wait](#waits) is a record of its own; shorter ones are summed on the waiter",
            unit="s",
        ),
    ] = 0.001
    causality: Annotated[
        Causality,
        Setting(
            d.one_of(*get_args(Causality)),
            "off, sampled or on",
            "whether [asyncio tasks say what they waited for](causality.md): `off`, `sampled` (one trace in ten), `on`",
        ),
    ] = "off"
    run_budget: Annotated[
        bool,
        Setting(
            d.truth,
            "true or false",
            "whether the critical path, the wall-clock budget and the cost of a run are worked out when it ends",
        ),
    ] = True
    shutdown_timeout: Annotated[
        float,
        Setting(d.number, "a number of seconds of at least 0", "longest flush at the end of the process", unit="s"),
    ] = 5.0
    capture_content: Annotated[
        tuple[str, ...],
        Setting(
            kinds,
            f"none, all, or some of {', '.join(KINDS)}",
            "kinds of [content](privacy.md) to record, with commas; `all`, `none`",
            (OtelVariable("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"),),
            separator=",",
            empty="none",
        ),
    ] = ()
    fingerprints: Annotated[
        bool,
        Setting(d.truth, "true or false", "[short hashes](#fingerprints) of what is asked and returned"),
    ] = False
    exceptions: Annotated[
        str,
        Setting(
            d.one_of("type", "message", "stacktrace"),
            "type, message or stacktrace",
            "what is recorded of an exception: its `type`, also its `message`, or its `stacktrace` besides",
        ),
    ] = "type"
    content_limit: Annotated[
        int,
        Setting(
            d.length,
            "a number of characters of at least 256",
            "longest text of an attribute, event or message, in characters; JSON stays JSON when it is cut",
        ),
    ] = 32_768
    redact: Annotated[
        bool,
        Setting(d.truth, "true or false", "secrets and personal data are replaced before anything is written or sent"),
    ] = True
    redact_patterns: Annotated[
        tuple[str, ...],
        Setting(
            d.patterns,
            "regular expressions, one a line, that match at least a character",
            "regular expressions of further things to replace, one a line",
        ),
    ] = ()
    allow_attributes: Annotated[
        tuple[str, ...],
        Setting(
            d.names,
            "names of attributes with commas between them, such as app.tenant or app.*",
            "attributes of other libraries' spans that are recorded whatever they hold; `*` ends a prefix",
        ),
    ] = ()
    span_hook: Annotated[
        str | Callable[..., Any] | None,
        Setting(d.hook, "module:function", "`module:function`, or in code a function, that may rewrite or drop a span"),
    ] = None
    propagate_to: Annotated[
        tuple[str, ...],
        Setting(
            d.hosts,
            "hosts with commas, such as *.internal, localhost:8080",
            "hosts that requests [carry the trace](#across-processes) to, with commas; `*` and `?` are wildcards",
        ),
    ] = ()
    thread_context: Annotated[
        bool,
        Setting(
            d.truth,
            "true or false",
            "threads and thread pools continue the span that they are started or asked in",
        ),
    ] = True
    integrations: Annotated[
        tuple[str, ...],
        Setting(
            d.some_of(*INTEGRATIONS),
            f"all, none, or some of {', '.join(INTEGRATIONS)}",
            "libraries that are [recorded as they are](run.md#libraries), with commas; `all`, `none`",
            separator=",",
            empty="none",
        ),
    ] = INTEGRATIONS
    disabled: Annotated[
        bool,
        Setting(
            d.truth,
            "true or false",
            "nothing is recorded, written, sent or served; not an argument of `configure`",
            (OtelVariable("OTEL_SDK_DISABLED", parse=d.otel_truth),),
        ),
    ] = False
    destinations: tuple[tuple[str, Any], ...] = ()
    """Name and settings of each destination that is set; the module of the destination knows their type."""

    def destination(self, name: str) -> Any:
        """Return the settings of a destination; `None` where it is not set."""
        return dict(self.destinations).get(name)


class Sourced(NamedTuple):
    """A setting's value and the place it was taken from."""

    value: Any
    source: str


@cache
def destination(name: str) -> Any:
    """Return the module of a destination; it loads neither an HTTP client nor anything else that takes time."""
    return import_module(DESTINATIONS[name])


@cache
def declarations() -> Mapping[str, Setting]:
    """Return every setting by name; that of a setting of a destination is `destination.setting`."""
    nested = {
        f"{group}.{name}": setting
        for group in DESTINATIONS
        for name, setting in declared(destination(group).Settings).items()
    }
    return declared(Settings) | nested


def default_of(name: str) -> Any:
    """Return the default of a setting."""
    group, _, last = name.rpartition(".")
    return (destination(group).Settings if group else Settings)._field_defaults[last]


def variables_of(name: str) -> tuple[OtelVariable, ...]:
    """Return every variable that sets a setting, the one that wins first."""
    group, _, last = name.rpartition(".")
    return d.environment_variables(last, declarations()[name], group)


def resolve(
    code: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> dict[str, Sourced]:
    """Return each setting with its source; those of a destination are called `destination.setting`.

    Args:
        code: settings given in code; `None` means not given. Those of a destination stand in a mapping under its name
            (`{"otlp": {"content": "none"}}`), or under a flat name (`otlp_content`).
        environment: defaults to the process's.
        directory: where the search for pyproject.toml begins, upwards; defaults to the working directory.

    Raises:
        InputError: a value cannot be used, or a name is unknown; names where it stands.
    """
    environment = os.environ if environment is None else environment
    given = _flattened(code, "configure()", "configure({}=…)")
    table, path = _project_table(directory)
    project = _flattened(table, f"{path}: [tool.spanwise]", f"{path}: [tool.spanwise] {{}}")
    result: dict[str, Sourced] = {}
    for name, setting in declarations().items():
        if name in given:
            value, where = given[name]
            result[name] = Sourced(_checked(setting, value, where), "code")
        elif found := _from_environment(name, setting, environment):
            result[name] = found
        elif name in project:
            value, where = project[name]
            result[name] = Sourced(_checked(setting, value, where), str(path))
        else:
            result[name] = Sourced(default_of(name), "default")
    return result


def settings_of(resolved: Mapping[str, Sourced]) -> Settings:
    """Return the plain settings of a resolution, with those of the destinations that are to be sent to."""
    top = {name: found.value for name, found in resolved.items() if "." not in name}
    groups: list[tuple[str, Any]] = []
    for group in DESTINATIONS:
        module = destination(group)
        settings = module.Settings(**{name: resolved[f"{group}.{name}"].value for name in module.Settings._fields})
        if module.DESTINATION.is_set(settings):
            groups.append((group, settings))
    return Settings(**top, destinations=tuple(groups))


def _flattened(given: Mapping[str, Any], where: str, place: str) -> dict[str, tuple[Any, str]]:
    """Return each setting that is given, by its full name, with the place to name in a message.

    Raises:
        InputError: a name is unknown, or a setting is given twice.
    """
    known = declarations()
    flat = {
        short: full
        for group in DESTINATIONS
        for short, full in d.flat_names(group, declared(destination(group).Settings)).items()
    }
    found: dict[str, tuple[Any, str]] = {}
    for key, value in given.items():
        if value is None:
            continue
        if key in DESTINATIONS:
            if not isinstance(value, Mapping):
                raise InputError(f"{place.format(key)}: not a mapping; give settings of {key}, such as {{'drop': …}}")
            pairs = [(f"{key}.{name}", one) for name, one in cast("Mapping[str, Any]", value).items()]
        else:
            pairs = [(flat.get(key, key), value)]
        for name, one in pairs:
            if name not in known:
                allowed = [*known, *DESTINATIONS, *flat]
                raise InputError(f"{where}: unknown key {name!r}; {nearest(name, allowed)}")
            if name in found:
                raise InputError(f"{place.format(key)}: {name} is given twice; give it once")
            if one is not None:
                found[name] = one, place.format(key if key not in DESTINATIONS else name)
    return found


def _from_environment(name: str, setting: Setting, environment: Mapping[str, str]) -> Sourced | None:
    for variable in variables_of(name):
        if text := variable.read(environment.get(variable.name, "")).strip():
            read = setting if variable.parse is None else setting._replace(parse=variable.parse)
            return Sourced(_checked(read, text, variable.name), variable.name)
    return None


def _checked(setting: Setting, value: Any, where: str) -> Any:
    if callable(value) and setting.parse is d.hook:
        return value
    if isinstance(value, list | tuple | set | frozenset):
        value = setting.separator.join(str(one) for one in cast("Iterable[object]", value)) or setting.empty
    try:
        return setting.parse(str(value))
    except ValueError:
        raise InputError(f"{where}: {masked(str(value))!r} cannot be used; give {setting.needs}") from None


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


def _project_table(directory: Path | None) -> tuple[Mapping[str, Any], Path | None]:
    try:
        directory = directory or Path.cwd()
    except OSError:  # the working folder is gone, and with it whatever it is in
        return {}, None
    for folder in (directory, *directory.parents):
        path = folder / "pyproject.toml"
        if os.path.isfile(path):  # noqa: PTH113 - Path's raises where the folder may not be looked into
            return _read_table(path), path
    return {}, None


def _read_table(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        document = _parsed(text) if _may_have_table(text) else {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}); mend it or run from another folder") from None
    tools = document.get("tool", {})
    table: object = cast("dict[str, Any]", tools).get("spanwise", {}) if isinstance(tools, dict) else {}
    if not isinstance(table, dict):
        raise InputError(f"{path}: tool.spanwise is no table; write [tool.spanwise] with one key a line")
    return cast("dict[str, Any]", table)


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
