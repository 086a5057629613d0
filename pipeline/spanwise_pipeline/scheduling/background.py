"""Background steps: they do not hold the answer, and are drained before the process ends.

async with Background() as background:
    async with Flow(background=background) as flow:
        answer = flow.step("answer", write)
        flow.step("verify", verify, answer, background=True)
    send(answer.result())   # at once
# here the verification is done
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

    from spanwise_pipeline.scheduling.flow import Flow
    from spanwise_pipeline.scheduling.step import Step


class Background:
    """Flows whose blocks have ended and whose background steps go on; leaving the block waits for them."""

    def __init__(self) -> None:
        self._flows: list[Flow] = []

    def __repr__(self) -> str:
        return f"<Background: {self.running} steps running>"

    @property
    def running(self) -> int:
        """How many background steps are not done yet."""
        return sum(1 for flow in self._flows for step in flow.steps if step.background and not step.done())

    def adopt(self, flow: Flow) -> None:
        """Take over the background steps of a flow; the end of its block does so."""
        self._flows.append(flow)

    async def drain(self) -> tuple[Step[Any], ...]:
        """Wait for every background step and return those that failed, in the order in which they were added.

        When this is cancelled, all of them are cancelled and waited for.
        """
        failed: list[Step[Any]] = []
        try:
            while self._flows:
                flow = self._flows.pop(0)
                failed += await flow.drain()
        except asyncio.CancelledError:
            await self._close()
            raise
        return tuple(failed)

    async def _close(self) -> None:
        while self._flows:
            await self._flows.pop().close()

    async def __aenter__(self) -> Self:
        """Open it."""
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Wait for every background step; cancel them when the block failed or is cancelled.

        Raises:
            ExceptionGroup: the errors of background steps that nobody has looked at.
        """
        if error is not None:
            await self._close()
            return
        failures = [step.failure for step in await self.drain() if not step.examined]
        errors = [failure for failure in failures if isinstance(failure, Exception)]
        if errors:
            raise ExceptionGroup("background steps failed", errors)
