"""How each finding is acted upon, as a few lines of code: in plain asyncio, in LangGraph, with spanwise's own runtime.

Names in the code are examples. Every piece is a complete statement, so that a test can compile it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change, written three ways."""

    asyncio: str
    langgraph: str
    pipeline: str
    """With `spanwise_pipeline`."""


_CACHE: Final = Remedy(
    asyncio="""\
if key not in asked:  # a dict: who asks meanwhile awaits the same task
    asked[key] = asyncio.create_task(fetch(key))
value = await asked[key]""",
    langgraph="""\
builder.add_node("fetch", fetch, cache_policy=CachePolicy(ttl=300))
graph = builder.compile(cache=InMemoryCache())""",
    pipeline="""\
prices = Cache("prices", ttl=300)
value = await prices.get({"ticker": ticker}, lambda: fetch(ticker))""",
)
_TEXT: Final = Remedy(
    asyncio="""\
notes = {name: report.splitlines()[0] for name, report in reports.items()}
answer = await decide(notes)  # a line each, not the whole reports""",
    langgraph="""\
def analyst(state):
    report = write(state)
    return {"verdicts": [report.verdict]}  # what the next node reads""",
    pipeline="""\
verdict = flow.step("verdict", shorten, report)
decision = flow.step("decision", decide, verdict, agent="manager")""",
)
REMEDIES: Final[Mapping[str, Remedy]] = {
    "sequential-calls": Remedy(
        asyncio="news, prices = await asyncio.gather(read_news(ticker), read_prices(ticker))",
        langgraph="""\
builder.add_edge(START, "news")
builder.add_edge(START, "prices")
builder.add_edge(["news", "prices"], "decide")""",
        pipeline="""\
news = flow.step("news", read_news, brief, agent="news")
prices = flow.step("prices", read_prices, brief, agent="prices")
decision = flow.step("decision", decide, news, prices, agent="manager")""",
    ),
    "idle-barrier": Remedy(
        asyncio="""\
async def side(ticker):
    return await argue(await read_prices(ticker))  # its own input only

both = await asyncio.gather(side(ticker), read_news(ticker))""",
        langgraph="""\
builder.add_edge("prices", "bull")  # not from ["prices", "news"]""",
        pipeline="""\
bull = flow.step("bull", argue, prices, agent="bull")  # no other inputs""",
    ),
    "straggler": Remedy(
        asyncio="""\
first = asyncio.create_task(call())
done, _ = await asyncio.wait({first}, timeout=usual)
both = {first} if done else {first, asyncio.create_task(call())}
done, others = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
for other in others:
    other.cancel()
answer = done.pop().result()""",
        langgraph="""\
builder.add_node("search", search, retry_policy=RetryPolicy(max_attempts=2))
graph = builder.compile()
graph.step_timeout = 10  # of a whole step""",
        pipeline="""\
async with asyncio.timeout(usual):
    reply = await models.chat(model=model, messages=messages)""",
    ),
    "duplicate-calls": _CACHE,
    "repeated-runs": _CACHE,
    "missed-cache": Remedy(
        asyncio="""\
@functools.lru_cache(maxsize=4096)
def indicators(ticker, day):  # what the value depends on, and nothing else
    return compute(ticker, day)""",
        langgraph="""\
policy = CachePolicy(key_func=lambda state: state["ticker"], ttl=3600)
builder.add_node("indicators", indicators, cache_policy=policy)""",
        pipeline="""\
indicators = Cache("indicators", capacity=4096, ttl=3600)""",
    ),
    "retry-storm": Remedy(
        asyncio="""\
slots = asyncio.Semaphore(8)  # below the provider's limit
async with slots:
    answer = await ask(model, messages)""",
        langgraph="""\
await graph.ainvoke(state, {"max_concurrency": 8})""",
        pipeline="""\
limit = ConcurrencyLimit("provider", 8)
flow = Flow(limit=limit)""",
    ),
    "low-limit": Remedy(
        asyncio="slots = asyncio.Semaphore(8)  # was 2; go up step by step and watch for 429",
        langgraph="""\
await graph.ainvoke(state, {"max_concurrency": 8})""",
        pipeline="""\
limit = ConcurrencyLimit("provider", 8)""",
    ),
    "blocking-call": Remedy(
        asyncio="rows = await asyncio.to_thread(read_file, path)",
        langgraph="""\
async def load(state):
    return {"rows": await asyncio.to_thread(read_file, state["path"])}""",
        pipeline="""\
rows = await in_thread(read_file, path)""",
    ),
    "connection-churn": Remedy(
        asyncio="""\
client = AsyncOpenAI()  # once for the whole program, not in every function""",
        langgraph="""\
model = ChatOpenAI(model="gpt-5-mini")  # at module level; nodes share it""",
        pipeline="""\
models = context.model_client(pooled=True)""",
    ),
    "uncached-prefix": Remedy(
        asyncio="""\
messages = [*instructions, *documents, question]  # what changes comes last""",
        langgraph="""\
def node(state):
    return model.invoke([SYSTEM, *state["documents"], state["question"]])""",
        pipeline="""\
messages = [*instructions, *documents, question]  # what changes comes last""",
    ),
    "repeated-context": _TEXT,
    "growing-context": Remedy(
        asyncio="""\
messages = [*instructions, summary, *messages[-6:]]""",
        langgraph="""\
recent = trim_messages(messages, max_tokens=4000, token_counter=model)""",
        pipeline="""\
messages = [*instructions, summary, *messages[-6:]]""",
    ),
    "unused-output": Remedy(
        asyncio="""\
answer = await client.chat.completions.create(
    model=model, messages=messages, max_completion_tokens=200
)""",
        langgraph="""\
model = ChatOpenAI(max_tokens=200).with_structured_output(Verdict)""",
        pipeline="""\
brief = "Answer with the verdict and three figures, a line each."\n""",
    ),
    "unread-tool-result": Remedy(
        asyncio="""\
background = asyncio.create_task(audit(order))  # for its effect""",
        langgraph="""\
agent = create_react_agent(model, [prices, news])  # without the tool""",
        pipeline="""\
tools = Toolbox([prices, news])  # without the tool""",
    ),
    "idle-critic": Remedy(
        asyncio="""\
if not is_valid(draft):  # JSON, length, the fields that are needed
    draft = await revise(draft, await criticise(draft))""",
        langgraph="""\
def after_draft(state):
    return "critic" if state["faults"] else END

builder.add_conditional_edges("draft", after_draft)""",
        pipeline="""\
if faults_of(draft):
    flow.step("revise", revise, critic, agent="writer")""",
    ),
}
"""Id of a finding to how it is done."""
