"""Sets of runs as `spanwise compare` takes them: runs, files, folders and filters, with commas between them.

`last,last~1` are two runs, `before.jsonl` is all runs of a file, `preset=baseline,since=7d` is every recorded run that
passes both filters, and `before.jsonl,workflow=desk` is every run of the file that passes one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise import conventions as c
from spanwise.errors import InputError, nearest
from spanwise_profiling.filters import moment_ns
from spanwise_profiling.load import Recording, load, open_run, require_runs, select
from spanwise_profiling.sources import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from spanwise_profiling.runs import Run

    Test = Callable[[Run], bool]

_FILTER: Final = re.compile(r"(?P<name>[A-Za-z_][\w.]*)=(?P<value>.*)", re.DOTALL)
_OWN: Final = ("workflow", "preset", "service", "seed", "task", "since", "until")


@dataclass(slots=True)
class Library:
    """Recordings that were read, each once.

    Args:
        journal: the folder that runs are looked for in where no file is named.
        now: what an age such as `7d` counts back from.
        progress: told in words how much of something big was read.
    """

    journal: Path
    now: datetime
    progress: Callable[[str], None] | None = None
    _read: dict[Path, Recording] = field(default_factory=dict["Path", "Recording"])

    def runs(self, text: str) -> list[Run]:
        """Return the runs that `text` names, each once, the oldest first.

        Raises:
            InputError: a reference names no run or several, or a filter is not understood.
            UnavailableError: a server cannot be reached.
        """
        words = [text] if Path(text).exists() else [word for word in text.split(",") if word]
        if not words:
            raise InputError("a set of runs is empty; give runs (last,last~1), a file, or filters (preset=baseline)")
        filters = [match for word in words if not Path(word).exists() and (match := _FILTER.fullmatch(word))]
        named = [word for word in words if all(match[0] != word for match in filters)]
        found = [run for word in named for run in self._named(word)] if named else list(self._journal().runs)
        tests = self._tests({match["name"]: match["value"] for match in filters}, found)
        passed = {run.run_id: run for run in found if all(test(run) for test in tests)}
        return sorted(passed.values(), key=lambda run: run.start_ns)

    def everything(self) -> list[Run]:
        """Return all runs of the journal, the oldest first; none where it holds none."""
        return sorted(self._recording(self.journal).runs, key=lambda run: run.start_ns)

    @property
    def warnings(self) -> list[str]:
        """What could not be read, a line each."""
        return [warning for recording in self._read.values() for warning in recording.warnings]

    def _named(self, word: str) -> Sequence[Run]:
        if Path(word).exists():
            return self._recording(Path(word)).runs
        if servers.is_server(word):
            run, _ = open_run(word, self.journal, (), self.progress)
            return [run]
        return [select(word, self._journal().runs)]

    def _journal(self) -> Recording:
        recording = self._recording(self.journal)
        require_runs(recording)
        return recording

    def _recording(self, path: Path) -> Recording:
        if path not in self._read:
            self._read[path] = load(path)
        return self._read[path]

    def _tests(self, filters: Mapping[str, str], runs: Iterable[Run]) -> list[Test]:
        flags = {name for run in runs for name in flags_of(run)}
        unknown = [name for name in filters if name not in (*_OWN, *flags) and "." not in name]
        if unknown:
            allowed = nearest(unknown[0], {*_OWN, *flags})
            raise InputError(f"{unknown[0]}={filters[unknown[0]]}: unknown filter; {allowed}, or an attribute's name")
        changed = any(name in flags for name in filters)
        return [self._test(name, value, changed=changed) for name, value in filters.items()]

    def _test(self, name: str, value: str, *, changed: bool) -> Test:
        if name in ("since", "until"):
            moment = moment_ns(value, self.now, f"{name}=")
            return (lambda run: run.start_ns >= moment) if name == "since" else (lambda run: run.start_ns < moment)
        if name == "workflow":
            return lambda run: value in (run.workflow, run.title)
        if name == "preset":
            # A run with other flags than its preset's is no run of the preset, unless flags are asked for.
            return lambda run: run.variant == value or (changed and (run.variant or "").partition(",")[0] == value)
        if name == "service":
            return lambda run: run.service == value
        attribute = {"seed": c.RUN_SEED, "task": c.RUN_TASK}.get(name, name)
        return lambda run: value in _texts(run, attribute)


def flags_of(run: Run) -> dict[str, object]:
    """Return the flags that are recorded of a run; none where they are no JSON object."""
    text = run.root.attributes.get(c.RUN_FLAGS)
    try:
        flags: Any = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return cast("dict[str, object]", flags) if isinstance(flags, dict) else {}


def _texts(run: Run, name: str) -> set[str]:
    """Return what a run has under a name, among its flags and the attributes of its workflow and its resource."""
    places = (flags_of(run), run.root.attributes, run.root.resource)
    return {_text(place[name]) for place in places if name in place}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
