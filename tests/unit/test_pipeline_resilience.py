"""Retries with a deadline and a budget, the circuit breaker, hedged requests and fallbacks, on a virtual clock."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import (
    Breaker,
    Circuit,
    CircuitOpenError,
    CircuitStatistics,
    Clock,
    Fallback,
    Hedging,
    ModelClient,
    Reply,
    Retries,
    RetryBudget,
    RetryBudgetStatistics,
)
from spanwise_pipeline.in_process import InProcessTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MESSAGES = [{"role": "user", "content": "Hello"}]


class Provider:
    """Answers each request as the next entry of `script` says, the last one for ever.

    An entry is a status, or `(status, headers)`, or the seconds until the answer begins; an answer is one word that
    names the request, and takes a second from its beginning.
    """

    def __init__(self, *script: Any) -> None:
        self._script = list(script)
        self.asked: list[tuple[float, str]] = []
        self.left: list[int] = []

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        body = json.loads((await receive())["body"])
        number = len(self.asked)
        self.asked.append((asyncio.get_running_loop().time(), body["model"]))
        entry = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        status, headers = entry if isinstance(entry, tuple) else (entry, {})
        if isinstance(status, int):
            pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": pairs})
            await send({"type": "http.response.body", "body": b'{"error": {"message": "refused"}}'})
            return
        try:
            await self._answer(send, status, f"{body['model']}-{number}")
        except asyncio.CancelledError:
            self.left.append(number)
            raise

    async def _answer(self, send: Any, seconds: float, text: str) -> None:
        await asyncio.sleep(seconds)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for content, finish in ((text, None), ("", "stop")):
            choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
            event = f"data: {json.dumps({'id': 'c', 'model': 'm', 'choices': [choice]})}\n\n".encode()
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.sleep(1.0)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def running(
    provider: Provider, ask: Callable[[ModelClient], Awaitable[Any]], *, speed: float = 1.0, **settings: Any
) -> tuple[Any, float]:
    """Run `ask` with a client of `provider`; a failure is its result."""

    async def main() -> Any:
        client = ModelClient(
            base_url="http://x/v1", api_key="k", clock=Clock(speed), transport=InProcessTransport(provider), **settings
        )
        try:
            return await ask(client)
        except (openai.APIError, CircuitOpenError) as error:
            return error
        finally:
            await client.close()

    return run_virtual(main)


async def chat(client: ModelClient, **more: Any) -> Reply:
    return await client.chat(**{"model": "m", "messages": MESSAGES, **more})


def attempts(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [span for span in spans if span["name"] == "attempt"]


def calls(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [span for span in spans if span["name"].startswith("chat ")]


def waits(spans: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found = [span for span in spans if span["name"].startswith("wait ")]
    return [(span["attributes"]["spanwise.wait.kind"], span["attributes"]["spanwise.wait.resource"]) for span in found]


# Retries


def test_no_attempt_begins_after_the_deadline() -> None:
    error, seconds = running(
        Provider(500), chat, retries=Retries(attempts=99, first_pause=4.0, longest_pause=4.0, deadline=10.0)
    )

    assert isinstance(error, openai.InternalServerError)
    assert seconds == pytest.approx(8.0)


def test_the_last_attempt_ends_at_the_deadline() -> None:
    provider = Provider(500, 60.0)

    error, seconds = running(provider, chat, retries=Retries(first_pause=4.0, deadline=10.0), timeout=30.0)

    assert isinstance(error, openai.APITimeoutError)
    assert seconds == pytest.approx(10.0)
    assert [at for at, _ in provider.asked] == [0.0, 4.0]


@pytest.mark.parametrize(("asked", "requests"), [("100", 2), ("101", 1)])
def test_a_provider_that_asks_to_wait_for_too_long_is_not_waited_for(asked: str, requests: int) -> None:
    provider = Provider((429, {"retry-after": asked}), 1.0)

    running(provider, chat, retries=Retries(longest_asked=100.0))

    assert len(provider.asked) == requests


def test_pauses_are_drawn_within_the_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)

    _, seconds = running(Provider(500), chat, retries=Retries(attempts=3, first_pause=4.0, jitter=0.5))

    assert seconds == pytest.approx((4.0 + 8.0) * 0.75)


def test_a_budget_bounds_the_retries_of_all_calls_together() -> None:
    budget = RetryBudget(share=0.5, reserve=2.0)
    provider = Provider(500)

    async def ask(client: ModelClient) -> None:
        for _ in range(8):
            with pytest.raises(openai.InternalServerError):
                await chat(client)

    running(provider, ask, budget=budget, retries=Retries(attempts=3, first_pause=0.1))

    assert len(provider.asked) == 8 + 5
    assert budget.statistics() == RetryBudgetStatistics(left=0.5, spent=5, refused=7)
    assert repr(budget) == "<RetryBudget: 0.5/2 left>"


def test_a_retry_without_a_budget_left_is_not_marked_as_scheduled() -> None:
    with capture() as spans:
        running(Provider(500), chat, budget=RetryBudget(share=0.0, reserve=1.0), retries=Retries(attempts=9))

    assert [span["attributes"].get("spanwise.retry.scheduled") for span in attempts(spans())] == [True, None]


@pytest.mark.parametrize("settings", [{"jitter": 1.5}, {"jitter": -0.1}, {"deadline": 0.0}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(settings))} must be"):
        Retries(**settings)  # type: ignore[arg-type]


# The circuit breaker

BREAKER = Breaker(failures=3, rest=10.0)
ONCE = Retries(attempts=1)


def test_a_circuit_opens_after_failures_in_a_row_and_tries_once_after_its_rest() -> None:
    provider = Provider(500, 500, 500, 1.0)

    async def ask(client: ModelClient) -> list[str]:
        found: list[str] = []
        for seconds in (0, 0, 0, 0, 9, 1, 0):
            await asyncio.sleep(seconds)
            try:
                found.append((await chat(client)).text)
            except (openai.APIError, CircuitOpenError) as error:
                found.append(type(error).__name__)
        found.append(str(client.circuits()["m"]))
        return found

    found, _ = running(provider, ask, breaker=BREAKER, retries=ONCE)

    failed = ["InternalServerError"] * 3
    assert found[:-1] == [*failed, "CircuitOpenError", "CircuitOpenError", "m-3", "m-4"]
    assert found[-1] == str(CircuitStatistics("m", "closed", failures=0, opened=1, rejected=2))
    assert len(provider.asked) == 5


def test_one_call_tries_while_the_others_are_told_to_wait() -> None:
    provider = Provider(500, 500, 500, 5.0)

    async def ask(client: ModelClient) -> list[bool]:
        for _ in range(3):
            with pytest.raises(openai.InternalServerError):
                await chat(client)
        await asyncio.sleep(10.0)
        answers = await asyncio.gather(*(chat(client) for _ in range(50)), return_exceptions=True)
        return [isinstance(answer, Reply) for answer in answers]

    answered, _ = running(provider, ask, breaker=BREAKER, retries=ONCE)

    assert answered == [True] + [False] * 49
    assert len(provider.asked) == 4


def test_a_retry_waits_until_the_circuit_may_try_and_says_so() -> None:
    provider = Provider(500, 500, 500, 1.0)

    async def ask(client: ModelClient) -> Reply:
        with spanwise.agent("risk"):
            return await chat(client)

    with capture() as spans:
        reply, seconds = running(provider, ask, breaker=BREAKER, retries=Retries(attempts=5, first_pause=1.0))

    assert reply.text == "m-3"
    assert waits(spans()) == [("retry_backoff", "chat")] * 3 + [("circuit_open", "chat")]
    assert len(provider.asked) == 4
    assert seconds > 10.0


def test_cancelled_calls_limits_and_refusals_do_not_open_a_circuit() -> None:
    provider = Provider(60.0, 60.0, 60.0, 60.0, 429, 429, 429, 429, 400, 400, 400, 1.0)

    async def ask(client: ModelClient) -> str:
        for _ in range(4):
            task = asyncio.create_task(chat(client))
            await asyncio.sleep(1.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for _ in range(7):
            with pytest.raises(openai.APIStatusError):
                await chat(client)
        return (await chat(client)).text

    assert running(provider, ask, breaker=BREAKER, retries=ONCE)[0] == "m-11"


def test_a_cancelled_try_leaves_the_next_call_to_try() -> None:
    provider = Provider(500, 500, 500, 60.0, 1.0)

    async def ask(client: ModelClient) -> str:
        for _ in range(3):
            with pytest.raises(openai.InternalServerError):
                await chat(client)
        await asyncio.sleep(10.0)
        task = asyncio.create_task(chat(client))
        await asyncio.sleep(1.0)
        assert client.circuits()["m"].state == "half_open"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return (await chat(client)).text

    assert running(provider, ask, breaker=BREAKER, retries=ONCE)[0] == "m-4"


def test_each_model_has_a_circuit_of_its_own() -> None:
    provider = Provider(500, 500, 500, 1.0)

    async def ask(client: ModelClient) -> tuple[str, dict[str, str]]:
        for _ in range(3):
            with pytest.raises(openai.InternalServerError):
                await chat(client)
        text = (await chat(client, model="other")).text
        return text, {name: circuit.state for name, circuit in client.circuits().items()}

    found, _ = running(provider, ask, breaker=BREAKER, retries=ONCE)

    assert found == ("other-3", {"m": "open", "other": "closed"})


def test_a_circuit_guards_anything() -> None:
    circuit = Circuit("db", Breaker(failures=1, rest=5.0), Clock())
    with pytest.raises(httpx2.ReadError), circuit.call():
        raise httpx2.ReadError("")

    assert repr(circuit) == "<Circuit db: open>"
    with pytest.raises(CircuitOpenError, match=r"the circuit of 'db' is open: .* the next try is in"), circuit.call():
        raise AssertionError


def test_a_breaker_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 failure and a rest above 0"):
        Breaker(failures=0)


# Hedged requests


def test_a_request_that_is_late_is_sent_once_more_and_the_first_answer_is_taken() -> None:
    provider = Provider(60.0, 1.0)

    with capture() as spans:
        reply, seconds = running(provider, chat, hedging=Hedging(after=5.0))

    assert reply.text == "m-1"
    assert seconds == pytest.approx(5.0 + 1.0 + 2.0)
    assert provider.left == [0]
    told = [(span["attributes"].get("spanwise.hedge"), span["status"]) for span in attempts(spans())]
    assert sorted(told, key=str) == [(None, "ERROR"), (True, "UNSET")]
    assert not any(span["attributes"].get("spanwise.retry.scheduled") for span in spans())


def test_an_answer_that_has_begun_is_waited_for() -> None:
    provider = Provider(4.0)

    reply, seconds = running(provider, chat, hedging=Hedging(after=5.0))

    assert seconds == pytest.approx(6.0)
    assert (reply.text, len(provider.asked)) == ("m-0", 1)


def test_the_first_answer_wins_where_it_overtakes_the_second_request() -> None:
    provider = Provider(6.0, 60.0)

    reply, seconds = running(provider, chat, hedging=Hedging(after=5.0))

    assert seconds == pytest.approx(8.0)
    assert (reply.text, provider.left) == ("m-0", [1])


def test_a_second_request_that_fails_does_not_fail_the_call() -> None:
    provider = Provider(8.0, 500)

    reply, _ = running(provider, chat, hedging=Hedging(after=5.0))

    assert (reply.text, len(provider.asked)) == ("m-0", 2)


def test_the_call_is_tried_again_where_both_requests_fail() -> None:
    provider = Provider(60.0, 500, 1.0)

    with capture() as spans:
        reply, _ = running(provider, chat, hedging=Hedging(after=5.0), timeout=30.0, retries=Retries(first_pause=1.0))

    assert (reply.text, len(provider.asked)) == ("m-2", 3)
    assert [span["attributes"].get("spanwise.retry.scheduled") for span in attempts(spans())] == [True, None, None]


def test_cancelling_a_hedged_call_ends_both_requests() -> None:
    provider = Provider(60.0)

    async def ask(client: ModelClient) -> float:
        task = asyncio.create_task(chat(client))
        await asyncio.sleep(7.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return asyncio.get_running_loop().time()

    assert running(provider, ask, hedging=Hedging(after=5.0))[0] == 7.0
    assert sorted(provider.left) == [0, 1]


def test_the_patience_is_a_percentile_of_the_first_tokens_of_that_step() -> None:
    times = [float(n) for n in range(1, 21)]
    provider = Provider(*times, 60.0, 1.0)

    async def ask(client: ModelClient) -> tuple[Reply, float]:
        for _ in times:
            await chat(client, step="report")
        began = asyncio.get_running_loop().time()
        reply = await chat(client, step="report")
        return reply, asyncio.get_running_loop().time() - began

    (reply, seconds), _ = running(provider, ask, hedging=Hedging(percentile=0.95, least=20))

    assert (reply.text, seconds) == ("m-21", pytest.approx(20.0 + 1.0 + 2.0))


def test_another_step_is_not_judged_by_those_times() -> None:
    provider = Provider(*[1.0] * 20, 50.0)

    async def ask(client: ModelClient) -> str:
        for _ in range(20):
            await chat(client, step="report")
        return (await chat(client, step="decide")).text

    assert running(provider, ask, hedging=Hedging())[0] == "m-20"
    assert len(provider.asked) == 21


@pytest.mark.parametrize("settings", [{"percentile": 1.0}, {"after": 0.0}])
def test_hedging_that_makes_no_sense_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(settings))} must be"):
        Hedging(**settings)  # type: ignore[arg-type]


# Fallbacks


async def kept(request: dict[str, Any]) -> Reply | None:
    return Reply(f"kept for {request['model']}", (), "stop", 0, 0)


def test_another_model_answers_after_the_last_attempt_and_the_reply_says_so() -> None:
    provider = Provider(500, 500, 1.0)

    with capture() as spans:
        reply, _ = running(provider, chat, fallback=Fallback(models=("small",)), retries=Retries(attempts=2))

    assert (reply.text, reply.fallback) == ("small-2", True)
    assert [(span["name"], span["attributes"].get("spanwise.fallback.from")) for span in calls(spans())] == [
        ("chat m", None), ("chat small", "m"),
    ]  # fmt: skip


def test_an_answer_that_was_kept_is_the_last_resort() -> None:
    reply, _ = running(Provider(500), chat, fallback=Fallback(models=("small",), answer=kept), retries=ONCE)

    assert (reply.text, reply.fallback) == ("kept for m", True)


def test_without_any_answer_the_first_model_s_error_is_raised() -> None:
    async def nothing(_: dict[str, Any]) -> None:
        return None

    error, _ = running(Provider(503, 500), chat, fallback=Fallback(models=("s",), answer=nothing), retries=ONCE)

    assert isinstance(error, openai.InternalServerError)
    assert error.status_code == 503


@pytest.mark.parametrize(("status", "falls_back"), [(400, False), (401, False), (404, True), (429, True), (500, True)])
def test_only_a_fault_that_another_model_need_not_share_falls_back(status: int, *, falls_back: bool) -> None:
    found, _ = running(Provider(status, 1.0), chat, fallback=Fallback(models=("small",)), retries=ONCE)

    assert isinstance(found, Reply) == falls_back


def test_an_open_circuit_falls_back_at_once() -> None:
    provider = Provider(500, 1.0)

    async def ask(client: ModelClient) -> list[str]:
        return [(await chat(client)).text for _ in range(3)]

    texts, _ = running(provider, ask, fallback=Fallback(models=("small",)), breaker=Breaker(failures=1), retries=ONCE)

    assert texts == ["small-1", "small-2", "small-3"]
    assert [model for _, model in provider.asked] == ["m", "small", "small", "small"]


def test_an_answer_of_the_model_itself_is_no_fallback() -> None:
    reply, _ = running(Provider(1.0), chat, fallback=Fallback(models=("small",), answer=kept))

    assert (reply.text, reply.fallback) == ("m-0", False)
