"""Every optimisation of the orchestrator is one flag; presets (presets.yaml) are sets of flags and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from spanwise_pipeline import Flags, flag


@dataclass(frozen=True, slots=True)
class OrchestratorFlags(Flags):
    """What is switched on; at its default, each flag is the old behaviour."""

    async_planner: bool = flag(
        "Memory, intent, route and plan are worked out at the same time (off: one after another).", default=False
    )
    max_parallel_steps: int = flag(
        "Most steps of the plan at once; above 1, level by level (1: one after another, in the plan's order).",
        default=1, least=1, most=1000,
    )  # fmt: skip
    max_parallel_llm_calls: int = flag("Most model calls at once (0: no bound).", default=0, least=0, most=1000)
    ready_steps: bool = flag(
        "A step starts when its own inputs are ready, and no level waits for the one before; needs max_parallel_steps.",
        default=False,
    )
    stream_plan: bool = flag(
        "Steps start while the rest of the plan is still being written; needs ready_steps.", default=False
    )
    embedding_batch: int = flag(
        "Most texts that one call embeds (1: a call for each text).", default=1, least=1, most=2048
    )
    tool_catalogue_cache: bool = flag(
        "The tool catalogue is cached by the content of its manifests (off: asked for at each use).", default=False
    )
    prompt_template_cache: bool = flag("Prompt templates are cached by their content.", default=False)
    concise_texts: bool = flag("Agents are asked for a third of the words.", default=False)
    background_verification: bool = flag(
        "Checks of steps that are not critical run beside later steps and are collected at the end.", default=False
    )
    background_memory: bool = flag("Memory is updated after the answer.", default=False)
    kept_connections: int = flag(
        "Most idle connections to the model's provider that are kept (0: each call opens its own).",
        default=0, least=0, most=10_000,
    )  # fmt: skip
    max_connections: int = flag("Most connections at once (0: no bound).", default=0, least=0, most=10_000)
    requests_per_minute: int = flag(
        "Calls wait for their turn below 90 % of this limit of the provider (0: nobody waits).", default=0, least=0
    )
    tokens_per_minute: int = flag("Likewise for tokens.", default=0, least=0)
