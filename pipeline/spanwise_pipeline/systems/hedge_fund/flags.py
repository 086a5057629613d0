"""Every optimisation of the fund is one switch; presets (presets.yaml) are sets of switches and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spanwise_pipeline import Flags, flag
from spanwise_pipeline.systems.hedge_fund.analysts import ANALYSTS
from spanwise_pipeline.systems.hedge_fund.prompts import WORDS_LINE

_LEFT_OUT: Final = frozenset(
    (step, WORDS_LINE)
    for step in (*(f"{analyst.name}_prediction" for analyst in ANALYSTS), "risk_limits", "portfolio_decision")
)


@dataclass(frozen=True, slots=True)
class HedgeFundFlags(Flags):
    """What is switched on."""

    parallel_groups: bool = flag(
        "The groups of analysts run at the same time, the analysts of a group in turn (off: all in turn).",
        default=False,
    )
    fast_fallback: bool = flag(
        "A failing call is tried once more, soon; then another model answers, and a circuit breaker leaves a model"
        " alone that keeps failing (off: three more tries after 1, 2 and 4 s before another model answers).",
        default=False,
    )
    data_cache: bool = flag(
        "What the data service answers is cached, in memory above Redis, and shared by all analysts.", default=False
    )
    direct_integration: bool = flag(
        "The analysis is prepared in this process (off: in a subprocess that is started for it).", default=False
    )
    independent_analysts: bool = flag(
        "An analyst waits for no other one of its group (counts where groups run at the same time).", default=False
    )
    faster_model: bool = flag("Analysts and managers ask a model that is twice as fast.", default=False)
    prompt_caching: bool = flag(
        "What all agents are told stands in a message of its own at the beginning, which the provider caches.",
        default=False,
    )
    structured_outputs: bool = flag(
        "Agents answer in JSON of a given form (off: in text with some words for each fact).",
        default=False,
        leaves_out=_LEFT_OUT,
    )
    batched_storage: bool = flag(
        "The predictions of all analysts are stored in one transaction (off: each analyst stores its own).",
        default=False,
    )
    pooled_database: bool = flag("Connections to the database are kept (off: a new one for each write).", default=False)
    pooled_connections: bool = flag(
        "Connections to the model's provider are kept (off: a new one for each call).", default=False
    )
    hedged_calls: bool = flag(
        "A call that has not begun to answer in time is sent once more, and the first answer counts.", default=False
    )
    result_cache: bool = flag("Decisions are cached by what was asked for.", default=False)
