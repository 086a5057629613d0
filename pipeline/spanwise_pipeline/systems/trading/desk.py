"""The equity research desk: thirteen agents from a request to a decision, as a graph of steps.

Dispatcher, four analysts, a bull and a bear who debate before a research manager, a trader, and three risk views
before a risk manager. The flags change who waits for whom and what is handed on, never what is decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline import Cache, CacheUse, Flow
from spanwise_pipeline.systems.trading import prompts
from spanwise_pipeline.systems.trading.desk_tools import DeskTools, check_figures
from spanwise_pipeline.systems.trading.market_data import CACHE_TTL, MarketData
from spanwise_pipeline.systems.trading.prompts import Composer, Task, facts_of, only_facts

if TYPE_CHECKING:
    from spanwise_pipeline import ModelClient, Reply, Step, SystemContext, Toolbox
    from spanwise_pipeline.systems.trading.flags import TradingFlags

MODEL: Final = "desk-large"
REQUEST: Final = """\
ticker = MSFT
as_of = 2013-03-01
horizon_days = 20
risk_budget = 0.01
max_position = 0.1"""
CLOSE_DEBATE: Final = 2.0
"""The debate gets another round while bull and bear are no further apart than this."""


class Desk:
    """One desk with its data, caches and connections; may serve several runs."""

    def __init__(self, context: SystemContext, flags: TradingFlags) -> None:
        self._context = context
        self._flags = flags
        self._data = MarketData(context.clock, flags)
        self._tools = DeskTools(self._data, flags)
        self._compose = Composer(flags).compose
        self._reports: Cache[str] | None = None
        if flags.cached_reports:
            self._reports = Cache("reports", capacity=64, ttl=CACHE_TTL, clock=context.clock)
        self._models: ModelClient = context.model_client(pooled=flags.pooled_connections)

    async def close(self) -> None:
        """Close the connections."""
        await self._models.close()

    def cache_use(self) -> CacheUse:
        """Return how often the desk's caches were asked and spared making a value."""
        readings = [cache.statistics() for cache in (self._data.cache, self._reports) if cache is not None]
        return CacheUse(
            lookups=sum(reading.hits + reading.coalesced + reading.misses for reading in readings),
            hits=sum(reading.hits + reading.coalesced for reading in readings),
        )

    async def run(self) -> dict[str, str]:
        """Return the sections of the report by title."""
        async with Flow() as flow:
            brief = flow.step("brief", self._brief, agent="dispatcher", role="dispatch")
            market, sentiment, news, fundamentals = self._analysts(flow, brief)
            reports = (market, sentiment, news, fundamentals)
            debate = self._debate(flow, reports)
            plan = flow.step("research_plan", self._plan, debate, agent="research_manager", role="decide")
            trade = flow.step("trade_plan", self._trade, plan, market, brief, agent="trader", role="decide")
            views = self._risk_views(flow, trade)
            decision = flow.step("risk_decision", self._decide, trade, *views, agent="risk_manager", role="decide")
        tasks = (prompts.BRIEF, *prompts.ANALYSTS.values())
        sections = {task.title: step.result() for task, step in zip(tasks, (brief, *reports), strict=True)}
        sections |= debate.result()
        sections |= {prompts.RESEARCH_PLAN.title: plan.result(), prompts.TRADE_PLAN.title: trade.result()}
        risk = zip(prompts.RISK_VIEWS.values(), views, strict=True)
        sections |= {task.title: step.result() for task, step in risk}
        return sections | {prompts.RISK_DECISION.title: decision.result()}

    def _analysts(self, flow: Flow, brief: Step[str]) -> list[Step[str]]:
        steps: list[Step[str]] = []
        before = brief
        for name in prompts.ANALYSTS:
            inputs = (brief,) if self._flags.parallel_analysts or before is brief else (brief, before)
            before = flow.step(f"{name}_report", self._analyst(name), *inputs, agent=f"{name}_analyst", role="analyse")
            steps.append(before)
        return steps

    def _debate(self, flow: Flow, reports: tuple[Step[str], ...]) -> Step[dict[str, str]]:
        concurrent = self._flags.concurrent_debate
        bull = self._speech(flow, "bull_researcher", "bull_opening", prompts.BULL_OPENING, *reports)
        heard = () if concurrent else (bull,)
        bear = self._speech(flow, "bear_researcher", "bear_opening", prompts.BEAR_OPENING, *reports, *heard)

        async def moderate(bull_case: str, bear_case: str) -> dict[str, str]:
            spoken = {prompts.BULL_OPENING.title: bull_case, prompts.BEAR_OPENING.title: bear_case}
            if abs(_figure(bull_case, "bull_strength") - _figure(bear_case, "bear_strength")) > CLOSE_DEBATE:
                return spoken
            answer = self._speech(flow, "bull_researcher", "bull_rebuttal", prompts.BULL_REBUTTAL, bull, bear)
            heard = () if concurrent else (answer,)
            reply = self._speech(flow, "bear_researcher", "bear_rebuttal", prompts.BEAR_REBUTTAL, bull, bear, *heard)
            return spoken | {prompts.BULL_REBUTTAL.title: await answer, prompts.BEAR_REBUTTAL.title: await reply}

        return flow.step("debate", moderate, bull, bear, role="debate")

    def _risk_views(self, flow: Flow, trade: Step[str]) -> list[Step[str]]:
        steps: list[Step[str]] = []
        for name, task in prompts.RISK_VIEWS.items():
            heard = () if self._flags.concurrent_risk else tuple(steps)
            steps.append(self._speech(flow, f"{name}_analyst", f"{name}_view", task, trade, *heard, role="risk"))
        return steps

    def _speech(
        self, flow: Flow, agent: str, step: str, task: Task, *heard: Step[str], role: str = "debate"
    ) -> Step[str]:
        async def speak(*texts: str) -> str:
            return await self._write(agent, step, task, texts)

        return flow.step(step, speak, *heard, agent=agent, role=role)

    async def _brief(self) -> str:
        return await self._write("dispatcher", "brief", prompts.BRIEF, [REQUEST])

    def _analyst(self, name: str) -> Any:
        async def analyse(brief: str, _before: str = "") -> str:
            context = brief if self._flags.parallel_analysts else only_facts(brief)
            if self._reports is None:
                return await self._report(name, context)
            inputs = {"analyst": name, "model": MODEL, "facts": facts_of(brief), "words": self._flags.concise_prompts}
            return await self._reports.get(inputs, lambda: self._report(name, context))

        return analyse

    async def _report(self, name: str, context: str) -> str:
        task = prompts.ANALYSTS[name]
        agent, step = f"{name}_analyst", f"{name}_report"
        toolbox = self._tools.toolbox(name)
        messages: list[dict[str, Any]] = [_user(self._compose(task, [context]))]
        asked = await self._ask(agent, f"{step}_tools", messages, tools=toolbox.definitions())
        figures = await self._use_tools(toolbox, asked)
        messages.append(asked.as_message())
        for call, text in zip(asked.tool_calls, figures, strict=True):
            messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
        reply = await self._ask(agent, step, messages, tools=toolbox.definitions())
        self._context.publish(agent, reply.text)
        return reply.text

    async def _use_tools(self, toolbox: Toolbox, asked: Reply) -> list[str]:
        async def check(text: str) -> str:
            return await check_figures(text, self._context.clock)

        together = self._flags.batch_tools
        if self._flags.concurrent_aggregation:
            return await toolbox.batch(asked.tool_calls, concurrent=together, then=check)
        return [await check(text) for text in await toolbox.batch(asked.tool_calls, concurrent=together)]

    async def _plan(self, debate: dict[str, str]) -> str:
        return await self._write("research_manager", "research_plan", prompts.RESEARCH_PLAN, list(debate.values()))

    async def _trade(self, plan: str, market: str, brief: str) -> str:
        return await self._write("trader", "trade_plan", prompts.TRADE_PLAN, [plan, market, brief])

    async def _decide(self, trade: str, *views: str) -> str:
        return await self._write("risk_manager", "risk_decision", prompts.RISK_DECISION, [trade, *views])

    async def _write(self, agent: str, step: str, task: Task, context: Any) -> str:
        reply = await self._ask(agent, step, [_user(self._compose(task, list(context)))])
        self._context.publish(agent, reply.text)
        return reply.text

    async def _ask(self, agent: str, step: str, messages: list[dict[str, Any]], **request: Any) -> Reply:
        return await self._models.chat(model=MODEL, messages=messages, agent=agent, step=step, **request)


def _user(paragraphs: list[str]) -> dict[str, Any]:
    return {"role": "user", "content": "\n\n".join(paragraphs)}


def _figure(text: str, name: str) -> float:
    """Return a figure of a text; a text that lacks it counts as 0, so that the debate goes on and the grade tells."""
    try:
        return float(facts_of(text)[name])
    except (KeyError, ValueError):
        return 0.0
