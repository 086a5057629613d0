"""The switches of the orchestrator's authors, in the YAML form of theirs, as flags of ours.

    performance:
      connection_pooling: {enabled: true, max_connections: 100, max_keepalive: 50}
      rate_limiting: {enabled: true, rpm_limit: 10000, tpm_limit: 2000000}

A section that is left out is switched off. `planner` and the last two keys of `parallel_execution` are ours: the
authors had no switch for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spanwise.config import strict_yaml
from spanwise_pipeline.systems.orchestrator.flags import OrchestratorFlags

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ConnectionPooling:
    """Connections to the model's provider."""

    enabled: bool = False
    max_connections: int = 100
    max_keepalive: int = 50


@dataclass(frozen=True, slots=True)
class RateLimiting:
    """The provider's limits, of which 90 % are used."""

    enabled: bool = False
    rpm_limit: int = 10_000
    tpm_limit: int = 2_000_000


@dataclass(frozen=True, slots=True)
class ParallelExecution:
    """Steps of a plan at the same time."""

    enabled: bool = False
    max_parallel_steps: int = 5
    max_parallel_llm_calls: int = 3
    dependency_analysis: bool = True
    """Without it no step is known to be independent of another, and all run one after another."""
    start_when_ready: bool = False
    start_while_planning: bool = False


@dataclass(frozen=True, slots=True)
class BatchEmbeddings:
    """Texts embedded together."""

    enabled: bool = False
    batch_size: int = 100


@dataclass(frozen=True, slots=True)
class Caching:
    """What is kept by its content."""

    tool_catalog: bool = False
    prompt_templates: bool = False


@dataclass(frozen=True, slots=True)
class BackgroundTasks:
    """What does not hold up what comes after it."""

    verification: bool = False
    memory_updates: bool = False


@dataclass(frozen=True, slots=True)
class PlannerSwitches:
    """How the planner works."""

    asynchronous: bool = False
    concise: bool = False


@dataclass(frozen=True, slots=True)
class Performance:
    """All sections."""

    connection_pooling: ConnectionPooling = field(default_factory=ConnectionPooling)
    rate_limiting: RateLimiting = field(default_factory=RateLimiting)
    parallel_execution: ParallelExecution = field(default_factory=ParallelExecution)
    batch_embeddings: BatchEmbeddings = field(default_factory=BatchEmbeddings)
    caching: Caching = field(default_factory=Caching)
    background_tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    planner: PlannerSwitches = field(default_factory=PlannerSwitches)

    def flags(self) -> OrchestratorFlags:
        """Return the flags that these switches mean; raises `ValueError` for a number that a flag does not take."""
        pooling, rates, steps = self.connection_pooling, self.rate_limiting, self.parallel_execution
        parallel = steps.enabled and steps.dependency_analysis
        return OrchestratorFlags(
            async_planner=self.planner.asynchronous,
            max_parallel_steps=steps.max_parallel_steps if parallel else 1,
            max_parallel_llm_calls=steps.max_parallel_llm_calls if steps.enabled else 0,
            ready_steps=parallel and steps.start_when_ready,
            stream_plan=parallel and steps.start_while_planning,
            embedding_batch=self.batch_embeddings.batch_size if self.batch_embeddings.enabled else 1,
            tool_catalogue_cache=self.caching.tool_catalog,
            prompt_template_cache=self.caching.prompt_templates,
            concise_texts=self.planner.concise,
            background_verification=self.background_tasks.verification,
            background_memory=self.background_tasks.memory_updates,
            kept_connections=pooling.max_keepalive if pooling.enabled else 0,
            max_connections=pooling.max_connections if pooling.enabled else 0,
            requests_per_minute=rates.rpm_limit if rates.enabled else 0,
            tokens_per_minute=rates.tpm_limit if rates.enabled else 0,
        )


@dataclass(frozen=True, slots=True)
class _File:
    performance: Performance = field(default_factory=Performance)

    def __post_init__(self) -> None:
        self.performance.flags()  # a number that no flag takes is refused with the file's line


def load_performance(path: str | Path) -> OrchestratorFlags:
    """Return the flags that a file of switches means.

    Raises:
        InputError: names file, line and remedy: an unknown switch, a value of the wrong type.
    """
    return strict_yaml.load(path, _File).performance.flags()
