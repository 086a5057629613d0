"""From registrations to offers and incentives: two phases for each registration, as a graph of steps.

Phase 1 matches an offer and takes one of its places; phase 2 matches an incentive and writes the purchase order. The
flags change who waits for whom, what is read again and when files are written, never what is matched.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline import Flow, fetch
from spanwise_pipeline.systems.matching import prompts
from spanwise_pipeline.systems.matching.answers import cost_of
from spanwise_pipeline.systems.matching.conversation import Conversations, Topic
from spanwise_pipeline.systems.matching.programme import Programme, shipped
from spanwise_pipeline.systems.matching.storage import (
    CAPACITY,
    CAPACITY_SECONDS,
    LOAD_SECONDS,
    STATUS,
    lasting,
    match_file,
    order_file,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise_pipeline import ModelClient, Step, SystemContext
    from spanwise_pipeline.systems.matching.flags import MatchingFlags
    from spanwise_pipeline.systems.matching.programme import Registration
    from spanwise_pipeline.systems.matching.storage import Files

SOURCES: Final = ("offers", "incentives", "registrations")
CONVERSATION_1: Final = "phase 1 conversation"
CAPACITY_UPDATE: Final = "phase 1 capacity update"
FILES_1: Final = "phase 1 files"
CONVERSATION_2: Final = "phase 2 conversation"
FILES_2: Final = "phase 2 files"


class Matching:
    """Matches the registrations of one run."""

    def __init__(self, context: SystemContext, flags: MatchingFlags, files: Files, models: ModelClient) -> None:
        self._context = context
        self._flags = flags
        self._files = files
        self._conversations = Conversations(models, flags, context.publish)
        self._status: dict[str, str] = {}
        self._reading = asyncio.Lock()
        self._capacity: dict[str, int] | None = None
        """What is free of each offer, where the file is read once."""

    async def run(self) -> list[str]:
        """Match the registrations and return their ids; their documents are in the files."""
        async with Flow() as flow:
            programme = await flow.step("load", self._load, role="load")
            registrations = programme.registrations[: self._flags.registrations]
            before: Step[Any] | None = None
            ordered: Step[Any] | None = None
            for registration in registrations:
                before, ordered = self._registration(flow, programme, registration, before, ordered)
        return [registration.id for registration in registrations]

    def _registration(
        self,
        flow: Flow,
        programme: Programme,
        registration: Registration,
        taken_before: Step[Any] | None,
        ordered_before: Step[Any] | None,
    ) -> tuple[Step[Any], Step[Any]]:
        """Add the steps of one registration; offers' places are taken in the order of registrations."""
        known = programme.shortlist(registration) if self._flags.shortlist else programme
        name = registration.id

        async def match_offer(*_: object) -> dict[str, Any]:
            return await self._match_offer(registration, known)

        async def take(offer: dict[str, Any], *_: object) -> dict[str, Any]:
            return await self._take(registration, known, offer)

        async def file_match(offer: dict[str, Any]) -> dict[str, Any]:
            await self._file_match(registration, programme, offer)
            return offer

        async def match_incentive(offer: dict[str, Any]) -> dict[str, Any]:
            return await self._match_incentive(registration, known, offer)

        async def order(incentive: dict[str, Any]) -> None:
            await self._order(registration, incentive)

        one_by_one = ordered_before if not self._flags.concurrent_registrations else None
        offer = flow.step(f"{name}_offer", match_offer, *_there(one_by_one), role=CONVERSATION_1)
        taken = flow.step(f"{name}_capacity", take, offer, *_there(taken_before), role=CAPACITY_UPDATE)
        filed = flow.step(f"{name}_match", file_match, taken, role=FILES_1)
        incentive = flow.step(f"{name}_incentive", match_incentive, filed, role=CONVERSATION_2)
        return taken, flow.step(f"{name}_order", order, incentive, role=FILES_2)

    async def _load(self) -> Programme:
        async def load(source: str) -> Any:
            async def read() -> Any:
                return await lasting(self._context.clock, LOAD_SECONDS, shipped, source)

            return await fetch(source, {"source": source}, read)

        if self._flags.concurrent_loading:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(load(source)) for source in SOURCES]
            return Programme.of(*(task.result() for task in tasks))
        return Programme.of(*[await load(source) for source in SOURCES])

    async def _free(self) -> dict[str, int]:
        """Return what is free of each offer."""
        if not self._flags.capacity_once:
            return await self._read_capacity()
        async with self._reading:
            if self._capacity is None:
                self._capacity = await self._read_capacity()
            return self._capacity

    async def _read_capacity(self) -> dict[str, int]:
        capacity: dict[str, int] = await self._files.read(CAPACITY, CAPACITY_SECONDS)
        return capacity

    async def _match_offer(self, registration: Registration, known: Programme) -> dict[str, Any]:
        explained = self._conversations.has_critic

        async def check(answer: Mapping[str, object]) -> prompts.Paragraphs:
            return prompts.check_offer(registration, known, await self._free(), answer)

        propose = prompts.match_offer(registration, known, await self._free(), explained=explained)
        offers = [offer.id for offer in known.offers]
        return await self._conversations.hold(
            Topic(
                "offer",
                registration.id,
                (*prompts.OFFER_FIELDS, *prompts.figures(offers, prompts.OFFER_WORKING)),
                prompts.checks("offer", "score", offers),
                propose,
                check,
            )
        )

    async def _take(self, registration: Registration, known: Programme, offer: dict[str, Any]) -> dict[str, Any]:
        """Take a place of the offer; where an earlier registration has taken the last one, match again first."""
        capacity = await self._free()
        if capacity.get(offer.get("offer", prompts.NONE)) == 0:
            async with Flow() as again:
                offer = await again.step(
                    f"{registration.id}_offer_again",
                    lambda: self._match_offer(registration, known),
                    role=CONVERSATION_1,
                )
        if offer.get("offer") in capacity:
            capacity[offer["offer"]] -= 1
            await self._files.write({CAPACITY: dict(capacity)})
        return offer

    async def _file_match(self, registration: Registration, programme: Programme, offer: dict[str, Any]) -> None:
        found = programme.offer(offer.get("offer", prompts.NONE))
        match: dict[str, Any] = {"registration": registration.id, "offer": offer.get("offer")}
        if found is not None:
            match |= {"supplier": found.supplier, "score": offer["score"], "cost": cost_of(offer)}
        self._status[registration.id] = "offer matched" if found is not None else "no offer"
        await self._files.write({match_file(registration.id): match, STATUS: dict(self._status)})

    async def _match_incentive(
        self, registration: Registration, known: Programme, offer: dict[str, Any]
    ) -> dict[str, Any]:
        cost = cost_of(offer)
        if cost is None:
            return {}
        match = {"score": offer["score"], "offer": offer["offer"], "cost": cost}
        explained = self._conversations.has_critic

        async def check(answer: Mapping[str, object]) -> prompts.Paragraphs:
            return prompts.check_incentive(registration, known, match, answer)

        propose = prompts.match_incentive(registration, known, match, explained=explained)
        incentives = [incentive.id for incentive in known.incentives]
        return await self._conversations.hold(
            Topic(
                "incentive",
                registration.id,
                (*prompts.INCENTIVE_FIELDS, *prompts.figures(incentives, prompts.INCENTIVE_WORKING)),
                prompts.checks("incentive", "amount", incentives),
                propose,
                check,
            )
        )

    async def _order(self, registration: Registration, incentive: dict[str, Any]) -> None:
        """Write the purchase order and complete the match, and report the registration as done once all is on disk."""
        name = registration.id
        written = [CAPACITY, STATUS, match_file(name)]
        if incentive:
            match = dict(await self._files.again(match_file(name)))
            match |= {field: incentive[field] for field in ("incentive", "amount", "net_price")}
            self._status[name] = "ordered"
            order = {"order": f"PO-{name}"} | {
                field: match[field] for field in ("registration", "supplier", "offer", "cost", "amount", "net_price")
            }
            await self._files.write({match_file(name): match, order_file(name): order, STATUS: dict(self._status)})
            written.append(order_file(name))
        await self._files.settle(*written)
        self._context.publish("registrations", f"{name}: {self._status[name]}")


def _there(step: Step[Any] | None) -> tuple[Step[Any], ...]:
    return () if step is None else (step,)
