"""Every change to the swarm is one flag; presets (presets.yaml) are sets of flags and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from spanwise_pipeline import Flags, flag
from spanwise_pipeline.systems.marketing.prompts import board_paragraphs, earlier_paragraphs


@dataclass(frozen=True, slots=True)
class MarketingFlags(Flags):
    """What is switched on."""

    focused_agents: bool = flag(
        "Two agents with six tools each do the work of four, and no coordinator briefs them.", default=False
    )
    parallel_tools: bool = flag("The tools of an agent run at the same time, each in a thread.", default=False)
    pool_size: int = flag("Threads for tools.", default=6, least=1, most=64)
    result_cache: bool = flag(
        "Results of tools are cached for an hour by their inputs and the data file's content.", default=False
    )
    needed_columns: bool = flag("Tools read the columns that they need in place of all.", default=False)
    chunked_reading: bool = flag(
        "The data file is read in chunks, each added up while the next one comes, in place of as a whole.",
        default=False,
    )
    structured_results: bool = flag(
        "Agents hand on the few figures that matter to who needs them, in place of all they have to all on a board.",
        default=False,
        leaves_out=board_paragraphs(),
    )
    pooled_database: bool = flag("Connections to the results' database are kept between writes.", default=False)
    concurrent_agents: bool = flag(
        "Agents that do not need each other work at the same time.", default=False, leaves_out=earlier_paragraphs()
    )
    background_results: bool = flag("Results are stored while the next agent works.", default=False)
    pooled_connections: bool = flag("Connections to the model's provider are kept between calls.", default=False)
