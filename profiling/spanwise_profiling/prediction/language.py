"""Changes in words, one a line: `cache market_data at 80 %`, `parallel agent=*_analyst`, `duration tool x0.5`.

A change is a verb, a selection (`selection`) and what is to hold of it. The same lines are given on the command line,
in a YAML file and to `change_of`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise.errors import InputError, nearest
from spanwise_profiling.prediction import changes as ch
from spanwise_profiling.prediction.selection import either_of, selection_of
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from spanwise_profiling.prediction.changes import Change
    from spanwise_profiling.prediction.selection import Selection

_UNITS: Final = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_NUMBER: Final = r"\d+(?:\.\d+)?"
_TIME: Final = rf"{_NUMBER} ?(?:ms|s|min|h)"
_TOKENS: Final = r"at (?P<tokens>\d{1,10}) tokens?|x ?(?P<factor>NUMBER)"
_LINE: Final = "|"
"""Between the lines of spans that run side by side."""
_MOST: Final = 1e9


@dataclass(frozen=True, slots=True)
class _Verb:
    pattern: re.Pattern[str]
    """Of what follows the selection."""
    make: Callable[[Selection, str, re.Match[str]], Change]
    example: str


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("TIME", _TIME).replace("NUMBER", _NUMBER))


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(rf"([+-]?{_NUMBER}) ?(ms|s|min|h)", text.strip()).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


def _duration(selection: Selection, text: str, found: re.Match[str]) -> Change:
    if found["factor"]:
        return ch.Duration(selection, text, factor=float(found["factor"]))
    return ch.Duration(selection, text, seconds=_seconds(found["seconds"].replace("- ", "-").replace("+ ", "+")))


def _cache(selection: Selection, text: str, found: re.Match[str]) -> Change:
    rate = None if found["rate"] is None else float(found["rate"]) / 100
    if rate is not None and rate > 1:
        raise InputError(f"{text}: a hit rate is at most 100 %")
    return ch.Cache(selection, text, rate, _seconds(found["hit"]) if found["hit"] else 0.0)


def _cap(selection: Selection, text: str, found: re.Match[str]) -> Change:
    return ch.Cap(selection, text, _positive(found["count"], text))


def _rate(selection: Selection, text: str, found: re.Match[str]) -> Change:
    unit = {"minute": "min", "second": "s", "hour": "h"}.get(found["unit"], found["unit"])
    return ch.RateLimit(selection, text, _positive(found["count"], text), _UNITS[unit])


def _stop(selection: Selection, text: str, found: re.Match[str]) -> Change:
    return ch.Stop(selection, text, _positive(found["count"], text))


def _tokens(make: Callable[..., Change], selection: Selection, text: str, found: re.Match[str]) -> Change:
    if found["factor"]:
        return make(selection, text, factor=float(found["factor"]))
    return make(selection, text, tokens=_positive(found["tokens"], text))


def _model(selection: Selection, text: str, found: re.Match[str]) -> Change:
    price = (float(found["input"]), float(found["output"])) if found["input"] else None
    return ch.Model(selection, text, _seconds(found["first"]), _seconds(found["token"]), price)


def _tier(selection: Selection, text: str, found: re.Match[str]) -> Change:
    factor = float(found["factor"])
    if factor < 1:
        raise InputError(f"{text}: a tier is slower, such as x1.5; of a faster model say: {VERBS['model'].example}")
    return ch.Tier(selection, text, factor, float(found["price"]))


def _hedge(selection: Selection, text: str, found: re.Match[str]) -> Change:
    percentile = float(found["percentile"])
    if not 50 <= percentile < 100:  # noqa: PLR2004 - a hedge below the median doubles the load
        raise InputError(f"{text}: hedge after p50 or later, below p100")
    return ch.Hedge(selection, text, percentile)


def _retry(selection: Selection, text: str, found: re.Match[str]) -> Change:
    if found["factor"]:
        return ch.Retry(selection, text, factor=float(found["factor"]))
    return ch.Retry(selection, text, seconds=_seconds(found["seconds"]))


def _positive(digits: str, text: str) -> int:
    number = int(digits)
    if not 1 <= number <= _MOST:
        raise InputError(f"{text}: {digits} is no number from 1 on")
    return number


VERBS: Final[Mapping[str, _Verb]] = {
    "duration": _Verb(
        _pattern(r"x ?(?P<factor>NUMBER)|(?P<seconds>[+-] ?TIME)"), _duration, "duration price_trend x0.5"
    ),
    "parallel": _Verb(
        _pattern(""), lambda selection, text, _: ch.Parallel(selection, text), "parallel agent=*_analyst"
    ),
    "remove": _Verb(_pattern(""), lambda selection, text, _: ch.Remove(selection, text), "remove role=critic"),
    "cache": _Verb(
        _pattern(r"(?:at (?P<rate>NUMBER) ?%)?(?: ?hit (?P<hit>TIME))?"), _cache, "cache market_data at 80 %"
    ),
    "cap": _Verb(_pattern(r"at (?P<count>\d{1,10})"), _cap, "cap chat at 4"),
    "rate": _Verb(
        _pattern(r"at (?P<count>\d{1,10}) ?(?:/|a|per) ?(?P<unit>min(?:ute)?|s(?:econd)?|h(?:our)?)"),
        _rate,
        "rate chat at 60/min",
    ),
    "stop": _Verb(_pattern(r"after (?P<count>\d{1,10})"), _stop, "stop step=debate after 2"),
    "output": _Verb(_pattern(_TOKENS), partial(_tokens, ch.Output), "output chat at 200 tokens"),
    "input": _Verb(_pattern(_TOKENS), partial(_tokens, ch.Input), "input chat x0.5"),
    "model": _Verb(
        _pattern(
            r"first (?P<first>TIME),? (?P<token>TIME) (?:a|per) token"
            r"(?:,? price (?P<input>NUMBER) ?/ ?(?P<output>NUMBER))?"
        ),
        _model,
        "model chat first 0.4 s, 8 ms a token, price 0.15/0.6",
    ),
    "tier": _Verb(_pattern(r"x ?(?P<factor>NUMBER),? price x ?(?P<price>NUMBER)"), _tier, "tier chat x1.5, price x0.5"),
    "hedge": _Verb(_pattern(r"after p(?P<percentile>NUMBER)"), _hedge, "hedge retrieval after p95"),
    "retry": _Verb(_pattern(r"after (?:(?P<seconds>TIME)|x ?(?P<factor>NUMBER))"), _retry, "retry chat after 0.5 s"),
}
"""What can be changed, and how it is said."""


def change_of(text: str) -> Change:
    """Return the change that `text` asks for.

    Raises:
        InputError: it is not understood; names the verb's form, or the nearest verb.
    """
    shown = printable(text.strip())
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError(f"change {shown!r}: {error}; close the quotation marks") from None
    if not words:
        raise InputError(f"a change is empty; say what to change: {VERBS['cache'].example}")
    verb = VERBS.get(words[0])
    if verb is None:
        raise InputError(f"change {shown!r}: unknown verb {words[0]!r}; {nearest(words[0], VERBS)}")
    if words[0] == "parallel" and _LINE in words:
        return _lines(words[1:], " ".join(text.split()))
    for split in range(2, len(words) + 1):
        found = verb.pattern.fullmatch(" ".join(words[split:]))
        if found:
            return verb.make(selection_of(words[1:split]), " ".join(text.split()), found)
    raise InputError(f"change {shown!r}: not understood; write it as in: {verb.example}")


def _lines(words: list[str], text: str) -> Change:
    lines: list[list[str]] = [[]]
    for word in words:
        if word == _LINE:
            lines.append([])
        else:
            lines[-1].append(word)
    if not all(lines):
        raise InputError(f"change {printable(text)!r}: a line is empty; write it as in: parallel agent=a,b | agent=c")
    selections = tuple(map(selection_of, lines))
    return ch.Parallel(either_of(selections), text, selections)


def changes_in(path: Path) -> list[Change]:
    """Return the changes of a YAML file: a list of lines under `changes`.

    Raises:
        InputError: it cannot be read, or is no such list; names the entry.
    """
    import yaml  # noqa: PLC0415 - only for a file

    form = f"{path}: give a list under `changes`, a line each, such as: - {VERBS['cache'].example}"
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())}); {form}") from None
    known = cast("dict[str, object]", document) if isinstance(document, dict) else {}
    lines = known.get("changes")
    if not isinstance(lines, list) or len(known) != 1:
        raise InputError(form)
    found: list[Change] = []
    for number, line in enumerate(cast("list[object]", lines), start=1):
        if not isinstance(line, str):
            raise InputError(f"{path}: change {number} is no line of text; quote it")
        try:
            found.append(change_of(line))
        except InputError as error:
            raise InputError(f"{path}: change {number}: {error}") from None
    return found
