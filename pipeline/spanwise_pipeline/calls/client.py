"""Model calls through the official OpenAI client: one shared pool, streams, usage, and failures that can be seen.

The SDK's own retries are off: a call is one span, and where it takes several requests each of them is a span below it
and each pause between two a recorded wait, so that a slow call shows what it was slow with. Pauses and deadlines are in
system seconds; what a provider asks for in `retry-after` is real time.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import spanwise
from spanwise import conventions as c
from spanwise_pipeline.calls.circuit import Circuit, CircuitOpenError
from spanwise_pipeline.calls.embedding import Embedding
from spanwise_pipeline.calls.fallback import Fallback, can_fall_back
from spanwise_pipeline.calls.formats import form_of
from spanwise_pipeline.calls.hedging import FirstTokens, Hedging, hedged
from spanwise_pipeline.calls.json_watch import JsonWatch
from spanwise_pipeline.calls.recorded import RecordedCall
from spanwise_pipeline.calls.responses import request_of
from spanwise_pipeline.calls.retrying import Retries, RetryBudget, RetryCourse
from spanwise_pipeline.calls.wire import LINGER_S, Wire
from spanwise_pipeline.limits.model import ModelLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    import httpx2
    from pydantic import BaseModel

    from spanwise.helpers.attempts import Attempt
    from spanwise.helpers.model_call import ModelCall
    from spanwise_pipeline.calls.circuit import Breaker, CircuitStatistics
    from spanwise_pipeline.calls.formats import Form
    from spanwise_pipeline.calls.reply import Message, Reply
    from spanwise_pipeline.clock import Clock
    from spanwise_pipeline.limits.model import Admission

_NO_LIMITS: Final = ModelLimits()


class _Telling:
    """Tells the pieces of an answer's text, and with each the number of the request that they belong to."""

    def __init__(self, on_text: Callable[[str, int], None]) -> None:
        self._on_text = on_text
        self._requests = 0

    def begin(self) -> Callable[[str], None]:
        """Return what takes the pieces of the next request."""
        self._requests += 1
        number = self._requests
        return lambda text: self._on_text(text, number)


@dataclass(slots=True)
class _Asked:
    """One logical call of one model, over all its attempts."""

    request: dict[str, Any]
    step: str
    course: RetryCourse
    instead_of: str
    """The model that was asked for, where this one is asked in its place."""
    form: Form | None
    """The structure that the answer must have."""
    stop_early: bool
    """Whether the rest of a stream is left once its JSON is complete."""
    responses: bool
    """Whether it goes to the Responses API."""
    telling: _Telling | None = None
    """Who is told of the answer's text as it comes; shared with the calls of models that stand in."""
    in_flight: int = 0
    recorded: RecordedCall | None = None


class _Listening:
    """What one request tells while it is answered: to its limits, to a hedge, and whether its JSON is complete."""

    def __init__(
        self, admission: Admission, answering: Callable[[], None], watch: JsonWatch | None,
        on_text: Callable[[str], None] | None,
    ) -> None:  # fmt: skip
        self.on_headers = admission.headers
        self.on_first = answering
        self._watch = watch
        self._on_text = on_text

    def has_enough(self, text: str) -> bool:
        """Take a piece of text; returns whether the JSON is complete."""
        if self._on_text is not None and text:
            self._on_text(text)
        return self._watch is not None and self._watch.feed(text)


class ModelClient:
    """Chat with an OpenAI-compatible endpoint; make one for a run and close it, calls share its connections.

    Args:
        base_url: address up to and including `/v1`.
        api_key: sent as the bearer token.
        clock: system time.
        retries: what is tried again, and how patiently.
        budget: bounds the retries of all calls together.
        breaker: when a model that fails is left alone for a while; `None` never does.
        hedging: when a request that is late is sent once more; `None` never does.
        fallback: what answers in place of a model that fails.
        limits: what each request waits for before it is sent; of all models together, or by the model's name.
        timeout: system seconds that one attempt may take, from its request to the stream's end.
        seed: the request's `seed`, where the endpoint supports it.
        pooled: keep connections alive between calls.
        max_connections: most connections at once; `None` is as many as it takes.
        kept_connections: most idle connections that are kept, where they are `pooled`.
        label_requests: send the agent's and step's names in `metadata`; the simulated provider draws by them.
        transport: replaces the network, for tests and for computing bounds.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        clock: Clock,
        retries: Retries | None = None,
        budget: RetryBudget | None = None,
        breaker: Breaker | None = None,
        hedging: Hedging | None = None,
        fallback: Fallback | None = None,
        limits: ModelLimits | Mapping[str, ModelLimits] | None = None,
        timeout: float = 600.0,
        seed: int | None = None,
        pooled: bool = True,
        max_connections: int | None = 100,
        kept_connections: int = 50,
        label_requests: bool = False,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._retries = retries or Retries()
        self._budget = budget
        self._breaker = breaker
        self._circuits: dict[str, Circuit] = {}
        self._first_tokens = FirstTokens(hedging) if hedging is not None else None
        self._fallback = fallback or Fallback()
        self._limits = limits
        self._timeout = timeout
        self._seed = seed
        self._label_requests = label_requests
        self._wire = Wire(
            base_url=base_url, api_key=api_key, timeout=clock.real(timeout), max_connections=max_connections,
            kept_connections=kept_connections if pooled else 0, transport=transport, linger=clock.real(LINGER_S),
        )  # fmt: skip

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    def circuits(self) -> dict[str, CircuitStatistics]:
        """Return how the circuit of each model stands."""
        return {name: circuit.statistics() for name, circuit in self._circuits.items()}

    async def chat(
        self,
        *,
        model: str,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        max_tokens: int | None = None,
        response_format: type[BaseModel] | Mapping[str, Any] | None = None,
        stop_early: bool = False,
        responses: bool = False,
        on_text: Callable[[str, int], None] | None = None,
        agent: str = "",
        step: str = "",
    ) -> Reply:
        """Send `messages` and return the whole answer; it is streamed, so that the first token's time is known.

        Args:
            model: asked.
            messages: the conversation in OpenAI's form.
            tools: definitions of the tools on offer.
            max_tokens: most tokens of the answer.
            response_format: structure of the answer, a pydantic model or the JSON schema of an object; the reply's
                `parsed` is an instance or the JSON. An answer of another structure is tried again.
            stop_early: leave the rest of the stream once the answer's JSON is complete and valid. The stream is closed
                where it does not end soon by itself, and then tells no usage.
            responses: ask the Responses API in place of chat completions.
            on_text: told each piece of the answer's text as it comes, with the number of the request, from 1 on: with a
                new number the answer begins again. Not with hedging, where two answers come at the same time.
            agent: name for `label_requests`.
            step: likewise; also what limits and hedging tell calls apart by.

        Raises:
            openai.APIError: the last attempt's error; `APITimeoutError` when it took too long.
            IncompleteReplyError: the last attempt's stream broke off; `InvalidReplyError`: its answer is no such
                structure.
            CircuitOpenError: nothing was sent, because the model failed too often.
            RequestTooLargeError: a limit never lets so many tokens through.
            ValueError: `response_format` is no JSON schema, or `on_text` is used with hedging.
        """
        if on_text is not None and self._first_tokens is not None:
            raise ValueError("on_text cannot follow hedged requests; use a client without hedging for this call")
        form = form_of(response_format) if response_format is not None else None
        request: dict[str, Any] = {"model": model, "messages": list(messages)}
        if tools:
            request["tools"] = list(tools)
        if max_tokens is not None:
            request["max_tokens"] = max_tokens
        if form is not None:
            request["response_format"] = form.as_response_format()
        if self._seed is not None:
            request["seed"] = self._seed
        if self._label_requests:
            request["metadata"] = {"agent": agent, "step": step}
        asked = _Asked(request, step, self._course(), "", form, stop_early, responses)
        asked.telling = _Telling(on_text) if on_text is not None else None
        return await self._answer(asked)

    async def embed(
        self, *, model: str, texts: Sequence[str], dimensions: int | None = None, batch: int = 128, at_once: int = 4
    ) -> list[list[float]]:
        """Return the vector of each text, in order.

        Texts go out in batches. A batch that is refused as a bad request is sent again text by text, so that one text
        that the model does not take costs no other one its vector.

        Args:
            model: asked.
            texts: to embed.
            dimensions: of the vectors, where the model lets choose.
            batch: most texts of one request.
            at_once: most requests at the same time.

        Raises:
            ExceptionGroup: some texts were refused by themselves; each error's note names the text's position.
            openai.APIError: the last attempt's error of a batch.
        """
        seed = self._seed if self._label_requests else None
        embedding = Embedding(self._wire, self._course, self._limits_of(model), self._clock, seed)
        return await embedding.run(model, list(texts), dimensions, batch, at_once)

    def _course(self) -> RetryCourse:
        if self._budget is not None:
            self._budget.called()
        return RetryCourse(self._retries, self._clock, self._budget)

    async def _answer(self, asked: _Asked) -> Reply:
        """Ask the model, then those that stand in for it, then for an answer that was kept."""
        wanted = asked.request["model"]
        failure: Exception | None = None
        for model in (wanted, *self._fallback.models):
            if failure is not None:
                request = asked.request | {"model": model}
                asked = replace(asked, request=request, course=self._course(), instead_of=wanted)
            try:
                reply = await self._ask(asked)
            except Exception as error:
                if not can_fall_back(error):
                    raise
                failure = failure or error
            else:
                return reply if failure is None else replace(reply, fallback=True)
        request = asked.request | {"model": wanted}
        kept = await self._fallback.answer(request) if self._fallback.answer is not None else None
        if kept is not None:
            return replace(kept, fallback=True)
        assert failure is not None
        raise failure

    async def _ask(self, asked: _Asked) -> Reply:
        """Ask one model, as often as the settings allow."""
        asked.recorded = RecordedCall(asked.course, lambda: self._call(asked))
        return await asked.recorded.answer(lambda number: self._attempt(asked, number))

    async def _attempt(self, asked: _Asked, number: int) -> Reply:
        """Send one request, and a second one beside it where the first is late."""
        kind = (asked.request["model"], asked.step)
        patience = self._first_tokens.patience(kind) if self._first_tokens is not None else None

        async def send(answering: asyncio.Event, second: bool) -> Reply:  # noqa: FBT001 - what `hedged` calls it with
            return await self._send(asked, number, answering, second=second)

        if patience is None:
            return await self._send(asked, number, asyncio.Event(), second=False)
        limits = self._limits_of(asked.request["model"])
        return await hedged(send, self._clock.real(patience), lambda: limits.may_send_now(asked.request, asked.step))

    def _limits_of(self, model: str) -> ModelLimits:
        limits = self._limits
        found = limits if isinstance(limits, ModelLimits) or limits is None else limits.get(model)
        return found or _NO_LIMITS

    def _circuit(self, model: str) -> AbstractContextManager[None]:
        if self._breaker is None:
            return nullcontext()
        if model not in self._circuits:
            self._circuits[model] = Circuit(model, self._breaker, self._clock)
        return self._circuits[model].call()

    async def _send(self, asked: _Asked, number: int, answering: asyncio.Event, *, second: bool) -> Reply:
        """Send one request once the limits and the circuit let it."""
        model = asked.request["model"]
        asked.in_flight += 1
        try:
            async with self._limits_of(model).admit(asked.request, asked.step, self._clock) as admission:
                with self._circuit(model):
                    return await self._recorded(asked, number, admission, answering, second=second)
        except CircuitOpenError as error:
            if asked.in_flight == 1:
                asked.course.decide(error, number)
            raise
        finally:
            asked.in_flight -= 1

    async def _recorded(
        self, asked: _Asked, number: int, admission: Admission, answering: asyncio.Event, *, second: bool
    ) -> Reply:
        assert asked.recorded is not None
        with asked.recorded.request(beside=second) as attempt:
            try:
                return await self._in_time(asked, attempt, admission, answering)
            except Exception as error:
                # A request that is raced by another one is not what fails the attempt.
                if asked.in_flight == 1:
                    asked.course.decide(error, number)
                raise

    def _call(self, asked: _Asked) -> ModelCall:
        """Return the span of a call whose first request is about to be sent."""
        request = asked.request
        call = spanwise.llm_call(
            request["model"],
            stream=True,
            max_tokens=request.get("max_tokens"),
            seed=self._seed,
            server=self._wire.server,
        ).start()
        if asked.instead_of:
            call.set(c.FALLBACK_FROM, asked.instead_of)
        call.input(request["messages"], tools=request.get("tools", ()))
        return call

    async def _in_time(self, asked: _Asked, attempt: Attempt, admission: Admission, answering: asyncio.Event) -> Reply:
        # The client library's own timeout starts anew with each chunk, so a stream that trickles would never end by it.
        began = self._clock.now()
        deadline = asyncio.timeout(self._clock.real(min(self._timeout, asked.course.left())))

        def on_first() -> None:
            answering.set()
            admission.first_token_s = self._clock.now() - began
            if self._first_tokens is not None:
                self._first_tokens.add((asked.request["model"], asked.step), admission.first_token_s)

        watch = JsonWatch() if asked.stop_early else None
        listener = _Listening(admission, on_first, watch, asked.telling.begin() if asked.telling is not None else None)
        try:
            async with deadline:
                if asked.responses:
                    reply = await self._wire.respond(_of_responses(asked), attempt, listener)
                else:
                    reply = await self._wire.chat(asked.request, attempt, listener)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise self._wire.timed_out("responses" if asked.responses else "chat/completions") from error
        if reply.input_tokens or reply.output_tokens:
            admission.used = (reply.input_tokens, reply.output_tokens)
        if asked.form is None or not reply.text:
            return reply
        return replace(reply, parsed=asked.form.parse(reply.text))


def _of_responses(asked: _Asked) -> dict[str, Any]:
    request = request_of(asked.request)
    return request | {"text": asked.form.as_text_format()} if asked.form is not None else request
