"""Flags of a system: typed fields that say what they do, presets over them in YAML, and settings from the command line.

    @dataclass(frozen=True, slots=True)
    class DeskFlags(Flags):
        parallel_analysts: bool = flag("Analysts run at the same time.", default=False)
        pool_size: int = flag("Threads for blocking tools.", default=4, least=1, most=64)
        cache_ttl: Duration = flag("How long market data stay fresh.", default=Duration(300))

A field is `bool`, `int`, `float`, `str` or `Duration`. Whoever builds the flags (code, a preset, `--set`) gets the same
checks, because they are made when the object is made.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from spanwise.config import strict_yaml
from spanwise.errors import InputError, nearest

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
F = TypeVar("F", bound="Flags")

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(ms|s|m|h|d)?")
_TRUE: Final = frozenset({"true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})
_ABOUT: Final = "spanwise.flag"


class Duration(float):
    """Seconds of system time; written as `0.5`, `500ms`, `90s`, `5m`, `2h` or `7d`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the duration that `text` spells; raises `ValueError`."""
        match = _DURATION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a duration; write seconds, or a number and ms, s, m, h or d, such as 5m")
        return cls(float(match[1]) * _UNITS[match[2] or "s"])

    def __str__(self) -> str:
        """Return it in the largest unit in which it is a whole number."""
        if not self:
            return "0s"
        for unit in ("d", "h", "m", "s", "ms"):
            count = self / _UNITS[unit]
            if math.isclose(count, round(count), rel_tol=1e-12):
                return f"{round(count)}{unit}"
        return f"{float(self)!r}s"


@dataclass(frozen=True, slots=True)
class FlagInfo:
    """What is known of one flag."""

    name: str
    kind: type[Any]
    """`bool`, `int`, `float`, `str` or `Duration`."""
    default: Any
    text: str
    """What it does, in one sentence."""
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    changes_answer: bool = False
    """Whether the system may answer otherwise with it; every other flag must leave the answer as it is."""
    leaves_out: frozenset[tuple[str, str]] = frozenset()
    """Paragraphs of prompts, as (step, first line), that change nothing in the answer and that this flag leaves out."""

    def wanted(self) -> str:
        """Return in words what a value must be."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        kind = words.get(self.kind, "a duration such as 90s or 5m")
        if self.least is not None and self.most is not None:
            return f"{kind} from {self._shown(self.least)} to {self._shown(self.most)}"
        if self.least is not None:
            return f"{kind} of at least {self._shown(self.least)}"
        return kind if self.most is None else f"{kind} of at most {self._shown(self.most)}"

    def example(self) -> str:
        """Return a value as it may be written."""
        return "true" if self.kind is bool else show_value(self.default)

    def parse(self, text: str) -> Any:
        """Return the value that `text` spells; raises `ValueError`."""
        if self.kind is bool:
            if text.lower() not in _TRUE | _FALSE:
                raise ValueError(text)
            return text.lower() in _TRUE
        value = Duration.parse(text) if self.kind is Duration else self.kind(text)
        self.check(value)
        return value

    def check(self, value: Any) -> None:
        """Raise `ValueError` where `value` is not what the flag takes."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        number = whole or (isinstance(value, float) and math.isfinite(value))
        fits: dict[type[Any], bool] = {bool: isinstance(value, bool), int: whole, str: isinstance(value, str)}
        good = fits.get(self.kind, number)
        if good and self.choices:
            good = value in self.choices
        if good and isinstance(value, int | float):
            good = (self.least is None or value >= self.least) and (self.most is None or value <= self.most)
        if not good:
            raise ValueError(f"{self.name} is {self.wanted()}, this is {value!r}")

    def _shown(self, bound: float) -> str:
        return str(Duration(bound)) if self.kind is Duration else f"{bound:g}"


def flag(
    text: str,
    *,
    default: T,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    changes_answer: bool = False,
    leaves_out: frozenset[tuple[str, str]] = frozenset(),
) -> T:
    """Return a field of a `Flags` class; the arguments are the fields of `FlagInfo`."""
    about = {
        "text": text, "least": least, "most": most, "choices": choices, "changes_answer": changes_answer,
        "leaves_out": leaves_out,
    }  # fmt: skip
    made: T = dataclasses.field(default=default, metadata={_ABOUT: about})
    return made


@dataclass(frozen=True, slots=True)
class Flags:
    """Base class of a system's flags; all at their defaults is the old behaviour."""

    def __post_init__(self) -> None:
        for info in flags_of(type(self)):
            info.check(getattr(self, info.name))


def flags_of(flags: type[Any]) -> tuple[FlagInfo, ...]:
    """Return what is known of each flag, in order."""
    found = _KNOWN.get(flags)
    if found is None:
        hints = typing.get_type_hints(flags)
        fields = dataclasses.fields(flags)
        found = tuple(
            FlagInfo(f.name, hints[f.name], f.default, **f.metadata.get(_ABOUT, {"text": ""})) for f in fields
        )
        for info in found:
            if info.kind not in {bool, int, float, str, Duration}:
                raise TypeError(f"flag {info.name!r} is {info.kind!r}; take bool, int, float, str or Duration")
        _KNOWN[flags] = found
    return found


_KNOWN: Final[dict[type[Any], tuple[FlagInfo, ...]]] = {}


def load_presets(path: Path, flags: type[F]) -> Mapping[str, F]:
    """Return the presets of a YAML file by name, in the file's order: `name: {flag: value, ...}`.

    Raises:
        InputError: names file, line and remedy: an unknown flag, a value of the wrong type, a duplicate preset.
    """
    presets: Mapping[str, F] = strict_yaml.load(path, Mapping[str, flags])  # type: ignore[valid-type, type-abstract]
    if not presets:
        raise InputError(f"{path}: no preset; write one, such as 'baseline: {{}}'")
    return presets


def parse_setting(flags: type[Any], setting: str, *, system: str) -> tuple[str, Any]:
    """Return name and value of `NAME=VALUE`.

    Raises:
        InputError: names the flag, what it takes, and the nearest flag of `system` where there is none of that name.
    """
    known = {info.name: info for info in flags_of(flags)}
    name, equals, text = setting.partition("=")
    if name not in known:
        raise InputError(f"--set {setting}: unknown flag {name!r} of {system}; {nearest(name, known)}")
    info = known[name]
    problem = f"--set {setting}: {name} is {info.wanted()}; write {name}={info.example()}"
    if not equals:
        raise InputError(problem)
    try:
        return name, info.parse(text)
    except ValueError:
        raise InputError(problem) from None


def show_value(value: object) -> str:
    """Return a flag's value as it is written in a setting."""
    return str(value).lower() if isinstance(value, bool) else str(value)
