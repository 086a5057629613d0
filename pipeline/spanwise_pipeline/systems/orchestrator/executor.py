"""The executor: steps of a plan become steps of a flow, and the flags say what each of them waits for.

One after another, by levels with a barrier between them, or each as soon as its own inputs are there. What a model
wrote is checked by the verifier: before anything goes on, or beside it where the step is not critical.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanwise.errors import SpanwiseError
from spanwise_pipeline import facts_of
from spanwise_pipeline.systems.orchestrator.agents import SMALL
from spanwise_pipeline.systems.orchestrator.tools import agent_of, sources, written_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_pipeline import Flow, PlannedStep, Step
    from spanwise_pipeline.systems.orchestrator.agents import Agents
    from spanwise_pipeline.systems.orchestrator.flags import OrchestratorFlags
    from spanwise_pipeline.systems.orchestrator.planner import Brief
    from spanwise_pipeline.systems.orchestrator.tools import Tools

VERIFIER = "verifier"


class RefutedError(SpanwiseError):
    """A critical step did not stand up to its check; what builds on it is not done."""


class Executor:
    """Carries out one plan.

    Args:
        flow: gets the steps.
        brief: what the planner found out.
        tools: carry out the steps.
        agents: one of them verifies.
        flags: what waits for what.
    """

    def __init__(self, flow: Flow, brief: Brief, tools: Tools, agents: Agents, flags: OrchestratorFlags) -> None:
        self._flow = flow
        self._brief = brief
        self._tools = tools
        self._agents = agents
        self._flags = flags
        self.faults: list[str] = []
        """What did not work, in the order in which it happened."""
        self._plan: dict[str, PlannedStep] = {}
        self._work: dict[str, Step[Any]] = {}
        self._checks: dict[str, Step[str]] = {}
        self._usable: dict[str, Step[Any]] = {}
        """What others wait for: a step, or its check where that has to come first."""

    async def carry_out(self, plan: Sequence[PlannedStep]) -> None:
        """Add the steps of a plan that are not there yet; a failed step fails only what depends on it."""
        if self._flags.ready_steps and self._flags.max_parallel_steps > 1:
            groups = [list(plan)]
        else:
            groups = [[planned] for planned in plan] if self._flags.max_parallel_steps == 1 else levels(plan)
        for group in groups:
            added = [self.add(planned) for planned in group if planned.id not in self._plan]
            if len(groups) > 1:
                for step in added:
                    await step.wait_until_done()

    def add(self, planned: PlannedStep) -> Step[Any]:
        """Add one step, which starts once what it depends on is done; returns what others wait for.

        The steps that it depends on have been added.
        """
        needed = [self._usable[other] for other in planned.dependencies]
        agent = agent_of(planned)
        briefing = self._brief.steps() if agent is not None else ()

        async def work(*results: Any) -> Any:
            return await self._tools.run(planned, self._arguments(planned, results), self._brief)

        name = f"{planned.id} {planned.action}"
        step = self._flow.step(name, work, *needed, *briefing, agent=agent, role=planned.action)
        step.when_done(self._note)
        self._plan[planned.id], self._work[planned.id] = planned, step
        self._usable[planned.id] = step if agent is None else self._checked(planned, step, needed)
        return self._usable[planned.id]

    def texts(self) -> list[tuple[str, str]]:
        """Return what was written, as (template, text): each result, and its check after it."""
        found: list[tuple[str, str]] = []
        for name, planned in self._plan.items():
            if agent_of(planned) is None:
                continue
            for template, step in ((written_as(planned), self._work[name]), (_check(planned), self._checks[name])):
                if isinstance(text := step.peek(), str):
                    found.append((template, text))
        return found

    def _checked(self, planned: PlannedStep, step: Step[str], needed: Sequence[Step[Any]]) -> Step[str]:
        """Add the check of what a model wrote; returns what others wait for."""
        critical = planned.more.get("critical") is True

        async def verify(text: str, *results: Any) -> str:
            used = sources(self._arguments(planned, results), self._brief)
            return await self._verdict(planned, [*used, text], critical=critical)

        name = f"{planned.id} verify"
        check = self._flow.step(name, verify, step, *needed, agent=VERIFIER, role="verify")
        check.when_done(self._note)
        self._checks[planned.id] = check
        if self._flags.background_verification and not critical:
            return step
        return self._flow.step(f"{planned.id} verified", _first, step, check, role="verify")

    async def _verdict(self, planned: PlannedStep, texts: list[str], *, critical: bool) -> str:
        verdict = await self._agents.write(VERIFIER, _check(planned), texts, model=SMALL)
        if facts_of(verdict).get(f"{written_as(planned)}_check") != "confirmed":
            problem = f"step {planned.id}: the verifier does not confirm {written_as(planned)}"
            if critical:
                raise RefutedError(problem)
            self.faults.append(problem)
        return verdict

    def _arguments(self, planned: PlannedStep, results: Sequence[Any]) -> dict[str, Any]:
        return planned.arguments(dict(zip(planned.dependencies, results, strict=False)))

    def _note(self, step: Step[Any]) -> None:
        error = step.error()
        if step.state == "failed":
            self.faults.append(f"step {step.name} failed: {error}")


def levels(plan: Sequence[PlannedStep]) -> list[list[PlannedStep]]:
    """Return the steps of a plan in levels: each step one below the lowest that it depends on."""
    depth: dict[str, int] = {}
    found: list[list[PlannedStep]] = []
    for planned in plan:
        level = max((depth[other] + 1 for other in planned.dependencies), default=0)
        depth[planned.id] = level
        if level == len(found):
            found.append([])
        found[level].append(planned)
    return found


def _check(planned: PlannedStep) -> str:
    return f"verify_{written_as(planned)}"


async def _first(text: str, _verdict: str) -> str:
    return text
