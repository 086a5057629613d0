"""The planner: what the user means, which model works on it, and the plan, which the model writes as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from spanwise_pipeline import PlanError, PlanReader, facts_of
from spanwise_pipeline.systems.orchestrator.agents import LARGE, MODELS
from spanwise_pipeline.systems.orchestrator.prompts import FOLDER

if TYPE_CHECKING:
    from spanwise_pipeline import Flow, PlannedStep, Step
    from spanwise_pipeline.systems.orchestrator.agents import Agents
    from spanwise_pipeline.systems.orchestrator.catalogue import Catalogue
    from spanwise_pipeline.systems.orchestrator.executor import Executor
    from spanwise_pipeline.systems.orchestrator.flags import OrchestratorFlags
    from spanwise_pipeline.systems.orchestrator.library import Library

MEMORY: Final = "memory"
"""Folder of the notes that earlier tasks left."""
NOTES: Final = 3
"""Notes of the memory that a task gets."""
PLAN_FORM: Final = {
    "title": "plan",
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "action": {"type": "string"},
                    "parameters": {"type": "object"},
                    "dependencies": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["id", "action", "dependencies"],
            },
        }
    },
    "required": ["steps"],
}


@dataclass(frozen=True, slots=True)
class Brief:
    """What the planner found out, as steps whose results are texts."""

    memory: Step[str]
    intent: Step[str]
    route: Step[str]

    def steps(self) -> tuple[Step[str], ...]:
        """Return all of them."""
        return (self.memory, self.intent, self.route)

    def model(self) -> str:
        """Return the model that works on the steps; the large one where the route names none that there is."""
        named = facts_of(self.route.result()).get("analysis_model", "")
        return named if named in MODELS else LARGE


class Planner:
    """Adds the steps of planning to a flow.

    Args:
        agents: write.
        catalogue: the tools that a plan may use.
        library: holds the memory.
        flags: which of the steps wait for one another, and whether steps start before the plan is whole.
    """

    def __init__(self, agents: Agents, catalogue: Catalogue, library: Library, flags: OrchestratorFlags) -> None:
        self._agents = agents
        self._catalogue = catalogue
        self._library = library
        self._flags = flags

    def brief(self, flow: Flow, request: str) -> Brief:
        """Add the steps that work out memory, intent and route."""

        async def recall() -> str:
            return await self._recall(request)

        async def intent(*_: str) -> str:
            return await self._agents.write("intent_analyst", "intent", [request])

        async def route(*_: str) -> str:
            return await self._agents.write("router", "route", [request, *await self._tools()])

        memory = flow.step("memory", recall, role="recall")
        intended = flow.step("intent", intent, *self._after(memory), agent="intent_analyst", role="plan")
        routed = flow.step("route", route, *self._after(intended), agent="router", role="plan")
        return Brief(memory, intended, routed)

    def plan(self, flow: Flow, request: str, brief: Brief, executor: Executor) -> Step[tuple[PlannedStep, ...]]:
        """Add the step that asks for the plan; the executor gets steps from it that need not wait for its end."""

        async def plan(*_: str) -> tuple[PlannedStep, ...]:
            return await self._plan(request, executor)

        return flow.step("plan", plan, *self._after(brief.route), agent="planner", role="plan")

    def _after(self, step: Step[str]) -> tuple[Step[str], ...]:
        return () if self._flags.async_planner else (step,)

    async def _recall(self, request: str) -> str:
        paths = await self._library.search(request, MEMORY, NOTES)
        return "\n".join([(await self._library.read(path)).text for path in paths])

    async def _tools(self) -> list[str]:
        return [tool.paragraph() for tool in (await self._catalogue.tools()).values()]

    async def _plan(self, request: str, executor: Executor) -> tuple[PlannedStep, ...]:
        texts = [request, *await self._tools()]
        flags = self._flags
        at_once = flags.stream_plan and flags.ready_steps and flags.max_parallel_steps > 1
        live = _Reading(self._catalogue.names(), executor) if at_once else None
        reply = await self._agents.ask(
            "planner", "plan", texts, values={"playbook": playbook()}, response_format=PLAN_FORM,
            on_text=live.take if live is not None else None,
        )  # fmt: skip
        if live is not None:
            return live.close()
        reader = PlanReader(self._catalogue.names())
        reader.feed(reply.text)
        return reader.close()


class _Reading:
    """Hands steps of a plan to the executor while the plan is still being written.

    A call that is tried again writes the plan again: what is the same goes on, and a plan that is another one ends the
    task, because steps of the first may have been carried out.
    """

    def __init__(self, tools: list[str], executor: Executor) -> None:
        self._tools = tools
        self._executor = executor
        self._reader = PlanReader(tools)
        self._attempt = 1
        self._started: dict[str, PlannedStep] = {}
        self._problem: PlanError | None = None

    def take(self, text: str, attempt: int) -> None:
        """Take the next piece of the answer; what is wrong with it is raised by `close`."""
        if attempt != self._attempt:
            self._reader, self._attempt, self._problem = PlanReader(self._tools), attempt, None
        if self._problem is not None:
            return
        try:
            for planned in self._reader.feed(text):
                self._start(planned)
        except PlanError as problem:
            self._problem = problem

    def close(self) -> tuple[PlannedStep, ...]:
        """Return the steps of the plan, which has ended.

        Raises:
            PlanError: it is none, or not the one that was begun.
        """
        if self._problem is not None:
            raise self._problem
        return self._reader.close()

    def _start(self, planned: PlannedStep) -> None:
        known = self._started.get(planned.id)
        if known is None:
            self._started[planned.id] = planned
            self._executor.add(planned)
        elif known != planned:
            raise PlanError(
                f"plan: step {planned.id} is another one than when the plan was first written, and steps of that have "
                "begun; ask again, or switch stream_plan off"
            )


@cache
def playbook() -> str:
    """Return the plans that the planner knows, as JSON on one line."""
    return json.dumps(
        json.loads((FOLDER / "data" / "playbook.json").read_text(encoding="utf-8")), separators=(",", ":")
    )
