"""The programme's records: registrations, offers and incentives, as its files in `data/` have them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Registration:
    """A household that wants a measure for its home."""

    id: str
    measure: str
    region: str
    floor_area: float
    """Square metres."""
    yearly_demand: float
    """Kilowatt hours."""
    budget: float
    latest_week: int
    """Calendar week by which the work must begin."""
    income: float


@dataclass(frozen=True, slots=True)
class Offer:
    """What a supplier does for a price."""

    id: str
    supplier: str
    measure: str
    region: str
    base: float
    per_m2: float
    share: float
    """Of the yearly demand that it saves."""
    week: int
    """Calendar week in which the supplier can begin."""
    rating: float


@dataclass(frozen=True, slots=True)
class Incentive:
    """Money that the programme adds to an offer."""

    id: str
    measure: str
    share: float
    """Of the cost that it pays."""
    most: float
    max_income: float


@dataclass(frozen=True, slots=True)
class Programme:
    """All that is loaded before the first registration is matched."""

    registrations: tuple[Registration, ...]
    offers: tuple[Offer, ...]
    energy_price: float
    incentives: tuple[Incentive, ...]

    @classmethod
    def of(cls, offers: Any, incentives: Any, registrations: Any) -> Programme:
        """Return the programme of the three files' documents."""
        return cls(
            tuple(Registration(**row) for row in registrations["registrations"]),
            tuple(Offer(**row) for row in offers["offers"]),
            offers["energy_price"],
            tuple(Incentive(**row) for row in incentives["incentives"]),
        )

    def offer(self, name: str) -> Offer | None:
        """Return an offer by its id, `None` where there is none."""
        return next((offer for offer in self.offers if offer.id == name), None)

    def shortlist(self, registration: Registration) -> Programme:
        """Return the programme without the offers and incentives that cannot be for `registration`."""
        offers = tuple(
            offer
            for offer in self.offers
            if (offer.measure, offer.region) == (registration.measure, registration.region)
        )
        incentives = tuple(incentive for incentive in self.incentives if incentive.measure == registration.measure)
        return Programme(self.registrations, offers, self.energy_price, incentives)


def shipped(name: str) -> Any:
    """Return the document of a file in `data/`."""
    folder = files("spanwise_pipeline.systems.matching").joinpath("data")
    return json.loads(folder.joinpath(f"{name}.json").read_text(encoding="utf-8"))
