"""What the matchers and critics are asked: paragraphs that all count, none of them filler.

The instruction lines are plain sentences; their grammar is the simulated provider's (docs/provider.md), and a real
model reads them as well. A critic works everything out again from the same records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spanwise_pipeline.systems.matching.programme import Incentive, Offer, Programme, Registration

Paragraphs = list[str]
NONE: Final = "none"
"""Stands for the offer or incentive where none is right."""
OFFER_FIELDS: Final = ("registration", "offer", "score")
INCENTIVE_FIELDS: Final = ("registration", "incentive", "amount", "net_price")
_WORDS: Final = {"offer": 40, "incentive": 22}
"""Words that a matcher adds below its JSON for the critic."""


def match_offer(
    registration: Registration, programme: Programme, free: Mapping[str, int], *, explained: bool
) -> Paragraphs:
    """Return the prompt of the matcher of phase 1.

    Args:
        registration: to be matched.
        programme: with the offers to choose from.
        free: places left by offer.
        explained: whether a critic reads the answer.
    """
    return [
        _household(registration, programme),
        *(f"{_offer(offer, free)}\n{_figures_of(offer.id)}" for offer in programme.offers),
        f"State registration.\n{_choice('offer', 'score', [offer.id for offer in programme.offers])}",
        _form("offer", explained=explained),
    ]


def check_offer(
    registration: Registration, programme: Programme, free: Mapping[str, int], proposal: Mapping[str, object]
) -> Paragraphs:
    """Return the prompt of the critic of phase 1; `proposal` is the matcher's answer."""
    return [
        _household(registration, programme),
        _proposal(proposal, OFFER_FIELDS),
        *(f"{_offer(offer, free)}\n{_rank_of(offer.id)}" for offer in programme.offers),
        _choice("offer", "score", [offer.id for offer in programme.offers]),
        _verdict("proposed_offer == offer and proposed_score == score and proposed_registration == registration"),
    ]


def match_incentive(registration: Registration, programme: Programme, cost: float, *, explained: bool) -> Paragraphs:
    """Return the prompt of the matcher of phase 2; `cost` is the matched offer's."""
    return [
        _applicant(registration, cost),
        *(f"{_incentive(incentive)}\n{_amounts_of(incentive.id)}" for incentive in programme.incentives),
        (
            f"State registration.\n{_choice('incentive', 'amount', [each.id for each in programme.incentives])}\n"
            f"Compute net_price: min({', '.join(f'{each.id}_rest' for each in programme.incentives)})."
        ),
        _form("incentive", explained=explained),
    ]


def check_incentive(
    registration: Registration, programme: Programme, cost: float, proposal: Mapping[str, object]
) -> Paragraphs:
    """Return the prompt of the critic of phase 2; `proposal` is the matcher's answer."""
    return [
        _applicant(registration, cost),
        _proposal(proposal, INCENTIVE_FIELDS),
        *(f"{_incentive(incentive)}\n{_amount_of(incentive.id)}" for incentive in programme.incentives),
        _choice("incentive", "amount", [each.id for each in programme.incentives]),
        _verdict(
            "proposed_incentive == incentive and proposed_amount == amount and proposed_net_price == round(cost - amount, 2)"
            " and proposed_registration == registration"
        ),
    ]


def objection(fields: Iterable[str]) -> str:
    """Return what a matcher is told whose answer lacks a required field."""
    return f"The last answer was no JSON object with {', '.join(fields)}; give all of them."


def _household(registration: Registration, programme: Programme) -> str:
    facts = ("measure", "region", "floor_area", "yearly_demand", "budget", "latest_week")
    return _lines(
        {"registration": registration.id}
        | {name: getattr(registration, name) for name in facts}
        | {"energy_price": programme.energy_price}
    )


def _applicant(registration: Registration, cost: float) -> str:
    return _lines(
        {
            "registration": registration.id,
            "measure": registration.measure,
            "income": registration.income,
            "cost": cost,
        }
    )


def _offer(offer: Offer, free: Mapping[str, int]) -> str:
    facts = ("measure", "region", "base", "per_m2", "share", "week", "rating")
    named = {f"{offer.id}_{name}": getattr(offer, name) for name in facts}
    return _lines(named | {f"{offer.id}_free": free[offer.id]})


def _incentive(incentive: Incentive) -> str:
    return _lines(
        {f"{incentive.id}_{name}": getattr(incentive, name) for name in ("measure", "share", "most", "max_income")}
    )


def _figures_of(o: str) -> str:
    return (
        f"Compute {o}_cost: round({o}_base + {o}_per_m2 * floor_area, 2).\n"
        f"Compute {o}_saving: round(yearly_demand * {o}_share * energy_price, 2).\n"
        f"Compute {o}_payback: round({o}_cost / {o}_saving, 2).\n"
        f"Compute {o}_score: round(10 / {o}_payback + {o}_rating / 10, 4).\n"
        f"Conclude {o}_fits: 1 if {_fits(o, f'{o}_cost')}; else 0.\n"
        f"Compute {o}_rank: round({o}_fits * {o}_score, 4)."
    )


def _rank_of(o: str) -> str:
    cost = f"({o}_base + {o}_per_m2 * floor_area)"
    saving = f"yearly_demand * {o}_share * energy_price"
    return (
        f"Conclude {o}_fits: 1 if {_fits(o, cost)}; else 0.\n"
        f"Compute {o}_rank: round({o}_fits * (10 / round({cost} / ({saving}), 2) + {o}_rating / 10), 4)."
    )


def _fits(o: str, cost: str) -> str:
    return (
        f"{o}_measure == measure and {o}_region == region and {cost} <= budget and {o}_week <= latest_week"
        f" and {o}_free >= 1"
    )


def _amounts_of(i: str) -> str:
    return (
        f"Compute {i}_amount: round(min({i}_most, {i}_share * cost), 2).\n"
        f"Conclude {i}_fits: 1 if {_entitles(i)}; else 0.\n"
        f"Compute {i}_rank: round({i}_fits * {i}_amount, 2).\n"
        f"Compute {i}_rest: round(cost - {i}_rank, 2)."
    )


def _amount_of(i: str) -> str:
    return (
        f"Conclude {i}_fits: 1 if {_entitles(i)}; else 0.\n"
        f"Compute {i}_rank: round({i}_fits * min({i}_most, {i}_share * cost), 2)."
    )


def _entitles(i: str) -> str:
    return f"{i}_measure == measure and income <= {i}_max_income"


def _choice(kind: str, figure: str, candidates: Sequence[str]) -> str:
    ranks = ", ".join(f"{name}_rank" for name in candidates)
    cases = "; ".join(f"{name} if {name}_rank == {figure}" for name in candidates)
    return f"Compute {figure}: max({ranks}).\nConclude {kind}: {NONE} if {figure} <= 0; {cases}; else {NONE}."


def _form(kind: str, *, explained: bool) -> str:
    return f"Answer in JSON, then about {_WORDS[kind]} words." if explained else "Answer in JSON."


def _proposal(proposal: Mapping[str, object], fields: Sequence[str]) -> str:
    return _lines({f"proposed_{name}": proposal[name] for name in fields})


def _verdict(condition: str) -> str:
    return f"Conclude verdict: APPROVE if {condition}; else REVISE."


def _lines(facts: Mapping[str, object]) -> str:
    return "\n".join(f"{name} = {_shown(value)}" for name, value in facts.items())


def _shown(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, int | float) else str(value)
