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
from typing import Any, Final

import yaml

from spanwise.config import strict_yaml
from spanwise.config.run_budget import RunBudget  # noqa: TC001 - likewise
from spanwise.errors import InputError
from spanwise_alerts.watches import (  # - likewise
    AgentSecondsBudget,
    CacheBudget,
    CallSecondsBudget,
    CallShareBudget,
    DecodeRateBudget,
    DurationBudget,
    MeanBudget,
    Objective,
    PromptCacheBudget,
    Regression,
    StreamSecondsBudget,
    SuccessBudget,
    TokenRateBudget,
    WaitBudget,
    Watch,
    check_owner,
    seconds_of,
)

__all__ = [
    "SHIPPED",
    "VERSION",
    "AgentBudgets",
    "AgentSecondsBudget",
    "Budgets",
    "CacheBudget",
    "CallSecondsBudget",
    "CallShareBudget",
    "DecodeRateBudget",
    "DurationBudget",
    "Links",
    "MeanBudget",
    "ModelBudgets",
    "Objective",
    "PromptCacheBudget",
    "Regression",
    "StreamSecondsBudget",
    "SuccessBudget",
    "TokenRateBudget",
    "ToolBudgets",
    "WaitBudget",
    "Watch",
    "WorkflowBudgets",
    "load_budgets",
    "read_budgets",
    "seconds_of",
]

VERSION: Final = 1
SHIPPED: Final = Path(__file__).with_name("budgets.yaml")
"""The budget file that comes with spanwise."""


@dataclass(frozen=True, kw_only=True)
class AgentBudgets:
    """The budgets of one agent of a workflow."""

    duration: AgentSecondsBudget | None = None
    """Of an invocation."""
    error_rate: CallShareBudget | None = None
    """Invocations that fail."""


@dataclass(frozen=True, kw_only=True)
class ToolBudgets:
    """The budgets of one tool of a workflow."""

    duration: CallSecondsBudget | None = None
    """Of a call."""
    error_rate: CallShareBudget | None = None
    """Calls that fail."""


@dataclass(frozen=True, kw_only=True)
class ModelBudgets:
    """The budgets of one model that a workflow calls."""

    duration: CallSecondsBudget | None = None
    """Of a call."""
    error_rate: CallShareBudget | None = None
    """Calls that fail, retries included."""
    time_to_first_chunk: StreamSecondsBudget | None = None
    chunk_gap: StreamSecondsBudget | None = None
    """Mean time between the chunks of a stream."""
    decode_tokens_per_second: DecodeRateBudget | None = None
    prompt_cache_hit_rate: PromptCacheBudget | None = None


@dataclass(frozen=True, kw_only=True)
class WorkflowBudgets:
    """The budgets of one workflow; what is left out is not watched."""

    owner: str | None = None
    """Who is told of its alerts, where a budget names nobody; the file's owner where it is left out."""
    run: RunBudget | None = None
    """What a single run may take; judged by `spanwise gate`, and by no alert."""
    duration: DurationBudget | None = None
    """How long a run may take."""
    tokens: MeanBudget | None = None
    """Input and output tokens of a run."""
    cost: MeanBudget | None = None
    """Of a run, in the currency of the price table."""
    tokens_per_second: TokenRateBudget | None = None
    """Of runs; only for a team that wants this rate, because it falls when a prompt gets shorter."""
    success_rate: SuccessBudget | None = None
    """Runs that end without an error."""
    error_rate: CallShareBudget | None = None
    """Model calls that fail."""
    retries: CallShareBudget | None = None
    """Failed attempts that were tried again, for each model call."""
    time_to_first_chunk: StreamSecondsBudget | None = None
    """Of all models."""
    chunk_gap: StreamSecondsBudget | None = None
    """Mean time between the chunks of a stream, of all models."""
    decode_tokens_per_second: DecodeRateBudget | None = None
    """Of calls of all models."""
    cache_hit_rate: CacheBudget | None = None
    prompt_cache_hit_rate: PromptCacheBudget | None = None
    waits: WaitBudget | None = None
    """Shares of the wall clock that may be spent waiting."""
    agents: Mapping[str, AgentBudgets] = field(default_factory=dict[str, AgentBudgets])
    """By agent name."""
    tools: Mapping[str, ToolBudgets] = field(default_factory=dict[str, ToolBudgets])
    """By tool name."""
    models: Mapping[str, ModelBudgets] = field(default_factory=dict[str, ModelBudgets])
    """By the name of the model that is asked for."""
    objectives: Mapping[str, Objective] = field(default_factory=dict[str, Objective])
    """By a name of your own."""
    time_scale: float | None = None
    """System seconds in a real second of these runs; None means the file's `time_scale`."""

    def __post_init__(self) -> None:
        check_owner(self.owner)
        if self.time_scale is not None:
            _over_zero("time_scale", self.time_scale)


@dataclass(frozen=True, kw_only=True)
class Links:
    """Where the links in an alert lead: base addresses without a slash at the end."""

    jaeger: str = "http://127.0.0.1:16686"
    grafana: str | None = None
    """Left out where there is no Grafana; then alerts have no dashboard link."""
    runbook: str = "alerts/runbooks"
    """The folder with a page for each alert, `<alert>.md`: a web address, or a path in the repository."""

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
    owner: str | None = None
    """Who is told of alerts, where neither a budget nor its workflow names anybody."""
    links: Links = field(default_factory=Links)
    time_scale: float = 1.0
    """System seconds in a real second, as in `spanwise.time.scale`, where a workflow says nothing else.

    Used for links into Jaeger only.
    """

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise ValueError(f"version is {self.version}; write version: {VERSION}")
        _over_zero("time_scale", self.time_scale)
        check_owner(self.owner)
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
