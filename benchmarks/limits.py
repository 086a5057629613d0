"""What keeping a provider's limits is worth: the same calls with our limits, and with the client's retries alone.

Each way sends the same calls, 64 at once, to a server of its own: the simulated provider (at speed 20) or llmock (in
real time). Printed are the makespan, failed calls, answers 429, and the bound that nobody can beat who keeps the
margin: (charged tokens - burst) / (margin x tokens a minute).

    .venv/bin/python benchmarks/limits.py [--llmock] [--calls 480] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from spanwise_pipeline import Clock, ModelClient, ModelLimits, RateLimit, Retries
from spanwise_pipeline.calls.wire import warm_up
from spanwise_pipeline.provider.profile import Model, Profile
from spanwise_pipeline.provider_process import ProviderProcess

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

REQUESTS, TOKENS = 2400, 120_000
MARGIN = 0.9
AT_ONCE = 64
MAX_TOKENS = 600


@dataclass
class Measured:
    """One way, once."""

    seconds: float
    failed: int
    refused: int
    charged: float

    @property
    def bound(self) -> float:
        """The least makespan within the margin."""
        return max(0.0, self.charged - MARGIN * TOKENS) / (MARGIN * TOKENS) * 60


def prompts(calls: int) -> list[list[dict[str, Any]]]:
    """Return the same prompts each time: 10 to 300 words."""
    draw = random.Random(7)
    texts = [f"a = {n}\nState a.\n{'word ' * draw.randrange(10, 300)}" for n in range(calls)]
    return [[{"role": "user", "content": text}] for text in texts]


async def limited(base_url: str, clock: Clock, calls: int, **limits: Any) -> tuple[list[Any], float]:
    """Send all calls through a client of ours; returns the answers and what was charged."""
    rate = RateLimit("m", clock=clock, margin=MARGIN, **limits) if limits else None
    client = ModelClient(
        base_url=base_url, api_key="any", clock=clock, retries=Retries(attempts=1 if limits else 3),
        limits=ModelLimits(rate=rate),
    )  # fmt: skip
    places = asyncio.Semaphore(AT_ONCE)

    async def one(messages: list[dict[str, Any]]) -> Any:
        async with places:
            return await client.chat(model="m", messages=messages, max_tokens=MAX_TOKENS)

    try:
        answers = await asyncio.gather(*(one(messages) for messages in prompts(calls)), return_exceptions=True)
    finally:
        await client.close()
    return answers, rate.statistics().charged_tokens if rate is not None else 0.0


async def sdk(base_url: str, calls: int, retries: int, transport: httpx2.AsyncBaseTransport) -> list[Any]:
    """Send all calls through the official client with its own retries."""
    http = httpx2.AsyncClient(transport=transport, timeout=600)
    client = openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=retries, http_client=http)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(messages: Any) -> Any:
        async with places:
            return await client.chat.completions.create(model="m", messages=messages, max_tokens=MAX_TOKENS)

    try:
        return await asyncio.gather(*(one(messages) for messages in prompts(calls)), return_exceptions=True)
    finally:
        await client.close()


class Counting(httpx2.AsyncHTTPTransport):
    """The network, which counts the answers 429."""

    refused = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request."""
        response = await super().handle_async_request(request)
        self.refused += response.status_code == 429
        return response


def failures(answers: list[Any]) -> int:
    """Return how many of the answers are errors."""
    return sum(isinstance(answer, BaseException) for answer in answers)


async def ours(base_url: str, clock: Clock, calls: int) -> Measured:
    """Requests and tokens a minute, no retries."""
    began = time.perf_counter()
    answers, charged = await limited(base_url, clock, calls, requests_per_minute=REQUESTS, tokens_per_minute=TOKENS)
    refused = sum(isinstance(answer, openai.RateLimitError) for answer in answers)
    return Measured((time.perf_counter() - began) * clock.speed, failures(answers), refused, charged)


def client_alone(retries: int) -> Callable[[str, Clock, int], Awaitable[Measured]]:
    """Return the way of the official client with so many retries."""

    async def run(base_url: str, clock: Clock, calls: int) -> Measured:
        counting = Counting()
        began = time.perf_counter()
        answers = await sdk(base_url, calls, retries, counting)
        return Measured((time.perf_counter() - began) * clock.speed, failures(answers), counting.refused, 0.0)

    return run


WAYS: dict[str, Callable[[str, Clock, int], Awaitable[Measured]]] = {
    "requests and tokens a minute (ours)": ours,
    "the client's default (2 retries)": client_alone(2),
    "the client with 12 retries": client_alone(12),
}


@asynccontextmanager
async def server(*, llmock: bool, speed: float) -> AsyncGenerator[str]:
    """Serve a provider with the limits and nothing used up; gives its base URL."""
    if llmock:
        from llmock.ratelimit import LimitSettings  # noqa: PLC0415 - a dependency of tests
        from llmock.testing import LLMockServer  # noqa: PLC0415 - likewise

        with LLMockServer() as mock:
            mock.app.state.llmock.limiter.configure(LimitSettings(rpm=REQUESTS, tpm=TOKENS))
            yield mock.base_url("openai")
        return
    model = Model(
        time_to_first_token_s=1.0, time_per_token_s=0.01, requests_per_minute=REQUESTS, tokens_per_minute=TOKENS
    )
    async with ProviderProcess(Profile("limited", default_model=model), speed) as provider:
        yield provider.base_url


async def main() -> None:
    """Run each way in turns and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llmock", action="store_true", help="against llmock, in real time")
    parser.add_argument("--calls", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    speed = 1.0 if options.llmock else 20.0
    warm_up()
    print(f"{options.calls} calls, {REQUESTS} requests and {TOKENS} tokens a minute, margin {MARGIN}, speed {speed:g}")
    for _ in range(options.rounds):
        for name, way in WAYS.items():
            async with server(llmock=options.llmock, speed=speed) as base_url:
                found = await way(base_url, Clock(speed), options.calls)
            bound = f", bound {found.bound:.1f} s, ratio {found.seconds / found.bound:.3f}" if found.charged else ""
            print(f"{name:38} {found.seconds:7.1f} s, {found.failed} failed, {found.refused} answers 429{bound}")


if __name__ == "__main__":
    asyncio.run(main())
