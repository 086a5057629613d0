"""The hedge fund: seventeen analysts, a risk manager and a portfolio manager, as a graph of steps.

The flags change who waits for whom, what is kept and what a failure costs, never what is decided. An analyst that fails
is left out: the managers decide on the others' predictions, and the answer says how many these were.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline import Breaker, Cache, CacheUse, Fallback, Flow, Hedging, Retries
from spanwise_pipeline.systems.hedge_fund import prompts
from spanwise_pipeline.systems.hedge_fund.analysts import ANALYSTS
from spanwise_pipeline.systems.hedge_fund.predictions import View, view_of
from spanwise_pipeline.systems.hedge_fund.prompts import Task, as_lines
from spanwise_pipeline.systems.hedge_fund.service import CACHE_TTL, DataService
from spanwise_pipeline.systems.hedge_fund.storage import PredictionStore
from spanwise_pipeline.systems.hedge_fund.window import Request, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from spanwise_pipeline import ModelClient, SystemContext
    from spanwise_pipeline.systems.hedge_fund.analysts import Analyst
    from spanwise_pipeline.systems.hedge_fund.flags import HedgeFundFlags

Texts = dict[str, str]
"""Agent to what it wrote."""
Views = dict[str, View]
"""Analyst to its view."""
MODEL: Final = "analyst-large"
FAST_MODEL: Final = "analyst-fast"
SENTIMENT_MODEL: Final = "sentiment-large"
"""What the sentiment analyst asks first. It is out of service; that is the failing call of each run."""
LATE: Final = 7.0
"""System seconds of a run after which an analyst's failing call is not tried again, where failures are cut short."""
HEDGE_AFTER: Final = 1.5
"""System seconds to the first token after which a call is sent once more; the usual time is below 0.5 s."""
_PATIENT: Final = Retries(attempts=4, first_pause=1.0)
_BRISK: Final = Retries(attempts=2, first_pause=0.25)
_ONCE: Final = Retries(attempts=1)
_ATTEMPT_SECONDS: Final = 1.75
_HEDGED_SECONDS: Final = 5.0
"""An attempt may take longer where another one is sent beside it."""
_MOST_TOKENS: Final = 400


class NoPredictionError(RuntimeError):
    """No analyst gave a prediction."""


class Fund:
    """One fund with its data, caches and connections; may serve several runs."""

    def __init__(self, context: SystemContext, flags: HedgeFundFlags) -> None:
        self._context = context
        self._flags = flags
        self._model = FAST_MODEL if flags.faster_model else MODEL
        self._models = _model_client(context, flags, self._model, _BRISK if flags.fast_fallback else _PATIENT)
        self._models_once = _model_client(context, flags, self._model, _ONCE)
        self.service = DataService(
            context.clock, cached=flags.data_cache, store=context.store("fund") if flags.data_cache else None
        )
        self.predictions = PredictionStore(
            context.folder / "predictions.sqlite", context.pool("database"), context.clock, pooled=flags.pooled_database
        )
        self._decisions: Cache[Texts] | None = None
        if flags.result_cache:
            self._decisions = Cache(
                "decisions", capacity=256, ttl=CACHE_TTL, clock=context.clock, store=context.store("fund")
            )

    async def close(self) -> None:
        """Close the connections."""
        self.predictions.close()
        await self._models.close()
        await self._models_once.close()

    def cache_use(self) -> CacheUse:
        """Return how often the fund's caches were asked and spared making a value."""
        readings = [cache.statistics() for cache in (self.service.cache, self._decisions) if cache is not None]
        return CacheUse(
            lookups=sum(reading.hits + reading.coalesced + reading.misses for reading in readings),
            hits=sum(reading.hits + reading.coalesced for reading in readings),
        )

    async def decide(self, request: Request) -> Texts:
        """Return what each agent wrote; the last one is the portfolio manager's decision.

        Raises:
            ExceptionGroup: a manager, or every analyst, failed.
        """
        if self._decisions is None:
            return await self._decide(request)
        return await self._decisions.get(asdict(request), lambda: self._decide(request))

    async def _decide(self, request: Request) -> Texts:
        late = self._context.clock.now() + LATE
        async with Flow() as flow:
            shared = flow.step("prepare", self._preparing(request), role="prepare")
            groups = [
                flow.step(name, self._group(flow, analysts, request, late), shared, role="analyse")
                for name, analysts in self._groups()
            ]
            views = flow.step("collect", _collect, *groups)
            risk = flow.step("risk_limits", self._limiting(request), shared, views, agent="risk_manager", role="risk")
            decision = flow.step(
                "portfolio_decision", self._deciding(request), shared, views, risk, agent="portfolio_manager",
                role="decide",
            )  # fmt: skip
            if self._flags.batched_storage:
                flow.step("store_predictions", self._store, views, role="store")
        texts = {agent: view.text for agent, view in views.result().items()}
        return texts | {"risk_manager": risk.result(), "portfolio_manager": decision.result()}

    def _preparing(self, request: Request) -> Callable[[], Coroutine[None, None, str]]:
        async def preparing() -> str:
            if self._flags.direct_integration:
                return as_lines(prepare(request))
            return as_lines(await self._context.pool("analysis").run(prepare, request))

        return preparing

    def _groups(self) -> Iterator[tuple[str, Sequence[Analyst]]]:
        if not self._flags.parallel_groups:
            yield "analysts", ANALYSTS
        elif self._flags.independent_analysts:
            yield from ((f"{analyst.name}_alone", (analyst,)) for analyst in ANALYSTS)
        else:
            for group in dict.fromkeys(analyst.group for analyst in ANALYSTS):
                yield f"{group}_group", [analyst for analyst in ANALYSTS if analyst.group == group]

    def _group(
        self, flow: Flow, analysts: Sequence[Analyst], request: Request, late: float
    ) -> Callable[[str], Coroutine[None, None, Views]]:
        """Return what runs `analysts` in turn and gives the views of those that did not fail."""

        async def run(shared: str) -> Views:
            views: Views = {}
            for analyst in analysts:
                step = flow.step(
                    f"{analyst.name}_prediction", self._predicting(analyst, request, shared, late), agent=analyst.name,
                    role="analyse",
                )  # fmt: skip
                await step.wait_until_done()
                if step.error() is None:
                    views[analyst.name] = step.result()
            return views

        return run

    def _predicting(
        self, analyst: Analyst, request: Request, shared: str, late: float
    ) -> Callable[[], Coroutine[None, None, View]]:
        async def predicting() -> View:
            context = [await self._figures(analyst, ticker, request.as_of) for ticker in request.tickers]
            task = prompts.prediction_task(analyst, request.tickers)
            model = SENTIMENT_MODEL if analyst.name == "sentiment" else self._model
            is_late = self._flags.fast_fallback and self._context.clock.now() > late
            text = await self._ask(task, shared, context, model, self._models_once if is_late else self._models)
            view = view_of(analyst.name, text, request.tickers, request.as_of)
            if not self._flags.batched_storage:
                await self._store({analyst.name: view})
            return view

        return predicting

    async def _figures(self, analyst: Analyst, ticker: str, as_of: str) -> str:
        found: dict[str, float] = {}
        for source in analyst.sources:
            found |= await self.service.figures(source, ticker, as_of)
        t = ticker.lower()
        return as_lines({f"{name}_{t}": value for name, value in found.items() if f"{name}_{{t}}" in analyst.formula})

    def _limiting(self, request: Request) -> Callable[[str, Views], Coroutine[None, None, str]]:
        async def limiting(shared: str, views: Views) -> str:
            context = [view.handed_on() for view in views.values()]
            return await self._ask(prompts.risk_task(request, list(views)), shared, context, self._model, self._models)

        return limiting

    def _deciding(self, request: Request) -> Callable[[str, Views, str], Coroutine[None, None, str]]:
        async def deciding(shared: str, views: Views, risk: str) -> str:
            context = [*(view.handed_on() for view in views.values()), risk]
            return await self._ask(
                prompts.portfolio_task(request, list(views)), shared, context, self._model, self._models
            )

        return deciding

    async def _store(self, views: Views) -> None:
        await self.predictions.write([prediction for view in views.values() for prediction in view.predictions])

    async def _ask(self, task: Task, shared: str, context: Sequence[str], model: str, models: ModelClient) -> str:
        flags = self._flags
        prompt = prompts.paragraphs(task, shared, context, structured=flags.structured_outputs)
        reply = await models.chat(
            model=model,
            messages=prompts.messages(prompt, shared_apart=flags.prompt_caching),
            max_tokens=_MOST_TOKENS,
            response_format=task.form if flags.structured_outputs else None,
            agent=task.agent,
            step=task.step,
        )
        text = prompts.read_reply(reply)
        self._context.publish(task.agent, text)
        return text


async def _collect(*groups: Views) -> Views:
    """Return the views of all groups in the order of the analysts."""
    found = {agent: view for views in groups for agent, view in views.items()}
    if not found:
        raise NoPredictionError("no analyst gave a prediction, so there is nothing to decide on; run again")
    return {analyst.name: found[analyst.name] for analyst in ANALYSTS if analyst.name in found}


def _model_client(context: SystemContext, flags: HedgeFundFlags, model: str, retries: Retries) -> ModelClient:
    settings: dict[str, Any] = {"pooled": flags.pooled_connections, "fallback": Fallback(models=(model,))}
    if flags.fast_fallback:
        settings |= {"breaker": Breaker(failures=10, rest=30.0), "timeout": _ATTEMPT_SECONDS}
    if flags.hedged_calls:
        settings |= {"hedging": Hedging(after=HEDGE_AFTER), "timeout": _HEDGED_SECONDS}
    return context.model_client(retries=retries, **settings)
