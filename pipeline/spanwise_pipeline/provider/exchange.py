"""One request from arrival to last byte: admit it, draw its fate, wait until its deadlines, send, or fail as drawn.

Everything that outlives a request (limits, counts, prefix cache) is in `Simulation`, one for each process.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from spanwise_pipeline.provider.draws import Draws
from spanwise_pipeline.provider.errors import ApiError, bad_request, model_not_found
from spanwise_pipeline.provider.fields import is_object
from spanwise_pipeline.provider.instructions import MalformedInstructionError
from spanwise_pipeline.provider.limits import Limits
from spanwise_pipeline.provider.prompt_cache import PrefixCache
from spanwise_pipeline.provider.timing import Latency, chunk_plan, latency, sleep_until
from spanwise_pipeline.provider.tokens import compact

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.types import Receive, Scope, Send

    from spanwise_pipeline.provider.fields import JsonObject
    from spanwise_pipeline.provider.profile import Model, Profile
    from spanwise_pipeline.provider.work import Work

LARGEST_BODY: Final = 32_000_000
_SMALL_BODY: Final = 100_000
CLOSE: Final = "spanwise.close"
"""Scope extension of our server: a function that closes the connection without another byte."""
CONNECTION: Final = "spanwise.connection"
"""Scope extension of our server: a dictionary that lives as long as the connection."""


class Simulation:
    """State of one provider process."""

    def __init__(self, profile: Profile, speed: float) -> None:
        self.profile = profile
        self.speed = speed
        self.requests = 0
        """Requests for work so far, refused ones included."""
        self.draws = Draws()
        self.limits = Limits(speed)
        self.cache = PrefixCache(profile.prompt_cache)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of an admitted request; deadlines are on the loop's clock."""

    work: Work
    model: Model
    arrived: float
    times: Latency
    cached: int
    failure: str | None
    headers: Mapping[str, str]


class Endpoint:
    """The ASGI application of one POST route; `read` turns a body into work."""

    def __init__(self, simulation: Simulation, read: Callable[[JsonObject], Work]) -> None:
        self._simulation = simulation
        self._read = read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        arrived = asyncio.get_running_loop().time() + self._set_up(scope)
        self._simulation.requests += 1
        try:
            check_key(self._simulation.profile, scope)
            raw = await read_body(receive)
            # A large request is read in a thread, so that others are served meanwhile.
            work = await asyncio.to_thread(self._work, raw) if len(raw) > _SMALL_BODY else self._work(raw)
            fate = self._admit(raw, *work, arrived)
        except ApiError as error:
            await send_json(send, error.body(), status=error.status, headers=error.headers)
            return
        await _until_disconnect(receive, self._carry_out(fate, scope, receive, send))

    def _set_up(self, scope: Scope) -> float:
        """Return the real seconds that opening the connection would have taken: none on one that was used before."""
        connection = cast("dict[str, bool] | None", scope.get("extensions", {}).get(CONNECTION))
        if connection is None or connection.get("used"):
            return 0.0
        connection["used"] = True
        return self._simulation.profile.connection_setup_s / self._simulation.speed

    def _work(self, raw: bytes) -> tuple[JsonObject, Work]:
        body = _parse(raw)
        try:
            return body, self._read(body)
        except MalformedInstructionError as error:
            raise bad_request(str(error), "messages", "malformed_instruction") from None
        except RecursionError:
            raise bad_request("The JSON body of your request is nested too deeply.") from None

    def _admit(self, raw: bytes, body: JsonObject, work: Work, arrived: float) -> Fate:
        model = self._simulation.profile.model(work.model)
        if model is None:
            raise model_not_found(work.model)
        charged = work.prompt_tokens + (work.max_tokens or self._simulation.profile.default_max_tokens)
        headers = self._simulation.limits.charge(work.model, model, charged, arrived)
        # A refused request draws nothing: when limits bite must not change what others draw.
        draw = self._simulation.draws.next(body)
        cached = self._simulation.cache.look_up(work.prefixes)
        times = latency(
            model, prompt=work.prompt_tokens, cached=cached, completion=work.completion_tokens,
            factor=draw.lognormal("latency", model.sigma), speed=self._simulation.speed,
        )  # fmt: skip
        name = hashlib.sha256(raw).hexdigest()[:24]
        return Fate(work, model, arrived, times, cached, draw.failure(model.failures), headers | {"x-request-id": name})

    async def _carry_out(self, fate: Fate, scope: Scope, receive: Receive, send: Send) -> None:
        if fate.failure == "error_500":
            await sleep_until(fate.arrived + fate.times.first_s)
            error = ApiError(500, "The server had an error while processing your request (simulated).", "server_error")
            await send_json(send, error.body(), status=500, headers=fate.headers)
        elif fate.failure == "stall":
            await sleep_until(fate.arrived + fate.model.failures.stall_s / self._simulation.speed)
            await _hang_up(scope, receive)
        elif fate.work.stream:
            await _send_stream(fate, scope, receive, send)
        else:
            await _send_whole(fate, scope, receive, send)


async def _send_whole(fate: Fate, scope: Scope, receive: Receive, send: Send) -> None:
    body = compact(fate.work.whole(fate.cached)).encode()
    if fate.failure == "drop":
        await sleep_until(fate.arrived + fate.times.total_s / 2)
        await _start(send, 200, {**fate.headers, "content-type": "application/json", "content-length": str(len(body))})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await _hang_up(scope, receive)
        return
    await sleep_until(fate.arrived + fate.times.total_s)
    await _send_bytes(send, body[: len(body) // 2] if fate.failure == "malformed" else body, fate.headers)


async def _send_stream(fate: Fate, scope: Scope, receive: Receive, send: Send) -> None:
    plan = chunk_plan(fate.times, fate.work.completion_tokens)
    chunks = fate.work.chunks(fate.cached, [end for _, end in plan])
    broken = fate.failure in ("drop", "malformed")
    kept = (len(chunks) + 1) // 2 if broken else len(chunks)
    for position, ((at, _), chunk) in enumerate(zip(plan[:kept], chunks, strict=False)):
        await sleep_until(fate.arrived + at)
        if position == 0:
            await _start(send, 200, {**fate.headers, "content-type": "text/event-stream; charset=utf-8"})
        last = position == kept - 1
        data = _broken(chunk, ended=fate.failure == "malformed") if broken and last else chunk
        await send({"type": "http.response.body", "body": data, "more_body": fate.failure == "drop" or not last})
    if fate.failure == "drop":
        await _hang_up(scope, receive)


def _broken(chunk: bytes, *, ended: bool) -> bytes:
    """Return `chunk` broken off inside its first event's JSON, that event `ended` like a good one or not."""
    event = chunk.partition(b"\n\n")[0] or b'data: {"id":""}'
    return event[: len(event) // 2] + (b"\n\n" if ended else b"")


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection; on a server without our extension, returning with the answer unfinished closes it."""
    close = cast("Callable[[], None] | None", scope.get("extensions", {}).get(CLOSE))
    if close is not None:
        close()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _until_disconnect(receive: Receive, work: Coroutine[None, None, None]) -> None:
    """Run `work`, and stop it when the client goes away."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for other in (task, watch):
            other.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def check_key(profile: Profile, scope: Scope) -> None:
    """Raise 401 when the profile has a key and the request another one."""
    if profile.api_key is None:
        return
    given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    if given != f"Bearer {profile.api_key}":
        raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")


async def read_body(receive: Receive) -> bytes:
    """Return the request's whole body; raises 413 before all of a larger one is read."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_BODY:
            raise ApiError(413, f"The body of your request is larger than {LARGEST_BODY} bytes.", code="too_large")
        if not message.get("more_body", False):
            return b"".join(parts)


def _parse(raw: bytes) -> JsonObject:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise bad_request("We could not parse the JSON body of your request.") from None
    if not is_object(body):
        raise bad_request("The JSON body of your request is not an object.")
    if b"\\ud" in raw.lower():
        _refuse_lone_surrogates(body)
    return body


def _refuse_lone_surrogates(body: JsonObject) -> None:
    try:
        compact(body).encode()
    except UnicodeEncodeError:
        raise bad_request("The JSON body of your request holds half of a surrogate pair.") from None


async def send_json(send: Send, body: JsonObject, *, status: int = 200, headers: Mapping[str, str]) -> None:
    """Send `body` as JSON."""
    await _send_bytes(send, compact(body).encode(), headers, status)


async def _send_bytes(send: Send, body: bytes, headers: Mapping[str, str], status: int = 200) -> None:
    await _start(send, status, {**headers, "content-type": "application/json", "content-length": str(len(body))})
    await send({"type": "http.response.body", "body": body})


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
