"""Agents with tools, a handoff, a guardrail, a stream and a failing tool; run under `spanwise run`.

Takes the base URL of a provider. It says nothing of spanwise.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from agents import Agent, GuardrailFunctionOutput, InputGuardrail, Runner, function_tool, trace
from agents import OpenAIChatCompletionsModel as ChatModel
from agents import OpenAIResponsesModel as ResponsesModel
from openai import AsyncOpenAI

CLIENT = AsyncOpenAI(base_url=sys.argv[1], api_key="x")
TEXT = "ticker = ACME\nCall the tools {}.\nState close."


@function_tool  # type: ignore[untyped-decorator]
async def price(ticker: str) -> str:
    """Return the price of a ticker."""
    await asyncio.sleep(0.01)
    return "close = 7"


@function_tool  # type: ignore[untyped-decorator]
async def news(ticker: str) -> str:
    """Return the news of a ticker."""
    raise ConnectionError(ticker)


async def allow(*_: object) -> Any:
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


async def main() -> None:
    chat, responses = ChatModel("sim-small", CLIENT), ResponsesModel("sim-small", CLIENT)
    trader = Agent(name="trader", model=chat)
    guarded = Agent(name="guarded", model=responses, tools=[price], input_guardrails=[InputGuardrail(allow)])
    with trace("responses"):
        await Runner.run(guarded, TEXT.format("price"))
    with trace("streamed"):
        async for _ in Runner.run_streamed(guarded, TEXT.format("price")).stream_events():
            pass
    with trace("chat"):
        await Runner.run(Agent(name="analyst", model=chat, tools=[price, news]), TEXT.format("price, news"))
    with trace("handoff"):
        await Runner.run(Agent(name="desk", model=chat, handoffs=[trader]), TEXT.format("transfer_to_trader"))


asyncio.run(main())
