"""A graph with each of LangGraph's ways to go on, called in each way; run under `spanwise run`.

Takes the base URL of a provider. It says nothing of spanwise.
"""

from __future__ import annotations

import asyncio
import operator
import sys
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

TEXT = "a = 1\nState a.\nUse about 25 words for each fact."
MODEL = ChatOpenAI(model="sim-small", base_url=sys.argv[1], api_key="x")
FAKE = FakeListChatModel(responses=["x"])
failures = [ConnectionError("once")]


class State(TypedDict):
    seen: Annotated[list[str], operator.add]


def seen(name: str) -> Any:
    return {"seen": [name]}


@tool  # type: ignore[untyped-decorator]
def price(ticker: str) -> str:
    """Return the price of a ticker."""
    FAKE.invoke(ticker)
    return "1"


def left(_: State) -> Any:
    MODEL.invoke(TEXT)
    return seen("left")


def right(_: State) -> Any:
    return seen(FAKE.invoke("x").content)


def inner(_: State) -> Any:
    return seen(price.invoke({"ticker": "ACME"}))


def worker(_: State) -> Any:
    return seen("worker")


def flaky(_: State) -> Any:
    if failures:
        raise failures.pop()
    return seen("flaky")


def fan(_: State) -> list[Send]:
    return [Send("worker", {"seen": []}), Send("worker", {"seen": []})]


def desk() -> Any:
    sub = StateGraph(State).add_node("inner", inner).add_edge(START, "inner").compile()
    graph = StateGraph(State).add_node("left", left).add_node("right", right).add_node("sub", sub)
    graph.add_node("worker", worker).add_node("flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.01))
    graph.add_edge(START, "left").add_edge(START, "right").add_edge(["left", "right"], "sub")
    return graph.add_conditional_edges("sub", fan, ["worker"]).add_edge("worker", "flaky").compile(name="desk")


async def ask(_: State) -> Any:
    await MODEL.ainvoke(TEXT)
    return seen("ask")


async def read(_: State) -> Any:
    async for _chunk in MODEL.astream(TEXT):
        pass
    return seen("read")


def approve(_: State) -> Any:
    return seen(interrupt("may I?"))


async def at_once() -> None:
    graph = StateGraph(State).add_node("ask", ask).add_node("read", read)
    await graph.add_edge(START, "ask").add_edge(START, "read").compile(name="at_once").ainvoke({"seen": []})


def main() -> None:
    failures.clear()
    failures.append(ConnectionError("once"))
    desk().invoke({"seen": []})
    for _ in desk().with_config(run_name="streamed").stream({"seen": []}):
        pass
    asyncio.run(at_once())
    chain = ChatPromptTemplate.from_template("{x}") | MODEL
    chain.with_config(run_name="chain").invoke({"x": TEXT})
    for _ in chain.with_config(run_name="chain_streamed").stream({"x": TEXT}):
        pass
    asked = StateGraph(State).add_node("approve", approve).add_edge(START, "approve")
    human = asked.compile(name="human", checkpointer=InMemorySaver())
    where: Any = {"configurable": {"thread_id": "1"}}
    human.invoke({"seen": []}, where)
    human.invoke(Command(resume="yes"), where)


main()
