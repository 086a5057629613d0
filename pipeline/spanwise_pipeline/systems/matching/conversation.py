"""A phase's conversation: a matcher proposes, and a critic says APPROVE or sends it back, for some rounds at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline import Flow
from spanwise_pipeline.systems.matching import prompts
from spanwise_pipeline.systems.matching.answers import approves, is_valid, object_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from spanwise_pipeline import ModelClient
    from spanwise_pipeline.systems.matching.flags import MatchingFlags
    from spanwise_pipeline.systems.matching.prompts import Paragraphs

MODEL: Final = "matcher-large"
ROUNDS: Final = 3
"""Most rounds of a conversation; then the registration stays unmatched, for a person to look at."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What a conversation is about."""

    name: str
    """Of the match: `offer` or `incentive`."""
    registration: str
    required: tuple[str, ...]
    """Fields of a valid answer."""
    checks: Mapping[str, str]
    """What a critic works out again, to the field of the answer that it must be equal to."""
    propose: Paragraphs
    """The matcher's prompt."""
    check: Callable[[Mapping[str, object]], Awaitable[Paragraphs]]
    """Gives the critic's prompt for an answer."""


class Conversations:
    """Holds conversations with one model; the flags say whether there is a critic and when it is asked."""

    def __init__(self, models: ModelClient, flags: MatchingFlags, publish: Callable[[str, str], None]) -> None:
        self._models = models
        self._flags = flags
        self._publish = publish
        self.has_critic = flags.constellation == "p1m1m2c"

    async def hold(self, topic: Topic) -> dict[str, Any]:
        """Return the answer that was agreed on, an empty one where the rounds did not bring one."""
        said: list[str] = []
        async with Flow() as turns:
            for _ in range(ROUNDS):
                answer = object_in(await self._turn(turns, topic, "matcher", [*topic.propose, *said]))
                if not is_valid(answer, topic.required, topic.registration):
                    said = [prompts.objection(topic.required)]
                    continue
                if not self.has_critic or self._flags.skip_critic:
                    return answer
                verdict = await self._turn(turns, topic, "critic", await topic.check(answer))
                if approves(verdict, answer, topic.checks):
                    return answer
                said = [verdict]
        return {}

    async def _turn(self, turns: Flow, topic: Topic, part: str, paragraphs: Sequence[str]) -> str:
        """Let the matcher or the critic speak, as a step of its own."""
        agent = f"{topic.name}_{part}"
        step = f"{topic.registration}_{agent}"

        async def speak() -> str:
            reply = await self._models.chat(
                model=MODEL,
                messages=[{"role": "user", "content": "\n\n".join(paragraphs)}],
                stop_early=self._flags.stop_at_json and part == "matcher",
                agent=agent,
                step=step,
            )
            self._publish(agent, reply.text)
            return reply.text

        return await turns.step(step, speak, agent=agent)
