"""What the steps of a plan do: search, read, analyse and write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from spanwise.errors import InputError, nearest
from spanwise_pipeline.systems.orchestrator.prompts import ANALYSTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanwise_pipeline import PlannedStep
    from spanwise_pipeline.systems.orchestrator.agents import Agents
    from spanwise_pipeline.systems.orchestrator.catalogue import Catalogue
    from spanwise_pipeline.systems.orchestrator.library import Library
    from spanwise_pipeline.systems.orchestrator.planner import Brief

DECISION = "decision"
REPORT = "report"
_WRITER = "report_writer"


class Tools:
    """The actions of one user's plans.

    Args:
        agents: write.
        catalogue: says what parameters each tool takes.
        library: the user's documents.
    """

    def __init__(self, agents: Agents, catalogue: Catalogue, library: Library) -> None:
        self._agents = agents
        self._catalogue = catalogue
        self._library = library

    async def run(self, planned: PlannedStep, arguments: Mapping[str, Any], brief: Brief) -> Any:
        """Carry out one step of a plan, and return its result.

        Raises:
            InputError: the step's parameters are not those of its tool, or name something that is not there.
        """
        tool = await self._catalogue.tool(planned.action)
        tool.check(planned.id, arguments)
        match planned.action:
            case "search_files":
                return {"files": await self._library.search(**arguments)}
            case "read_file":
                return (await self._library.read(arguments["path"])).text
            case "analyze_content":
                return await self._analyze(arguments["topic"], sources(arguments, brief), brief)
            case "create_report":
                return await self._report(arguments["path"], arguments["texts"], brief)
            case other:
                raise InputError(
                    f"step {planned.id}: there is no code for the tool {other!r}; take it off the catalogue"
                )

    async def _analyze(self, topic: str, texts: Sequence[str], brief: Brief) -> str:
        if topic not in ANALYSTS:
            raise InputError(f"nobody analyses the topic {topic!r}; {nearest(topic, ANALYSTS)}")
        return await self._agents.write(ANALYSTS[topic], topic, texts, model=brief.model())

    async def _report(self, path: str, texts: Sequence[str], brief: Brief) -> str:
        known = [*texts, brief.intent.result(), brief.memory.result()]
        text = await self._agents.write(_WRITER, REPORT, known, model=brief.model())
        await self._library.write(path, f"{text}\n")
        return text


def agent_of(planned: PlannedStep) -> str | None:
    """Return the agent that a step is the work of; `None` where no model is asked."""
    if planned.action == "analyze_content":
        return ANALYSTS.get(str(planned.parameters.get("topic")), "analyst")
    return _WRITER if planned.action == "create_report" else None


def written_as(planned: PlannedStep) -> str:
    """Return the name of the template by which a step's result was written."""
    return REPORT if planned.action == "create_report" else str(planned.parameters.get("topic"))


def sources(arguments: Mapping[str, Any], brief: Brief) -> list[str]:
    """Return what a step's result rests on: its texts, and for the decision the intent and the memory too."""
    texts = arguments["texts"]
    assert _is_texts(texts)
    more = [brief.intent.result(), brief.memory.result()] if arguments.get("topic") == DECISION else []
    return [*texts, *more]


def _is_texts(value: Any) -> TypeGuard[Sequence[str]]:
    return isinstance(value, Sequence) and not isinstance(value, str)
