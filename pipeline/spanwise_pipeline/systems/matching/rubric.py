"""How good a run is: every match and purchase order on disk is worked out again from the records, without a model.

One check for each field of each document, one for each registration's status, and one for what is left of each offer.
The score is the share of checks that hold; A+ means all of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline.systems.matching.programme import Programme, shipped
from spanwise_pipeline.systems.matching.prompts import NONE
from spanwise_pipeline.systems.matching.storage import CAPACITY, STATUS, match_file, order_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from spanwise_pipeline.systems.matching.programme import Incentive, Offer, Registration

Documents = dict[str, Any]
_GRADES: Final = ((100.0, "A+"), (95.0, "A"), (90.0, "A-"), (80.0, "B"), (70.0, "C"), (60.0, "D"))
_MATCH: Final = ("offer", "supplier", "score", "cost", "incentive", "amount", "net_price")
_ORDER: Final = ("order", "registration", "supplier", "offer", "cost", "amount", "net_price")


@dataclass(frozen=True, slots=True)
class Grade:
    """What the rubric says of a run."""

    grade: str
    score: float
    """0 to 100."""
    faults: tuple[str, ...]
    """The checks that do not hold."""


def documents_in(folder: Path, registrations: Iterable[str]) -> Documents:
    """Return the run's documents by file name; a file that is not there or is no JSON counts as an empty one."""
    names = [CAPACITY, STATUS]
    for registration in registrations:
        names += [match_file(registration), order_file(registration)]
    return {name: _document(folder / name) for name in names}


def grade_documents(documents: Documents, registrations: Sequence[str]) -> Grade:
    """Grade what a run left on disk."""
    expected = expected_documents(len(registrations))
    checks = [
        (f"{name}: {field}", documents[name].get(field), value)
        for name, document in expected.items()
        for field, value in document.items()
    ]
    faults = tuple(f"{place} is {found}, must be {value}" for place, found, value in checks if found != value)
    score = 100.0 * (len(checks) - len(faults)) / len(checks)
    letter = next((letter for least, letter in _GRADES if score >= least), "F")
    return Grade(letter, round(score, 2), faults)


def answer_of(documents: Documents, registrations: Iterable[str]) -> dict[str, Any]:
    """Return what was matched to each registration, and what is left of the offers, as the files have it."""
    matches = {name: {field: documents[match_file(name)].get(field) for field in _MATCH} for name in registrations}
    return {"matches": matches, "capacity": documents[CAPACITY]}


def expected_documents(count: int) -> Documents:
    """Return the documents of a run of the first `count` registrations, worked out from the records."""
    programme = Programme.of(*(shipped(name) for name in ("offers", "incentives", "registrations")))
    capacity: dict[str, int] = dict(shipped("capacity"))
    documents: Documents = {CAPACITY: capacity, STATUS: {}}
    for registration in programme.registrations[:count]:
        match = _expected_match(registration, programme, capacity)
        documents[match_file(registration.id)] = match
        if match["offer"] == NONE:
            documents[STATUS][registration.id] = "no offer"
            continue
        capacity[match["offer"]] -= 1
        documents[STATUS][registration.id] = "ordered"
        order = match | {"order": f"PO-{registration.id}"}
        documents[order_file(registration.id)] = {field: order[field] for field in _ORDER}
    return documents


def _expected_match(registration: Registration, programme: Programme, capacity: Mapping[str, int]) -> dict[str, Any]:
    match: dict[str, Any] = {"registration": registration.id}
    fitting = [offer for offer in programme.offers if _fits(offer, registration, capacity)]
    if not fitting:
        return match | {"offer": NONE}
    scores = {offer.id: _score(offer, registration, programme) for offer in fitting}
    chosen = max(fitting, key=lambda offer: scores[offer.id])
    cost = _cost(chosen, registration)
    amounts = {each.id: _amount(each, registration, cost) for each in programme.incentives}
    amount = max(amounts.values())
    return match | {
        "offer": chosen.id,
        "supplier": chosen.supplier,
        "score": scores[chosen.id],
        "cost": cost,
        "incentive": next(name for name, value in amounts.items() if value == amount) if amount else NONE,
        "amount": amount,
        "net_price": round(cost - amount, 2),
    }


def _fits(offer: Offer, registration: Registration, capacity: Mapping[str, int]) -> bool:
    return (
        (offer.measure, offer.region) == (registration.measure, registration.region)
        and _cost(offer, registration) <= registration.budget
        and offer.week <= registration.latest_week
        and capacity[offer.id] >= 1
    )


def _cost(offer: Offer, registration: Registration) -> float:
    return round(offer.base + offer.per_m2 * registration.floor_area, 2)


def _score(offer: Offer, registration: Registration, programme: Programme) -> float:
    saving = round(registration.yearly_demand * offer.share * programme.energy_price, 2)
    payback = round(_cost(offer, registration) / saving, 2)
    return round(10 / payback + offer.rating / 10, 4)


def _amount(incentive: Incentive, registration: Registration, cost: float) -> float:
    entitled = incentive.measure == registration.measure and registration.income <= incentive.max_income
    return round(min(incentive.most, incentive.share * cost), 2) if entitled else 0.0


def _document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return document
