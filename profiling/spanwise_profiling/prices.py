"""What tokens cost, from a dated table that can be replaced; what is not in it is unknown, never free.

TOML, because its numbers and dates have types and Python reads it. Of several entries for a model the newest that is
not after the day of the call holds, so that an old run keeps its price when a new one is added.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise.errors import InputError, nearest
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DATED: Final = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
_NANOSECONDS: Final = 1_000_000_000
_REQUIRED: Final = ("models", "since", "input", "output", "source")
_KNOWN: Final = (*_REQUIRED, "cached_input", "cache_write")
_CURRENCY: Final = re.compile(r"[^\W\d_]{1,8}|[€$£¥₹₩]")
_MOST: Final = 10**15


@dataclass(frozen=True, slots=True)
class Price:
    """What the tokens of a model cost from a day on, in `Prices.currency` a token."""

    since: date
    input: float
    cached_input: float | None
    """Of input tokens that the provider had in its prompt cache; None where it states none."""
    output: float
    source: str
    cache_write: float | None = None
    """Of input tokens that were written into its prompt cache; None where they cost as any others."""

    def of(self, input_tokens: int, cached_tokens: int, output_tokens: int, written_tokens: int = 0) -> float | None:
        """Return what a call cost; cached and written tokens are part of the input.

        None where tokens came from the cache and their price is not known.
        """
        if cached_tokens and self.cached_input is None:
            return None
        cached = min(cached_tokens, input_tokens)
        written = min(written_tokens, input_tokens - cached)
        cost = (input_tokens - cached - written) * self.input + output_tokens * self.output
        cost += written * (self.input if self.cache_write is None else self.cache_write)
        return cost + cached * (self.cached_input or 0.0)


@dataclass(frozen=True, slots=True)
class Prices:
    """A table of prices."""

    currency: str
    entries: Mapping[str, Sequence[Price]]
    """Model to its prices, newest first."""

    def of(self, model: str, time_ns: int) -> Price | None:
        """Return the price of `model` (also with a date at its end) at a time in nanoseconds since 1970, or None."""
        day = datetime.fromtimestamp(time_ns / _NANOSECONDS, UTC).date()
        known = self.entries.get(model) or self.entries.get(_DATED.sub("", model), ())
        return next((price for price in known if price.since <= day), None)


def load(path: str | Path | None = None) -> Prices:
    """Return the table in `path`, or the one that spanwise comes with.

    Raises:
        InputError: the file cannot be read or is no such table; names the entry.
    """
    shown = "prices.toml" if path is None else str(path)
    try:
        text = _shipped() if path is None else Path(path).read_text(encoding="utf-8")
        table: dict[str, Any] = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:  # also of numbers of thousands of digits
        raise InputError(f"{shown}: cannot be read as a table of prices ({error}); docs/usage.md shows one") from None
    entries: dict[str, list[Price]] = {}
    tokens, prices = table.get("tokens"), table.get("price")
    currency = table.get("currency")
    if not isinstance(tokens, int) or not 1 <= tokens <= _MOST or not isinstance(currency, str):
        raise InputError(f'{shown}: give currency = "USD" and tokens = 1_000_000 (what prices are for)')
    if not _CURRENCY.fullmatch(currency):
        raise InputError(
            f'{shown}: currency is {printable(currency)!r}; give a code such as "USD" or a sign such as "€"'
        )
    if not isinstance(prices, list) or not prices:
        raise InputError(f"{shown}: holds no [[price]]; give one for each model")
    for number, entry in enumerate(cast("list[dict[str, Any]]", prices), start=1):
        price = _price(entry, tokens, f"{shown}: price {number}")
        for model in cast("list[str]", entry["models"]):
            entries.setdefault(model, []).append(price)
    ordered = {model: tuple(sorted(known, key=lambda one: one.since, reverse=True)) for model, known in entries.items()}
    return Prices(currency, ordered)


def _shipped() -> str:
    return files("spanwise_profiling").joinpath("prices.toml").read_text(encoding="utf-8")


def _price(entry: Mapping[str, Any], tokens: int, where: str) -> Price:
    for name in entry:
        if name not in _KNOWN:
            raise InputError(f"{where}: unknown key {name!r}; {nearest(name, _KNOWN)}")
    for name in _REQUIRED:
        if name not in entry:
            raise InputError(f"{where}: {name} is missing")
    models, since = entry["models"], entry["since"]
    if not isinstance(models, list) or not all(isinstance(one, str) for one in cast("list[object]", models)):
        raise InputError(f"{where}: models is no list of names")
    if type(since) is not date:
        raise InputError(f"{where}: since is no day; write it as 2025-04-14, without quotes")
    cached, write = entry.get("cached_input"), entry.get("cache_write")
    return Price(
        since=since,
        input=_amount(entry["input"], where, "input") / tokens,
        cached_input=None if cached is None else _amount(cached, where, "cached_input") / tokens,
        output=_amount(entry["output"], where, "output") / tokens,
        source=str(entry["source"]),
        cache_write=None if write is None else _amount(write, where, "cache_write") / tokens,
    )


def _amount(value: object, where: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST:
        raise InputError(f"{where}: {name} is no amount of at least 0")
    return float(value)
