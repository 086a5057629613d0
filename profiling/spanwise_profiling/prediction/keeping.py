"""Predictions, kept beside the runs, and what came of them when the change was made and measured.

One file of JSON lines: a line for each prediction, and one for each that was scored. A line that cannot be read is
left alone and told of.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise.errors import InputError, NothingMeasuredError
from spanwise_profiling.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from spanwise_profiling.prediction.result import Prediction
    from spanwise_profiling.runs import Run

FILE: Final = "predictions.jsonl"
_VERSION: Final = 1
_ID: Final = 8


@dataclass(frozen=True, slots=True)
class Kept:
    """A prediction as it was made; seconds."""

    id: str
    at_ns: int
    """When, nanoseconds since 1970."""
    workflow: str
    run_ids: tuple[str, ...]
    changes: tuple[str, ...]
    kinds: tuple[str, ...]
    """The verbs of its changes."""
    before: float
    after: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scored:
    """A prediction, and the median of runs with the change."""

    kept: Kept
    measured: float
    runs: int

    @property
    def off(self) -> float:
        """How far the prediction is from what was measured, as a share of that; more than 0: it was too careful."""
        return self.kept.after / self.measured - 1

    @property
    def is_within(self) -> bool:
        """Whether what was measured lies within the interval."""
        return self.kept.low <= self.measured <= self.kept.high


@dataclass(frozen=True, slots=True)
class Calibration:
    """How good predictions of one kind of change have been."""

    kind: str
    scored: int
    off: float
    """Median of how far off they were, whatever the direction."""
    within: int
    """How many had what was measured in their interval."""


class Scores:
    """The predictions of one journal.

    Args:
        folder: of the journal; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self.kept: dict[str, Kept] = {}
        self.scored: dict[str, Scored] = {}
        self.warnings: list[str] = []
        for number, line in enumerate(self._lines(), start=1):
            try:
                self._take(cast("dict[str, Any]", json.loads(line)))
            except (ValueError, TypeError, KeyError, AttributeError):
                self.warnings.append(f"{self._path}:{number}: no prediction that can be read; left alone")

    def _lines(self) -> list[str]:
        if not self._path.exists():
            return []
        try:
            return self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read ({error.strerror}); give it back or remove it") from None

    def _take(self, line: dict[str, Any]) -> None:
        if line["version"] > _VERSION:
            raise ValueError
        if "measured" in line:
            if float(line["measured"]) <= 0:
                raise ValueError
            kept = self.kept[line["id"]]
            self.scored[kept.id] = Scored(kept, float(line["measured"]), int(line["runs"]))
            return
        run_ids, changes, verbs = (tuple(map(str, line[name])) for name in ("run_ids", "changes", "kinds"))
        before, after, low, high = (float(line[name]) for name in ("before", "after", "low", "high"))
        kept = Kept(
            str(line["id"]),
            int(line["at_ns"]),
            str(line["workflow"]),
            run_ids,
            changes,
            verbs,
            before,
            after,
            low,
            high,
        )
        self.kept[kept.id] = kept

    def keep(self, found: Prediction, at_ns: int) -> Kept:
        """Write a prediction down and return it; the same changes for the same runs are kept once.

        Raises:
            OSError: the journal cannot be written.
        """
        changes = tuple(change.text for change in found.changes)
        digest = hashlib.sha256(json.dumps([sorted(found.run_ids), changes]).encode()).hexdigest()[:_ID]
        figure = found.median
        kept = Kept(
            digest, at_ns, found.workflow, found.run_ids, changes, found.kinds, figure.before, figure.after, figure.low,
            figure.high,
        )  # fmt: skip
        known = self.kept.get(kept.id)
        if known is None or (known.after, known.low, known.high) != (kept.after, kept.low, kept.high):
            self._write({"version": _VERSION, **asdict(kept)})
            self.kept[kept.id] = kept
        return kept

    def score(self, reference: str, runs: Sequence[Run]) -> Scored:
        """Write down what runs with a predicted change came to, and return both.

        Args:
            reference: the prediction: its id, the beginning of it, or `last`.
            runs: with the change made.

        Raises:
            InputError: no prediction or several are meant, or the runs are not of its workflow or are its own.
            NothingMeasuredError: no run ended without an error.
            OSError: the journal cannot be written.
        """
        kept = self._named(reference)
        if any(run.run_id in kept.run_ids for run in runs):
            raise InputError(f"prediction {kept.id} is made from these runs; name runs with the change")
        others = sorted({run.workflow for run in runs} - {kept.workflow})
        if others:
            raise InputError(f"prediction {kept.id} is of {kept.workflow}, and these runs are of {', '.join(others)}")
        seconds = [run.seconds for run in runs if run.error is None and run.state == "ended" and run.seconds]
        if not seconds:
            raise NothingMeasuredError(f"prediction {kept.id}: no run with the change ended without an error")
        scored = Scored(kept, median(seconds), len(seconds))
        if self.scored.get(kept.id) != scored:
            self._write({"version": _VERSION, "id": kept.id, "measured": scored.measured, "runs": scored.runs})
            self.scored[kept.id] = scored
        return scored

    def _named(self, reference: str) -> Kept:
        if not self.kept:
            raise InputError(f"{self._path}: no prediction is kept; make one with --change")
        if reference == "last":
            return max(self.kept.values(), key=lambda kept: kept.at_ns)
        meant = [kept for kept in self.kept.values() if kept.id.startswith(reference)]
        if len(meant) != 1:
            newest = sorted(self.kept.values(), key=lambda kept: -kept.at_ns)[:3]
            shown = ", ".join(f"{kept.id} ({printable('; '.join(kept.changes))})" for kept in meant[:3] or newest)
            said = "several predictions" if meant else "no such prediction; newest"
            raise InputError(f"--score {reference}: {said}: {shown}")
        return meant[0]

    def calibration(self, kinds: Iterable[str] | None = None) -> list[Calibration]:
        """Return how good predictions have been by kind of change, of `kinds` or of all that were scored."""
        every = sorted({kind for scored in self.scored.values() for kind in scored.kept.kinds})
        found: list[Calibration] = []
        for kind in every if kinds is None else sorted(set(kinds) & set(every)):
            of_kind = [scored for scored in self.scored.values() if kind in scored.kept.kinds]
            off = median(abs(scored.off) for scored in of_kind)
            found.append(Calibration(kind, len(of_kind), off, sum(scored.is_within for scored in of_kind)))
        return found

    def _write(self, line: dict[str, Any]) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(file, "ab") as out:
            out.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
