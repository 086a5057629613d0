"""The entry point for programs that are not async: one orchestrator over a folder, for as long as it is open.

    with Session(folder, base_url=address, api_key=key, performance="performance.yaml") as session:
        print(session.answer(request).sections["Report"])

Connections, caches and the index are kept between requests, because all of them run on one event loop.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from spanwise_pipeline import Clock, EventLoopThread, Resources, SystemContext
from spanwise_pipeline.systems.orchestrator.flags import OrchestratorFlags
from spanwise_pipeline.systems.orchestrator.orchestrator import Orchestrator, needs
from spanwise_pipeline.systems.orchestrator.performance import load_performance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    import httpx2

    from spanwise_pipeline.systems.orchestrator.orchestrator import Answer


class Session:
    """Answers requests one after another.

    Args:
        folder: the user's documents, tools and memory.
        base_url: address of an OpenAI-compatible endpoint, up to and including `/v1`.
        api_key: its key.
        performance: file of switches; without one all are off.
        clock: system time.
        transport: makes what replaces the network, told whether connections are kept.
    """

    def __init__(
        self, folder: Path, *, base_url: str, api_key: str, performance: str | Path | None = None,
        clock: Clock | None = None,
        transport: Callable[[bool], httpx2.AsyncBaseTransport] | None = None,
    ) -> None:  # fmt: skip
        self._folder = folder
        self._base_url = base_url
        self._api_key = api_key
        self._flags = load_performance(performance) if performance is not None else OrchestratorFlags()
        self._clock = clock or Clock()
        self._transport = transport
        self._loop = EventLoopThread("orchestrator")
        self._open = AsyncExitStack()
        self._orchestrator: Orchestrator | None = None

    def __enter__(self) -> Self:
        """Open it."""
        self._loop.__enter__()
        try:
            self._orchestrator = self._loop.run(self._begin)
        except BaseException:
            self._loop.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Wait for what goes on in the background, and close everything."""
        try:
            self._loop.run(self._open.aclose)
        finally:
            self._loop.__exit__(None, None, None)

    def answer(self, request: str) -> Answer:
        """Answer a request.

        Raises:
            PlanError: the planner's plan cannot be carried out.
            RuntimeError: outside of the `with` block.
        """
        if self._orchestrator is None:
            raise RuntimeError("the session is not open; use it inside its 'with' block")
        return self._loop.run(self._orchestrator.answer, request)

    async def _begin(self) -> Orchestrator:
        resources = Resources("orchestrator", needs(self._flags), clock=self._clock)
        await self._open.enter_async_context(resources)
        context = SystemContext(
            base_url=self._base_url, api_key=self._api_key, clock=self._clock, seed=None, label_requests=False,
            publish=lambda _agent, _text: None, resources=resources, transport=self._transport,
        )  # fmt: skip
        orchestrator = Orchestrator(context, self._flags, self._folder)
        self._open.push_async_callback(orchestrator.close)
        await self._open.enter_async_context(resources.background)
        return orchestrator
