"""Embeddings in batches: several requests at once, each tried again, and text by text where a batch is refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import openai

import spanwise
from spanwise_pipeline.calls.recorded import RecordedCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise_pipeline.calls.retrying import RetryCourse
    from spanwise_pipeline.calls.wire import Wire
    from spanwise_pipeline.clock import Clock
    from spanwise_pipeline.limits.model import ModelLimits

Vectors = list[list[float]]
_BAD: Final = frozenset({400, 413, 422})


class Embedding:
    """One call for the vectors of many texts."""

    def __init__(
        self, wire: Wire, course: Callable[[], RetryCourse], limits: ModelLimits, clock: Clock, seed: int | None
    ) -> None:
        self._wire = wire
        self._course = course
        self._limits = limits
        self._clock = clock
        self._seed = seed
        """For the simulated provider, which draws by it; other endpoints know no such field."""

    async def run(self, model: str, texts: list[str], dimensions: int | None, batch: int, at_once: int) -> Vectors:
        """Return the vector of each text, in order."""
        request: dict[str, Any] = {"model": model} | ({"dimensions": dimensions} if dimensions is not None else {})
        if self._seed is not None:
            request["extra_body"] = {"seed": self._seed}
        places = asyncio.Semaphore(at_once)

        async def one(start: int) -> list[list[float] | Exception]:
            async with places:
                return await self._batch(request, texts[start : start + batch], start)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(start)) for start in range(0, len(texts), batch)]
        found = [vector for task in tasks for vector in task.result()]
        errors = [one for one in found if isinstance(one, Exception)]
        if errors:
            raise ExceptionGroup(f"{len(errors)} of {len(texts)} texts were not embedded", errors)
        return [one for one in found if not isinstance(one, Exception)]

    async def _batch(self, request: dict[str, Any], texts: list[str], start: int) -> list[list[float] | Exception]:
        try:
            return list(await self._asked(request | {"input": texts}))
        except openai.APIStatusError as error:
            if error.status_code not in _BAD:
                raise
            if len(texts) == 1:
                error.add_note(f"text {start}")
                return [error]
        singles = [await self._batch(request, [text], start + offset) for offset, text in enumerate(texts)]
        return [vector for single in singles for vector in single]

    async def _asked(self, request: dict[str, Any]) -> Vectors:
        model, dimensions = request["model"], request.get("dimensions")
        recorded = RecordedCall(self._course(), lambda: spanwise.embeddings(model, dimensions=dimensions).start())

        async def send(number: int) -> Vectors:
            async with self._limits.admit(request | {"max_tokens": 1}, "", self._clock) as admission:
                with recorded.request() as attempt:
                    try:
                        vectors, tokens = await self._wire.embed(request, attempt, admission.headers)
                    except Exception as error:
                        recorded.course.decide(error, number)
                        raise
                    admission.used = (tokens, 0)
                    return vectors

        return await recorded.answer(send)
