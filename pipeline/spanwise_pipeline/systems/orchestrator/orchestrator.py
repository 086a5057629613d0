"""The orchestrator: from a request to a report, over a user's folder of documents."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from spanwise_pipeline import CacheUse, Flow, Limits, Retries, StepSkippedError, Threads, facts_of
from spanwise_pipeline.systems.orchestrator.agents import LARGE, SMALL, Agents
from spanwise_pipeline.systems.orchestrator.catalogue import Catalogue
from spanwise_pipeline.systems.orchestrator.executor import Executor
from spanwise_pipeline.systems.orchestrator.library import EMBEDDING_MODEL, Embedder, Library
from spanwise_pipeline.systems.orchestrator.planner import MEMORY, Planner
from spanwise_pipeline.systems.orchestrator.prompts import Templates, read_template
from spanwise_pipeline.systems.orchestrator.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spanwise_pipeline import ModelClient, Need, Step, SystemContext
    from spanwise_pipeline.systems.orchestrator.flags import OrchestratorFlags

MARGIN: Final = 0.9
"""The share of the provider's limits that is used."""
_RETRIES: Final = Retries(attempts=6)
"""A request has about a hundred calls, and one that fails for good costs a part of the answer."""
TOOLS: Final = "tools"
"""Folder of the tools' manifests."""
_DRIVE: Final = "drive"
_DRIVE_THREADS: Final = 16


def needs(flags: OrchestratorFlags) -> tuple[Need, ...]:
    """Return what an orchestrator needs besides its model and the user's folder."""
    large = Limits(
        LARGE,
        concurrency=flags.max_parallel_llm_calls or None,
        requests_per_minute=flags.requests_per_minute or None,
        tokens_per_minute=flags.tokens_per_minute or None,
        margin=MARGIN,
    )
    others = (replace(large, name=name, concurrency=None) for name in (SMALL, EMBEDDING_MODEL))
    return (Threads(_DRIVE, _DRIVE_THREADS), large, *others)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    sections: Mapping[str, str]
    """What was written, by title."""
    faults: tuple[str, ...]
    """What did not work; the answer lacks what rests on it."""


class Orchestrator:
    """One user's orchestrator; may answer several requests, and keeps connections, caches and index between them.

    Args:
        context: model, clock and resources, those of `needs` among them.
        flags: what is switched on.
        folder: the user's, with a folder `tools` of manifests, a folder `memory`, and documents in other folders.
    """

    def __init__(self, context: SystemContext, flags: OrchestratorFlags, folder: Path) -> None:
        self._context = context
        self._flags = flags
        drive = context.pool(_DRIVE)
        self._models = _models(context, flags)
        self._templates = Templates(context.clock, cached=flags.prompt_template_cache)
        self._catalogue = Catalogue(folder / TOOLS, drive, context.clock, cached=flags.tool_catalogue_cache)
        self._library = Library(folder, Embedder(self._models, flags), drive, context.clock)
        self._agents = Agents(self._models, self._templates, context.publish, concise=flags.concise_texts)
        self._planner = Planner(self._agents, self._catalogue, self._library, flags)
        self._tools = Tools(self._agents, self._catalogue, self._library)
        self._remembering: Step[None] | None = None
        """The last update of the memory, which may still run after its answer."""

    async def close(self) -> None:
        """Close the connections, as soon as nothing of the memory is left to write."""
        remembering = self._remembering
        if remembering is None or remembering.done():
            await self._models.close()
            return

        async def close() -> None:
            try:
                await remembering.wait_until_done()
            finally:
                await self._models.close()

        async with Flow(background=self._context.background, clock=self._context.clock) as flow:
            flow.step("close", close, role="remember", background=True)

    def cache_use(self) -> CacheUse:
        """Return how often the caches were asked and spared making a value."""
        readings = [
            found for found in (self._catalogue.statistics(), self._templates.statistics()) if found is not None
        ]
        return CacheUse(
            lookups=sum(reading.hits + reading.coalesced + reading.misses for reading in readings),
            hits=sum(reading.hits + reading.coalesced for reading in readings),
        )

    async def answer(self, request: str) -> Answer:
        """Plan what a request asks for and carry the plan out.

        A step that fails fails what depends on it; the answer then lacks that, and its `faults` say why.

        Raises:
            PlanError: the planner's plan cannot be carried out.
        """
        self._library.begin()
        await self._library.open()
        at_once = self._flags.max_parallel_steps if self._flags.max_parallel_steps > 1 else None
        clock = self._context.clock
        async with Flow(clock=clock) as planning, Flow(at_once=at_once, clock=clock) as steps:
            brief = self._planner.brief(planning, request)
            executor = Executor(steps, brief, self._tools, self._agents, self._flags)
            try:
                plan = await self._planner.plan(planning, request, brief, executor)
            except StepSkippedError as skipped:
                raise (skipped.__cause__ or skipped) from None
            await executor.carry_out(plan)
        changed = [f"{path} changed after it was read; ask again" for path in await self._library.changed()]
        sections = {title_of("intent"): brief.intent.result(), title_of("route"): brief.route.result()}
        sections |= {title_of(template): text for template, text in executor.texts()}
        forgotten = await self._remember(request, sections)
        return Answer(sections, (*executor.faults, *changed, *forgotten))

    async def _remember(self, request: str, sections: Mapping[str, str]) -> list[str]:
        """Update the memory: now, or after the answer. Returns what went wrong by now, which costs no answer."""

        async def remember() -> None:
            await self._library.write(f"{MEMORY}/{_slug(request)}.md", _note(request, sections))
            await self._library.index_written()
            await self._library.save()

        faults: list[str] = []

        def note(step: Step[None]) -> None:
            if (error := step.error()) is not None:
                faults.append(f"the memory was not updated: {error}")

        behind = self._flags.background_memory
        async with Flow(background=self._context.background, clock=self._context.clock) as flow:
            self._remembering = flow.step("remember", remember, role="remember", background=behind)
            if not behind:
                self._remembering.when_done(note)
        return faults


def _models(context: SystemContext, flags: OrchestratorFlags) -> ModelClient:
    large = context.limits(LARGE)  # the provider counts each model for itself; model calls at once count together
    limits = {
        LARGE: large,
        SMALL: replace(context.limits(SMALL), concurrency=large.concurrency),
        EMBEDDING_MODEL: context.limits(EMBEDDING_MODEL),
    }
    return context.model_client(
        pooled=flags.kept_connections > 0,
        retries=_RETRIES,
        kept_connections=flags.kept_connections,
        max_connections=flags.max_connections or None,
        limits=limits,
    )


def title_of(template: str) -> str:
    """Return the title of what a template asks for."""
    return read_template(template).title


def _note(request: str, sections: Mapping[str, str]) -> str:
    question = request.splitlines()[0]
    decided = facts_of(sections.get(title_of("decision"), "")).get("decision", "nothing")
    return (
        f"# {question}\n\nThe last time that this was asked, the answer was to {decided}.\nlast_decision = {decided}\n"
    )


def _slug(request: str) -> str:
    words: list[str] = re.findall(r"[a-z]+", request.splitlines()[0].lower())
    return "-".join(words[:6])
