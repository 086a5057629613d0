"""Every optimisation is one flag; presets (presets.yaml) are sets of flags and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from spanwise_pipeline import Flags, flag


@dataclass(frozen=True, slots=True)
class MatchingFlags(Flags):
    """What is switched on, and how many registrations there are."""

    registrations: int = flag(
        "How many registrations are matched, the first ones of the file.",
        default=1,
        least=1,
        most=5,
        changes_answer=True,
    )
    constellation: str = flag(
        "Who takes part in a phase: p1m1m2c, a matcher and a critic who must say APPROVE; p1m1_p2m2, a matcher alone.",
        default="p1m1m2c",
        choices=("p1m1m2c", "p1m1_p2m2"),
    )
    capacity_once: bool = flag(
        "The capacity file is read once and then held (off: before each use).",
        default=False,
    )
    concurrent_loading: bool = flag("Offers, incentives and registrations are loaded at the same time.", default=False)
    batch_writes: bool = flag(
        "Files are written behind the agents, a phase's files as one batch (off: each before going on).", default=False
    )
    stop_at_json: bool = flag(
        "An answer is taken from the stream as soon as its JSON is complete (off: when the stream has ended).",
        default=False,
    )
    skip_critic: bool = flag(
        "The critic is not asked where the matcher's answer is valid JSON with the required fields.", default=False
    )
    shortlist: bool = flag(
        "The matcher gets only the offers and incentives of the registration's measure and region.", default=False
    )
    concurrent_registrations: bool = flag(
        "Registrations are matched at the same time; one whose offer an earlier one has filled is matched again.",
        default=False,
    )
    pooled_connections: bool = flag("Connections to the model's provider are kept between calls.", default=False)
