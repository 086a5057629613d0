"""All limits of one model together: what a call passes before it is sent, and what its answer teaches them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import openai

from spanwise_pipeline.calls.circuit import CircuitOpenError
from spanwise_pipeline.calls.errors import retry_after
from spanwise_pipeline.limits.adaptive import AdaptiveLimit
from spanwise_pipeline.limits.reserving import Estimator, Reserve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from spanwise_pipeline.clock import Clock
    from spanwise_pipeline.limits.concurrency import ConcurrencyLimit
    from spanwise_pipeline.limits.rates import RateLimit, Reservation

_OVERLOADED = frozenset({429, 503, 529})


@dataclass(slots=True)
class Admission:
    """A call on its way; told what its answer says."""

    began: float
    reservation: Reservation | None
    tokens: float = 0.0
    first_token_s: float | None = None
    used: tuple[int, int] | None = None
    """Input and output tokens that the provider reported."""

    def headers(self, headers: Mapping[str, str]) -> None:
        """Take the headers of the answer."""
        if self.reservation is not None:
            self.reservation.compare(headers)


@dataclass(slots=True)
class ModelLimits:
    """The limits of one model; several clients and models may share one.

    Args:
        rate: requests and tokens a minute.
        concurrency: places; an `AdaptiveLimit` finds out how many there are.
        reserve: how many tokens a call reserves.
    """

    rate: RateLimit | None = None
    concurrency: ConcurrencyLimit | None = None
    reserve: Reserve = field(default_factory=Reserve)
    _estimator: Estimator = field(init=False)

    def __post_init__(self) -> None:
        self._estimator = Estimator(self.reserve)

    @asynccontextmanager
    async def admit(self, request: Mapping[str, Any], step: str, clock: Clock) -> AsyncGenerator[Admission]:
        """Wait until the call may be sent; the block is the call.

        Raises:
            RequestTooLargeError: it reserves more tokens than a minute lets through.
        """
        if self.concurrency is None:
            async with self._charged(request, step, clock) as admission:
                yield admission
            return
        async with self.concurrency.slot(), self._charged(request, step, clock) as admission:
            yield admission

    @asynccontextmanager
    async def _charged(self, request: Mapping[str, Any], step: str, clock: Clock) -> AsyncGenerator[Admission]:
        prompt = self._estimator.prompt(request)
        tokens = prompt + self._estimator.output(request, (request.get("model"), step))
        reservation = await self.rate.reserve(tokens) if self.rate is not None else None
        admission = Admission(clock.now(), reservation, tokens)
        try:
            yield admission
        except BaseException as error:
            self._failed(admission, error, clock)
            raise
        self._answered(admission, request, step)

    def may_send_now(self, request: Mapping[str, Any], step: str) -> bool:
        """Return whether another call could be sent without waiting."""
        tokens = self._estimator.prompt(request) + self._estimator.output(request, (request.get("model"), step))
        free = self.concurrency is None or self.concurrency.is_free()
        return free and (self.rate is None or self.rate.has_now(tokens))

    def _failed(self, admission: Admission, error: BaseException, clock: Clock) -> None:
        if isinstance(error, CircuitOpenError) and admission.reservation is not None:
            admission.reservation.give_back()  # nothing was sent
        if not isinstance(error, openai.APIError):
            return
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        if isinstance(self.concurrency, AdaptiveLimit) and (
            status in _OVERLOADED or isinstance(error, openai.APITimeoutError)
        ):
            self.concurrency.refused(admission.began)
        if isinstance(error, openai.APIStatusError) and admission.reservation is not None:
            admission.headers(error.response.headers)
            if isinstance(error, openai.RateLimitError) and self.rate is not None:
                admission.reservation.give_back()  # what is refused is not charged
                self.rate.pause((retry_after(error) or 0.0) * clock.speed)

    def _answered(self, admission: Admission, request: Mapping[str, Any], step: str) -> None:
        if isinstance(self.concurrency, AdaptiveLimit) and admission.first_token_s is not None:
            self.concurrency.answered(admission.first_token_s, admission.began)
        if admission.used is None:
            return
        self._estimator.learn(request, (request.get("model"), step), *admission.used)
        if not self.reserve.charged and admission.reservation is not None:
            admission.reservation.settle(float(sum(admission.used)))
