"""The campaign data: a CSV file of 200,000 rows made by a seed, and what is true of it.

Rows are in the order of their months and equally long, as exports of data warehouses often are, so that a reader finds
months and columns without reading the others. What is true of the file is worked out row by row with the standard
library, and stands beside it: neither the tools' code nor a model has a part in it.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

ROWS: Final = 200_000
SEED: Final = 20_130_301
CSV: Final = "campaigns.csv"
TRUTH: Final = "truth.json"
_MONTHS: Final = 12

CHOICES: Final[dict[str, tuple[tuple[str, ...], tuple[float, ...]]]] = {
    "channel": (("search", "social", "email", "display", "video", "partner"), (1.5, 1.1, 1.9, 0.6, 0.9, 1.0)),
    "segment": (("singles", "couples", "families", "seniors", "students"), (0.9, 1.0, 1.6, 1.2, 0.7)),
    "region": (("north", "south", "east", "west", "islands"), (1.0, 1.25, 0.8, 1.1, 0.9)),
    "device": (("phone", "laptop", "tablet"), (1.0, 1.3, 0.8)),
    "customer": (("new", "repeat"), (0.8, 1.4)),
    "weekday": (("mon", "tue", "wed", "thu", "fri", "sat", "sun"), (1.0, 1.05, 1.1, 1.0, 0.95, 0.8, 0.85)),
    "campaign": (tuple(f"c{n:02}" for n in range(1, 41)), tuple(0.7 + (n * 7 % 40) / 50 for n in range(1, 41))),
}
"""Columns of text: their values, and how much better than usual a row with each of them sells."""


def make(folder: Path) -> None:
    """Write the file and what is true of it into `folder`."""
    write_csv(folder / CSV, ROWS, SEED)
    (folder / TRUTH).write_text(json.dumps(truth_of(folder / CSV)), encoding="utf-8")


def write_csv(path: Path, rows: int, seed: int) -> None:
    """Write `rows` rows drawn from `seed`; the same numbers give the same bytes."""
    draws = np.random.default_rng(seed)
    columns: dict[str, Any] = {"row": _digits(np.arange(1, rows + 1), 7)}
    lift = np.ones(rows)
    for name, (values, factors) in CHOICES.items():
        chosen = draws.integers(0, len(values), rows)
        width = max(map(len, values))
        columns[name] = np.array([value.ljust(width) for value in values], dtype="S")[chosen]
        lift *= np.array(factors)[chosen]
    month = np.sort(draws.integers(1, _MONTHS + 1, rows))
    age = draws.integers(0, _MONTHS, rows)
    impressions = draws.integers(500, 20_000, rows)
    clicks = (impressions * draws.uniform(0.01, 0.05, rows) * (1 - age / 40)).astype(np.int64)
    conversions = (clicks * draws.uniform(0.02, 0.08, rows) * lift).astype(np.int64)
    spend = (impressions * draws.uniform(0.004, 0.012, rows) * 100).astype(np.int64)
    revenue = (conversions * draws.uniform(4, 16, rows) * (1 + month / 60) * 100).astype(np.int64)
    columns |= {"month": _digits(month, 2), "creative_age": _digits(age, 2), "impressions": _digits(impressions, 6)}
    columns |= {"clicks": _digits(clicks, 5), "conversions": _digits(conversions, 5)}
    columns |= {"spend_cents": _digits(spend, 7), "revenue_cents": _digits(revenue, 8)}
    columns["landing_page"] = np.array([f"/offer/{n:03}".encode() for n in range(500)])[draws.integers(0, 500, rows)]
    columns["note"] = np.repeat([b"imported"], rows)
    parts: list[Any] = []
    for column in columns.values():
        parts += [column.view(np.uint8).reshape(rows, -1), _same(b",", rows)]
    parts[-1] = _same(b"\n", rows)
    with path.open("wb") as file:
        file.write(",".join(columns).encode() + b"\n")
        file.write(np.hstack(parts).tobytes())


def _same(byte: bytes, rows: int) -> Any:
    """Return a column of one byte."""
    return np.repeat(np.frombuffer(byte, np.uint8), rows)[:, None]


def _digits(numbers: Any, width: int) -> Any:
    """Return numbers as text of so many digits, zeros in front."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    digits = (numbers[:, None] // powers) % 10 + ord("0")
    return np.ascontiguousarray(digits.astype(np.uint8)).view(f"S{width}")[:, 0]


Truth = dict[str, dict[str, dict[str, dict[str, int]]]]
"""Sums: column, value, month, figure."""


def truth_of(path: Path) -> Truth:
    """Return the sums of all figures by each value of each column and month, read row by row."""
    figures = ("impressions", "clicks", "conversions", "spend_cents", "revenue_cents")
    found: Truth = {column: {} for column in (*CHOICES, "month", "creative_age")}
    with path.open(encoding="ascii", newline="") as file:
        for row in csv.DictReader(file):
            amounts = [(figure, int(row[figure])) for figure in figures]
            for column, values in found.items():
                months = values.setdefault(row[column].strip(), {})
                sums = months.setdefault(row["month"], dict.fromkeys(figures, 0))
                for figure, amount in amounts:
                    sums[figure] += amount
    return found
