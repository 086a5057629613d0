"""Our limits against buckets that somebody else wrote: llmock charges in advance and refuses what is too much."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from llmock.ratelimit import LimitSettings
from llmock.testing import LLMockServer

from spanwise_pipeline import Clock, ModelClient, ModelLimits, RateLimit, Retries

TOKENS = 60_000
CALLS = 85
MAX_TOKENS = 600


def sending(base_url: str, limits: ModelLimits | None) -> tuple[list[Any], float]:
    async def main() -> tuple[list[Any], float]:
        client = ModelClient(
            base_url=base_url, api_key="any", clock=Clock(), limits=limits, retries=Retries(attempts=1)
        )
        text = "word " * 200
        began = time.monotonic()
        calls = [
            client.chat(model="gpt-4o", messages=[{"role": "user", "content": f"{n} {text}"}], max_tokens=MAX_TOKENS)
            for n in range(CALLS)
        ]
        try:
            answers = await asyncio.gather(*calls, return_exceptions=True)
            return answers, time.monotonic() - began
        finally:
            await client.close()

    return asyncio.run(main())


def failures(answers: list[Any]) -> list[BaseException]:
    return [answer for answer in answers if isinstance(answer, BaseException)]


def test_nothing_is_refused_at_saturation_and_the_makespan_is_the_bound() -> None:
    with LLMockServer() as server:
        server.app.state.llmock.limiter.configure(LimitSettings(rpm=2400, tpm=TOKENS))
        rate = RateLimit("m", clock=Clock(), requests_per_minute=2400, tokens_per_minute=TOKENS)

        answers, seconds = sending(server.base_url("openai"), ModelLimits(rate=rate))

    bound = (rate.statistics().charged_tokens - 0.9 * TOKENS) / (0.9 * TOKENS) * 60
    assert failures(answers) == []
    assert bound > 4.0
    assert bound - 0.1 <= seconds <= bound + 1.5


def test_without_limits_the_same_calls_are_refused() -> None:
    with LLMockServer() as server:
        server.app.state.llmock.limiter.configure(LimitSettings(rpm=2400, tpm=TOKENS))

        answers, _ = sending(server.base_url("openai"), None)

    assert len(failures(answers)) > 5
