"""The budget file: the only place that holds a threshold.

Alert rules and the lines drawn in Grafana are both made from it, so they cannot disagree. All seconds in it are system
seconds, as in the metrics (a run at speed 20 has its seconds multiplied by 20 before they are recorded); only links
into Jaeger, which keeps real time, divide by the workflow's `time_scale`, else the file's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - strict_yaml reads the types at run time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from spanwise.config import strict_yaml
from spanwise.config.run_budget import RunBudget  # noqa: TC001 - likewise
from spanwise.conventions import WORKFLOW_SECONDS_BUCKETS
from spanwise.errors import InputError

VERSION: Final = 1
SHIPPED: Final = Path(__file__).with_name("budgets.yaml")
"""The budget file that comes with spanwise."""

Severity = Literal["page", "ticket"]

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION: Final = re.compile(r"([0-9]+)([smhdw])")


def seconds_of(duration: str) -> int:
    """Return the seconds of a Prometheus duration of one unit, such as `30m`; raises `ValueError`."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration; write a whole number and one of s, m, h, d, w, such as 30m")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How a budget is watched: over which window, how long before an alert fires, and how loudly."""

    window: str = "30m"
    """The runs that count are those that ended within this time."""
    pending_for: str = "5m"
    """How long the budget must stay broken before the alert fires (`for` in a Prometheus rule)."""
    keep_firing_for: str = "10m"
    """How long the alert goes on after the budget is kept again, so that it does not flap."""
    severity: Severity = "ticket"

    def __post_init__(self) -> None:
        if seconds_of(self.window) == 0:
            raise ValueError("window is 0; write how far back to look, such as 30m")
        seconds_of(self.pending_for)
        seconds_of(self.keep_firing_for)


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Slower than before: p95 over `factor` times the p95 at `offset` ago."""

    factor: float
    offset: str = "1d"
    floor: float = 0.0
    """System seconds under which a p95 is never called a regression."""

    def __post_init__(self) -> None:
        if self.factor <= 1:
            raise ValueError(f"factor is {self.factor:g}; a regression needs a factor over 1, such as 1.5")
        if seconds_of(self.offset) == 0:
            raise ValueError("offset is 0; write how far back the baseline lies, such as 1d")
        if self.floor < 0:
            raise ValueError(f"floor is {self.floor:g}; write 0 or more seconds")


@dataclass(frozen=True, kw_only=True)
class DurationBudget(Watch):
    """How long a run may take, in system seconds."""

    p95: float | None = None
    """At most one run in twenty may take longer."""
    regression: Regression | None = None
    min_runs: int = 5
    """With fewer runs in the window nothing is said."""

    def __post_init__(self) -> None:
        Watch.__post_init__(self)
        if self.p95 is None and self.regression is None:
            raise ValueError("neither p95 nor regression is given; add one of them or remove 'duration'")
        highest = WORKFLOW_SECONDS_BUCKETS[-1]
        if self.p95 is not None and not 0 < self.p95 <= highest:
            raise ValueError(f"p95 is {self.p95:g}; write seconds over 0, up to {highest:g} (the histogram ends there)")
        _at_least_one("min_runs", self.min_runs)


@dataclass(frozen=True, kw_only=True)
class TokenRateBudget(Watch):
    """How many tokens (input and output) a run must get through a system second, on average over the window."""

    minimum: float
    min_runs: int = 5
    """With fewer runs in the window nothing is said."""

    def __post_init__(self) -> None:
        Watch.__post_init__(self)
        if self.minimum <= 0:
            raise ValueError(f"minimum is {self.minimum:g}; write tokens a second over 0")
        _at_least_one("min_runs", self.min_runs)


@dataclass(frozen=True, kw_only=True)
class CacheBudget(Watch):
    """Which share of cache lookups must be answered without doing the work again."""

    minimum: float | None = None
    """For all caches of the workflow together."""
    caches: Mapping[str, float] = field(default_factory=dict[str, float])
    """For single caches, by name."""
    min_lookups: int = 20
    """With fewer lookups in the window nothing is said."""

    def __post_init__(self) -> None:
        Watch.__post_init__(self)
        if self.minimum is None and not self.caches:
            raise ValueError("neither minimum nor caches is given; add one of them or remove 'cache_hit_rate'")
        given = {} if self.minimum is None else {"minimum": self.minimum}
        for name, share in {**given, **self.caches}.items():
            if not 0 < share <= 1:
                raise ValueError(f"{name} is {share:g}; write a share over 0, up to 1, such as 0.7 for 70 %")
        _at_least_one("min_lookups", self.min_lookups)


@dataclass(frozen=True, kw_only=True)
class WorkflowBudgets:
    """The budgets of one workflow; what is left out is not watched."""

    run: RunBudget | None = None
    """What a single run may take; judged by `spanwise gate`, and by no alert."""
    duration: DurationBudget | None = None
    tokens_per_second: TokenRateBudget | None = None
    cache_hit_rate: CacheBudget | None = None
    time_scale: float | None = None
    """System seconds in a real second of these runs; None means the file's `time_scale`."""

    def __post_init__(self) -> None:
        if self.time_scale is not None:
            _over_zero("time_scale", self.time_scale)


@dataclass(frozen=True, kw_only=True)
class Links:
    """Where the links in an alert lead: base addresses without a slash at the end."""

    jaeger: str = "http://127.0.0.1:16686"
    grafana: str | None = None
    """Left out where there is no Grafana; then alerts have no dashboard link."""
    runbook: str = "docs/alerts.md"
    """The page with a heading for each alert: a web address, or a path in the repository."""

    def __post_init__(self) -> None:
        for name, address in (("jaeger", self.jaeger), ("grafana", self.grafana)):
            if address is not None and not re.match(r"https?://[^/]", address):
                raise ValueError(f"{name} is {address!r}; write an address that starts with http:// or https://")
        for name, address in (("jaeger", self.jaeger), ("grafana", self.grafana), ("runbook", self.runbook)):
            if address is not None and (not address or address.endswith("/") or "{{" in address):
                raise ValueError(f"{name} is {address!r}; write it without a slash at the end, and not empty")


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """A whole budget file."""

    version: int
    workflows: Mapping[str, WorkflowBudgets] = field(default_factory=dict[str, WorkflowBudgets])
    """By workflow name (`gen_ai.workflow.name`)."""
    default: WorkflowBudgets | None = None
    """For every workflow that `workflows` does not name."""
    links: Links = field(default_factory=Links)
    time_scale: float = 1.0
    """System seconds in a real second, as in `spanwise.time.scale`, where a workflow says nothing else.

    Used for links into Jaeger only.
    """

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise ValueError(f"version is {self.version}; write version: {VERSION}")
        _over_zero("time_scale", self.time_scale)
        if "" in self.workflows:
            raise ValueError("a workflow has an empty name; write its name, or move its budgets under 'default'")


def load_budgets(path: str | Path = SHIPPED) -> Budgets:
    """Read a budget file; raises `InputError` with file, line and remedy."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; write one with: spanwise budgets init --output {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    return read_budgets(text, source=str(path))


def read_budgets(text: str, *, source: str) -> Budgets:
    """Read budgets from a text; `source` stands for the file in messages. Raises `InputError` likewise."""
    _refuse_newer(text, source)
    return strict_yaml.loads(text, Budgets, source=source)


def _refuse_newer(text: str, path: str) -> None:
    # Before the strict reading: a newer file's new keys would be called misspelt.
    try:
        document: Any = yaml.safe_load(text)
        version: Any = document["version"]
    except (yaml.YAMLError, TypeError, LookupError):
        return  # strict_yaml says what is wrong, and where
    if isinstance(version, int) and version > VERSION:
        raise InputError(
            f"{path}: budgets of version {version}, and this spanwise reads up to version {VERSION}; update spanwise"
        )


def _over_zero(name: str, scale: float) -> None:
    if scale <= 0:
        raise ValueError(f"{name} is {scale:g}; write a number over 0 (1.0: real time)")


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; write 1 or more (without traffic there is nothing to judge)")
