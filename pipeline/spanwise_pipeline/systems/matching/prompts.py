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
OFFER_WORKING: Final = ("cost", "saving", "payback", "score", "fits", "rank")
"""Figures that a matcher gives of each offer, besides the fields of its answer."""
INCENTIVE_WORKING: Final = ("amount", "fits", "rank", "rest")
"""Likewise of each incentive."""
CHECKED: Final = {"open": "fits", "check": "rank"}
"""Figures that a critic gives of each candidate, and those of the matcher that they must be equal to."""
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
        _proposal(proposal),
        *(f"{_offer(offer, free)}\n{_check_of(offer.id)}" for offer in programme.offers),
        _choice("choice", "best", [offer.id for offer in programme.offers], figure_of="check"),
        _verdict("offer == choice and score == best"),
    ]


def match_incentive(
    registration: Registration, programme: Programme, match: Mapping[str, object], *, explained: bool
) -> Paragraphs:
    """Return the prompt of the matcher of phase 2; `match` is what phase 1 has found."""
    return [
        _applicant(registration, match),
        *(f"{_incentive(incentive)}\n{_amounts_of(incentive.id)}" for incentive in programme.incentives),
        (
            f"State registration.\n{_choice('incentive', 'amount', [each.id for each in programme.incentives])}\n"
            f"Compute net_price: min({', '.join(f'{each.id}_rest' for each in programme.incentives)})."
        ),
        _form("incentive", explained=explained),
    ]


def check_incentive(
    registration: Registration, programme: Programme, match: Mapping[str, object], proposal: Mapping[str, object]
) -> Paragraphs:
    """Return the prompt of the critic of phase 2; `proposal` is the matcher's answer."""
    return [
        _applicant(registration, match),
        _proposal(proposal),
        *(f"{_incentive(incentive)}\n{_grant_of(incentive.id)}" for incentive in programme.incentives),
        _choice("choice", "best", [each.id for each in programme.incentives], figure_of="check"),
        _verdict("incentive == choice and amount == best and net_price == round(cost - best, 2)"),
    ]


def objection(fields: Iterable[str]) -> str:
    """Return what a matcher is told whose answer lacks a required field."""
    return f"The last answer was no JSON object with {', '.join(fields)}; give all of them."


def figures(candidates: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of figures of each candidate."""
    return tuple(f"{candidate}_{name}" for candidate in candidates for name in names)


def checks(kind: str, figure: str, candidates: Iterable[str]) -> dict[str, str]:
    """Return what a critic must state, and the field of the matcher's answer that each must be equal to."""
    found = {f"{each}_{mine}": f"{each}_{theirs}" for each in candidates for mine, theirs in CHECKED.items()}
    return found | {"choice": kind, "best": figure}


def _household(registration: Registration, programme: Programme) -> str:
    facts = ("measure", "region", "floor_area", "yearly_demand", "budget", "latest_week")
    return _lines(
        {"registration": registration.id}
        | {name: getattr(registration, name) for name in facts}
        | {"energy_price": programme.energy_price}
    )


def _applicant(registration: Registration, match: Mapping[str, object]) -> str:
    return _lines(
        {"registration": registration.id}
        | {name: match[name] for name in ("score", "offer", "cost")}
        | {"measure": registration.measure, "income": registration.income}
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


def _check_of(o: str) -> str:
    cost = f"({o}_base + {o}_per_m2 * floor_area)"
    saving = f"yearly_demand * {o}_share * energy_price"
    return (
        f"Conclude {o}_open: 1 if {_fits(o, cost)}; else 0.\n"
        f"Compute {o}_check: round({o}_open * (10 / round({cost} / ({saving}), 2) + {o}_rating / 10), 4)."
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


def _grant_of(i: str) -> str:
    return (
        f"Conclude {i}_open: 1 if {_entitles(i)}; else 0.\n"
        f"Compute {i}_check: round({i}_open * min({i}_most, {i}_share * cost), 2)."
    )


def _entitles(i: str) -> str:
    return f"{i}_measure == measure and income <= {i}_max_income"


def _choice(kind: str, best: str, candidates: Sequence[str], *, figure_of: str = "rank") -> str:
    figures_of_all = [f"{name}_{figure_of}" for name in candidates]
    cases = "; ".join(f"{name} if {figure} == {best}" for name, figure in zip(candidates, figures_of_all, strict=True))
    return (
        f"Compute {best}: max({', '.join(figures_of_all)}).\n"
        f"Conclude {kind}: {NONE} if {best} <= 0; {cases}; else {NONE}."
    )


def _form(kind: str, *, explained: bool) -> str:
    return f"Answer in JSON, then about {_WORDS[kind]} words." if explained else "Answer in JSON."


def _proposal(proposal: Mapping[str, object]) -> str:
    return _lines({name: value for name, value in proposal.items() if name != "registration"})


def _verdict(condition: str) -> str:
    return f"Conclude verdict: APPROVE if {condition}; else REVISE."


def _lines(facts: Mapping[str, object]) -> str:
    return "\n".join(f"{name} = {_shown(value)}" for name, value in facts.items())


def _shown(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, int | float) else str(value)
