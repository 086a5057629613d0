"""How a setting is declared: once, as the annotation of a field, with all that is known of it.

`service_name: Annotated[str, Setting(str, "text", "`service.name` of the resource")] = "unknown_service"` gives name,
type and default as Python has them, and in `Setting` the rest. `configure`, the environment variables, the keys of
`[tool.spanwise]`, `spanwise doctor` and the table in docs/recording.md come from there.

The parsers in this module take text, since that is what a variable holds, and raise `ValueError` for what cannot be
used.
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TRUE_WORDS: Final = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS: Final = frozenset({"0", "false", "no", "off"})
_SHORTEST_LIMIT: Final = 256
_UNITS: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class OtelVariable(NamedTuple):
    """A variable of OpenTelemetry's that sets a setting, too, and what OpenTelemetry says about its text."""

    name: str
    read: Callable[[str], str] = str.strip
    """What of its text is the value; empty where there is none."""
    parse: Callable[[str], Any] | None = None
    """How that value is parsed, where it is not as in a variable of ours."""


class Setting(NamedTuple):
    """What is known of a setting besides its name, type and default."""

    parse: Callable[[str], Any]
    """Turns text into the value."""
    needs: str
    """What can be given, for the message about a value that cannot be used."""
    help: str
    """One line of explanation; Markdown."""
    otel: tuple[OtelVariable, ...] = ()
    """Variables of OpenTelemetry's that set it, too; the first one that is there wins."""
    short: str = ""
    """Name at the top level that stands for this setting of a destination, such as `endpoint`."""
    separator: str = "\n"
    """What stands between the values of a list when it is written as text."""
    empty: str = ""
    """Text that an empty list stands for."""
    unit: str = ""
    """Unit of the value, for the table of defaults."""


def declared(settings: type) -> dict[str, Setting]:
    """Return the settings that a class declares, by name, in order."""
    found = {name: getattr(hint, "__metadata__", ()) for name, hint in settings.__annotations__.items()}
    return {name: about[0] for name, about in found.items() if about and isinstance(about[0], Setting)}


def resource_attribute(key: str) -> Callable[[str], str]:
    """Return what reads one attribute out of `OTEL_RESOURCE_ATTRIBUTES`: `key=value` pairs, percent-encoded."""

    def read(text: str) -> str:
        found = ""
        for pair in text.split(","):
            name, _, value = pair.partition("=")
            if name.strip() == key:
                found = unquote(value.strip())
        return found

    return read


class ExactAddress(str):
    """An address that spans are posted to as it is: nothing is added to its path."""

    __slots__ = ()


def number(text: str) -> float:
    """Return a number of at least 0."""
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ValueError(text)
    return value


def positive(text: str) -> float:
    """Return a number above 0."""
    value = number(text)
    if not value:
        raise ValueError(text)
    return value


def port(text: str) -> int:
    """Return the number of a TCP port."""
    value = int(text)
    if not 0 <= value <= 65_535:  # noqa: PLR2004 - the range of a TCP port
        raise ValueError(text)
    return value


def folder(text: str) -> str:
    """Return an absolute path: what is relative is meant from here, wherever the process goes later."""
    try:
        return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 - Path's raises where nobody has a home
    except OSError as error:  # the working folder is gone
        raise ValueError(text) from error


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser that takes one of `words`."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return parse


def some_of(*words: str) -> Callable[[str], tuple[str, ...]]:
    """Return a parser that takes some of `words`, with commas, in the order of `words`; or `all`, or `none`."""

    def parse(text: str) -> tuple[str, ...]:
        given = {one.strip() for one in text.split(",")}
        if given in ({"all"}, {"none"}):
            return words if given == {"all"} else ()
        if not given <= set(words):
            raise ValueError(text)
        return tuple(one for one in words if one in given)

    return parse


def address(text: str) -> str:
    """Return an http or https address."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError(text)
    return text


def exact_address(text: str) -> ExactAddress:
    """Return an http or https address that nothing is added to."""
    return ExactAddress(address(text))


def size(text: str) -> int:
    """Return bytes; `text` is a number, with a unit or without."""
    amount = text.strip().removesuffix("B").rstrip()
    for unit, factor in _UNITS.items():
        if amount.endswith(unit):
            return int(positive(amount.removesuffix(unit)) * factor)
    value = int(amount)
    if value < 1:
        raise ValueError(text)
    return value


def length(text: str) -> int:
    """Return a number of characters that a text can sensibly be cut to."""
    value = int(text)
    if value < _SHORTEST_LIMIT:
        raise ValueError(text)
    return value


def lines(text: str) -> tuple[str, ...]:
    """Return the lines that hold something."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def patterns(text: str) -> tuple[str, ...]:
    """Return regular expressions, one a line; none of them may match nothing."""
    for line in lines(text):
        try:
            matches_nothing = re.compile(line).match("") is not None
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(line) from error
        if matches_nothing:
            raise ValueError(line)
    return lines(text)


def names(text: str) -> tuple[str, ...]:
    """Return names of attributes, with commas or a line each; `*` may end one, and means nothing elsewhere."""
    found = tuple(one.strip() for one in re.split(r"[,\n]", text) if one.strip())
    if any(one == "*" or "*" in one[:-1] for one in found):
        raise ValueError(text)
    return found


def rules(text: str) -> tuple[str, ...]:
    """Return rules `attribute=form`, one a line."""
    for line in lines(text):
        attribute, _, form = line.partition("=")
        if not attribute.strip() or not form.strip():
            raise ValueError(line)
    return lines(text)


def hosts(text: str) -> tuple[str, ...]:
    """Return names of hosts, with commas or a line each, in lower case."""
    found = tuple(one.strip().lower() for one in re.split(r"[,\n]", text) if one.strip())
    if any("/" in one or "@" in one for one in found):
        raise ValueError(text)
    return found


def hook(text: str) -> str:
    """Return `module:function`."""
    module, _, function = text.partition(":")
    if not module or not function:
        raise ValueError(text)
    return text


def truth(text: str) -> bool:
    """Return what a word of ours for true or false says."""
    word = text.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError(text)
    return word in TRUE_WORDS


def otel_truth(text: str) -> bool:
    """Return what OpenTelemetry makes of a variable for true or false: only `true`, in any case, is true."""
    return text.strip().lower() == "true"


def environment_variables(name: str, setting: Setting, group: str = "") -> tuple[OtelVariable, ...]:
    """Return every variable that sets a setting, the one that wins first; `group` is the destination it belongs to."""
    flat = f"{group}_{name}" if group else name
    ours = [f"SPANWISE_{flat.upper()}", *([f"SPANWISE_{setting.short.upper()}"] if setting.short else [])]
    return (*map(OtelVariable, ours), *setting.otel)


def plain_default(value: Any, setting: Setting) -> str:
    """Return a default as the table in the docs prints it."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"`{', '.join(cast('tuple[str, ...]', value))}`"
    if isinstance(value, str):
        return f"`{value}`"
    for unit, factor in sorted(_UNITS.items(), key=lambda one: -one[1]):
        if setting.unit == "bytes" and value % factor == 0:
            return f"{value // factor} {unit}B"
    shown = int(value) if value == int(value) else value
    return f"{shown} {setting.unit}".rstrip()


def flat_names(group: str, settings: Mapping[str, Setting]) -> dict[str, str]:
    """Return the flat names that stand for settings of a destination, such as `otlp_content`, with the nested ones."""
    found = {f"{group}_{name}": f"{group}.{name}" for name in settings}
    return found | {about.short: f"{group}.{name}" for name, about in settings.items() if about.short}
