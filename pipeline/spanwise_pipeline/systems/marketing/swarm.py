"""The marketing research swarm: agents that analyse campaign data, and a strategist who recommends what to do.

Around a board each agent bids for its turn, reads all that was posted, runs its tools and posts what it found. The
flags change who works when, what is handed on and how the data are read, never what is recommended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline import CacheUse, Flow, ToolCall, facts_of
from spanwise_pipeline.systems.marketing import prompts
from spanwise_pipeline.systems.marketing.board import Board
from spanwise_pipeline.systems.marketing.dataset import CSV
from spanwise_pipeline.systems.marketing.results import Results
from spanwise_pipeline.systems.marketing.tools import CampaignTools

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise_pipeline import Step, SystemContext, Task
    from spanwise_pipeline.systems.marketing.flags import MarketingFlags
    from spanwise_pipeline.systems.marketing.prompts import Request, Role

MODEL: Final = "swarm-small"
BIDDING_S: Final = 3.33
"""System seconds that bids for a turn at the board are waited for."""


class Swarm:
    """One swarm with its data, caches and connections; may serve several runs."""

    def __init__(self, context: SystemContext, flags: MarketingFlags, data: Path) -> None:
        self.context = context
        self.flags = flags
        self.tools = CampaignTools(context, flags, data / CSV)
        self.results = Results(context.folder / "results.sqlite", context.clock, pooled=flags.pooled_database)
        self._models = context.model_client(pooled=flags.pooled_connections)

    async def close(self) -> None:
        """Close the connections."""
        await self._models.close()
        self.results.close()

    def cache_use(self) -> CacheUse:
        """Return how often the cache was asked and spared running a tool."""
        return self.tools.cache_use()

    async def run(self, request: Request) -> dict[str, str]:
        """Return the sections of the recommendation by title."""
        async with Flow(background=self.context.background) as flow:
            steps = _Research(self, flow, request).steps()
        tasks = prompts.tasks(focused=self.flags.focused_agents)
        return {task.title: step.result() for task, step in zip(tasks, steps, strict=True)}

    async def write(self, agent: str, step: str, task: Task, context: list[str]) -> str:
        """Have the model write the section of `task` on the paragraphs of `context`."""
        title, *instructions = task.lines()
        words = f"Use about {self._words(task)} words for each fact."
        content = "\n\n".join([title, *context, *instructions, words])
        reply = await self._models.chat(
            model=MODEL, messages=[{"role": "user", "content": content}], agent=agent, step=step
        )
        self.context.publish(agent, reply.text)
        return reply.text

    def _words(self, task: Task) -> int:
        handed_on = "structured" if self.flags.structured_results else "focused"
        return prompts.WORDS[handed_on if self.flags.focused_agents else "board"][task is prompts.RECOMMENDATION]


class _Research:
    """The steps of one run."""

    def __init__(self, swarm: Swarm, flow: Flow, request: Request) -> None:
        self._swarm = swarm
        self._flags = swarm.flags
        self._clock = swarm.context.clock
        self._flow = flow
        self._request = request
        self._board = Board(self._clock, handed_on=swarm.flags.structured_results)

    def steps(self) -> list[Step[str]]:
        """Add all steps, and return those that write a section."""
        briefs: list[Step[str]] = []
        if self._flags.focused_agents:
            self._board.post("request", self._request.text())
        else:
            briefs.append(self._brief())
        findings: list[Step[str]] = []
        for role in prompts.roles(focused=self._flags.focused_agents):
            if self._flags.concurrent_agents:
                findings.append(self._find(role, briefs, ()))
            else:
                heard = tuple(step.name for step in findings)
                findings.append(self._find(role, [*briefs, *findings][-1:], heard))
        return [*briefs, *findings, self._recommend([*briefs, *findings])]

    def _brief(self) -> Step[str]:
        async def brief(*_: object) -> str:
            text = await self._swarm.write(prompts.COORDINATOR, "brief", prompts.BRIEF, [self._request.text()])
            self._board.post("brief", text)
            return text

        return self._stored("brief", brief, prompts.COORDINATOR, prompts.BRIEF, self._turn(prompts.COORDINATOR, []))

    def _find(self, role: Role, before: list[Step[str]], heard: tuple[str, ...]) -> Step[str]:
        async def run_tools(*_: object) -> list[str]:
            inputs = {"from_month": self._request.from_month, "to_month": self._request.to_month}
            calls = [ToolCall(f"call_{role.agent}_{name}", name, inputs) for name in role.tools]
            return await self._swarm.tools.box.batch(calls, concurrent=self._flags.parallel_tools)

        async def find(found: list[str]) -> str:
            seen = self._board.shown(("brief", "request"), heard)
            text = await self._swarm.write(role.agent, role.step, role.task, [*seen, *found])
            self._board.post(role.step, text, found)
            return text

        ready = self._turn(role.agent, before)
        tools = self._flow.step(f"{role.agent}_tools", run_tools, *ready, agent=role.agent, role="tools")
        return self._stored(role.step, find, role.agent, role.task, [tools])

    def _recommend(self, before: list[Step[str]]) -> Step[str]:
        async def recommend(*_: object) -> str:
            needed = ("brief", "request", *(step.name for step in before))
            context = self._board.shown(needed, ())
            return await self._swarm.write(prompts.STRATEGIST, "recommendation", prompts.RECOMMENDATION, context)

        ready = self._turn(prompts.STRATEGIST, before)
        return self._stored("recommendation", recommend, prompts.STRATEGIST, prompts.RECOMMENDATION, ready)

    def _turn(self, agent: str, before: list[Step[str]]) -> list[Step[Any]]:
        """Add what an agent waits for before it works: around a board also its turn, and reading the board."""
        if self._flags.structured_results:
            return list(before)

        async def bid(*_: object) -> None:
            await self._clock.sleep(BIDDING_S)

        async def read(_: object) -> None:
            await self._board.read()

        turn = self._flow.step(f"{agent}_turn", bid, *before, agent=agent, role="coordination")
        return [self._flow.step(f"{agent}_context", read, turn, agent=agent, role="context")]

    def _stored(self, name: str, write: Any, agent: str, task: Task, ready: list[Step[Any]]) -> Step[str]:
        """Add a step that writes a section and stores its facts, or has them stored behind it."""
        swarm = self._swarm

        async def store(text: str) -> None:
            await swarm.context.pool("database").run(swarm.results.save, task.title, facts_of(text))

        async def write_and_store(*inputs: Any) -> str:
            text: str = await write(*inputs)
            await store(text)
            return text

        if not self._flags.background_results:
            return self._flow.step(name, write_and_store, *ready, agent=agent, role="results")
        written: Step[str] = self._flow.step(name, write, *ready, agent=agent, role="results")
        self._flow.step(f"{name}_stored", store, written, role="results", background=True)
        return written
