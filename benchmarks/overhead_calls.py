"""What a call of the OpenAI client costs more inside `llm_call`: once, streamed, and async with causality.

A call is recorded, or not, or not (the control), in an order that changes each time, and a figure is the median of
the paired differences in the calling thread's CPU with its 95 % interval (bootstrap). So what else the machine does
falls on all three alike, and the client's own time, which varies by more than what is measured, drops out. Causality
cannot be switched within a call: there a pair is of two short blocks, one of them with causality. Recorded are model,
usage, finish reason and the chunks of streams, in a journal on disk.

Answers come from bytes in memory through a transport of the client's (`memory`), where the client does little else
than what it always does, or from a server in a process of its own (`server`).

    python benchmarks/overhead_calls.py [--pairs 500] [--content] [--transport memory|server]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
import openai

import spanwise
from spanwise import causality

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator
    from contextlib import AbstractContextManager

CHUNKS = 100
SHARE = {"call": 1.0, "stream": 0.25, "stream, looked at": 0.25}
"""Of the pairs that are asked for."""
BLOCK = 8
USAGE = {"prompt_tokens": 500, "completion_tokens": CHUNKS, "total_tokens": 500 + CHUNKS}
ABOUT: dict[str, Any] = {"id": "c", "created": 0, "model": "small"}
MESSAGES: Any = [{"role": "user", "content": "What moves the price of this share today, and who says so? " * 35}]


def whole() -> bytes:
    """Return the answer to a plain call."""
    message: dict[str, Any] = {"role": "assistant", "content": "Earnings. " * CHUNKS}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": message}
    return json.dumps({**ABOUT, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()


def chunked() -> bytes:
    """Return the answer to a streamed call: `CHUNKS` chunks and the usage."""
    deltas: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": "Earnings. "}, "finish_reason": None} for _ in range(CHUNKS - 1)
    ]
    deltas.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    about = {**ABOUT, "object": "chat.completion.chunk"}
    events = [{**about, "choices": [one]} for one in deltas] + [{**about, "choices": [], "usage": USAGE}]
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events) + b"data: [DONE]\n\n"


KINDS = {False: "application/json", True: "text/event-stream"}


def whole_response(kind: str, body: bytes) -> bytes:
    """Return an answer as a server sends it."""
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def serve() -> None:
    """Answer requests until the process is ended; prints the port."""
    answers = {False: whole_response(KINDS[False], whole()), True: whole_response(KINDS[True], chunked())}

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            request = json.loads(await reader.readexactly(int(length.partition(b":")[2])))
            writer.write(answers[bool(request.get("stream"))])

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def served() -> Generator[str]:
    """Start the server; yields its address."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)):
            pass
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


class Memory(httpx2.AsyncBaseTransport, httpx2.BaseTransport):
    """Answers from bytes; in async, each chunk comes when the loop has been round once, as from a connection."""

    def __init__(self) -> None:
        self._answers = {False: whole(), True: chunked()}

    def _answer(self, request: httpx2.Request) -> tuple[str, bytes]:
        is_stream = bool(json.loads(request.content).get("stream"))
        return KINDS[is_stream], self._answers[is_stream]

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        kind, body = self._answer(request)
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer, in pieces."""
        kind, body = self._answer(request)
        await come_round()
        return httpx2.Response(200, headers={"content-type": kind}, content=pieces(body))


async def come_round() -> None:
    """Suspend the task until the loop calls back."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.call_soon(future.set_result, None)
    await future


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    """Yield a plain answer at once and an event stream event by event, a suspension before each but the first."""
    first, *others = body.split(b"\n\n")
    yield first + (b"\n\n" if others else b"")
    for one in others[:-1]:
        await come_round()
        yield one + b"\n\n"


def steps(kind: str) -> int:
    """Return how often an async call from memory is suspended."""
    return 1 if kind == "call" else 1 + CHUNKS + 1


def noted(call: Any, answer: Any) -> None:
    """Record what an answer says of itself."""
    call.response(id=answer.id, model=answer.model, finish_reasons=[answer.choices[0].finish_reason])
    call.output(answer.choices[0].message.content, finish_reason="stop")
    call.usage(answer.usage.prompt_tokens, answer.usage.completion_tokens)


def seen(call: Any) -> Callable[[Any], None]:
    """Return what looks at each chunk of a stream for its end."""

    def look(chunk: Any) -> None:
        if chunk.usage is not None:
            call.usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        elif chunk.choices[0].finish_reason:
            call.response(id=chunk.id, model=chunk.model, finish_reasons=[chunk.choices[0].finish_reason])

    return look


def ended(call: Any, last: Any) -> None:
    """Record what the last chunk of a stream says: model and usage."""
    call.response(id=last.id, model=last.model)
    call.usage(last.usage.prompt_tokens, last.usage.completion_tokens)


STREAMED: Any = {"model": "small", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
PLAIN: Any = {"model": "small", "messages": MESSAGES}


class Plain:
    """The client's calls, recorded or not."""

    def __init__(self, address: str | None) -> None:
        client = httpx2.Client(transport=Memory()) if address is None else None
        base = address or "http://memory/v1"
        self._create: Any = openai.OpenAI(
            base_url=base, api_key="k", max_retries=0, http_client=client
        ).chat.completions.create

    def call(self, *, recorded: bool) -> None:
        """Ask once."""
        if not recorded:
            self._create(**PLAIN)
            return
        with spanwise.llm_call("small") as call:
            call.input(MESSAGES)
            noted(call, self._create(**PLAIN))

    def stream(self, *, recorded: bool) -> None:
        """Read a stream, and what its last chunk says."""
        if not recorded:
            for _ in self._create(**STREAMED):
                pass
            return
        with spanwise.llm_call("small", stream=True) as call:
            call.input(MESSAGES)
            last = None
            for last in call.stream(self._create(**STREAMED)):  # noqa: B007 - it is read below
                pass
            ended(call, last)

    def looked(self, *, recorded: bool) -> None:
        """Read a stream of which a function sees every chunk."""
        if not recorded:
            self.stream(recorded=False)
            return
        with spanwise.llm_call("small", stream=True) as call:
            call.input(MESSAGES)
            for _ in call.stream(self._create(**STREAMED), seen(call)):
                pass


class Async:
    """The same through the async client, on a loop of its own."""

    def __init__(self, address: str | None) -> None:
        self.loop = asyncio.new_event_loop()
        client = httpx2.AsyncClient(transport=Memory()) if address is None else None
        base = address or "http://memory/v1"
        self._create: Any = openai.AsyncOpenAI(
            base_url=base, api_key="k", max_retries=0, http_client=client
        ).chat.completions.create

    def call(self, *, recorded: bool) -> None:
        """Ask once."""
        self.loop.run_until_complete(self._call() if recorded else self._create(**PLAIN))

    def stream(self, *, recorded: bool) -> None:
        """Read a stream, and what its last chunk says."""
        self.loop.run_until_complete(self._stream() if recorded else self._read())

    def looked(self, *, recorded: bool) -> None:
        """Read a stream of which a function sees every chunk."""
        self.loop.run_until_complete(self._looked() if recorded else self._read())

    async def _read(self) -> None:
        async for _ in await self._create(**STREAMED):
            pass

    async def _call(self) -> None:
        with spanwise.llm_call("small") as call:
            call.input(MESSAGES)
            noted(call, await self._create(**PLAIN))

    async def _stream(self) -> None:
        with spanwise.llm_call("small", stream=True) as call:
            call.input(MESSAGES)
            last = None
            async for last in call.stream(await self._create(**STREAMED)):  # noqa: B007 - it is read below
                pass
            ended(call, last)

    async def _looked(self) -> None:
        with spanwise.llm_call("small", stream=True) as call:
            call.input(MESSAGES)
            async for _ in call.stream(await self._create(**STREAMED), seen(call)):
                pass


Ask = Callable[..., None]


def once(ask: Ask, recorded: bool) -> float:  # noqa: FBT001 - of two functions that are called alike
    """Return the calling thread's CPU seconds of a call."""
    began = time.thread_time_ns()
    ask(recorded=recorded)
    return (time.thread_time_ns() - began) / 1e9


def block(ask: Ask, recorded: bool) -> float:  # noqa: FBT001 - as above
    """Return the same with causality on while it is recorded: the median of a few calls, without the first two."""
    if recorded:
        causality.start("on")
    taken = [once(ask, recorded) for _ in range(BLOCK + 2)][2:]
    if recorded:
        causality.stop()
    return statistics.median(taken)


def compared(ask: Ask, pairs: int, measure: Callable[[Ask, bool], float]) -> list[np.ndarray[Any, Any]]:
    """Return seconds: of unrecorded calls, what recorded ones take more, what other unrecorded ones take more."""
    found: list[tuple[float, float, float]] = []
    for number in range(pairs + pairs // 10):
        if not number % 50:
            gc.collect()
        taken = dict.fromkeys(random.sample((0, 1, 2), 3), 0.0)
        for which in taken:
            taken[which] = measure(ask, which == 1)
        found.append((taken[0], taken[1] - taken[0], taken[2] - taken[0]))
    return list(np.array(found[pairs // 10 :]).T)


def everywhere(ask: Ask, number: int, flush: Callable[[], object]) -> float:
    """Return what a recorded call takes more CPU of all threads, writing it included: median of alternating blocks."""
    differences: list[float] = []
    for _ in range(10):
        taken = {True: 0.0, False: 0.0}
        for recorded in random.sample((True, False), 2):
            began = time.process_time()
            for _ in range(number):
                ask(recorded=recorded)
            flush()
            taken[recorded] = (time.process_time() - began) / number
        differences.append(taken[True] - taken[False])
    return statistics.median(differences)


def shown(values: np.ndarray[Any, Any]) -> str:
    """Return the median in ms, with its 95 % interval over 2,000 resamplings."""
    drawn = values[np.random.default_rng(1).integers(len(values), size=(2_000, len(values)))]
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return f"{np.median(values) * 1e3:>9.3f} [{low * 1e3:.3f} to {high * 1e3:.3f}]"


def rows(telemetry: spanwise.Telemetry, name: str, client: Any, pairs: int, *, causal: bool) -> None:
    """Print a line for each kind of call."""
    for kind, share in SHARE.items():
        ask = {"call": client.call, "stream": client.stream}.get(kind, client.looked)
        number = max(20, int(pairs * share) // (BLOCK if causal else 1))
        base, added, control = compared(ask, number, block if causal else once)
        all_of_it = (
            "" if causal else f"{everywhere(ask, max(5, number // 20), lambda: telemetry.flush(60)) * 1e3:>14.3f}"
        )
        print(
            f"  {f'{name}, {kind}':<36}{shown(base):>26}{shown(added):>28}{shown(control):>28}{all_of_it}", flush=True
        )
        telemetry.flush(60)


def measure(pairs: int, *, content: bool, server: bool) -> None:
    """Print the table."""
    place: AbstractContextManager[str | None] = served() if server else nullcontext()
    with tempfile.TemporaryDirectory() as folder, place as address:
        telemetry = spanwise.configure(journal_dir=folder, capture_content="all" if content else "none")
        print(
            f"ms; {CHUNKS} chunks a stream, answers from {'a server' if server else 'memory'}; "
            f"content {'on' if content else 'off'}"
        )
        print(f"  {'':<36}{'unrecorded':>26}{'added':>28}{'control':>28}{'all threads':>14}")
        rows(telemetry, "sync", Plain(address), pairs, causal=False)
        with spanwise.workflow("run"):
            rows(telemetry, "sync, in a run", Plain(address), pairs, causal=False)
        for name, causal in (("async", False), ("async, causality on", True)):
            client = Async(address)
            rows(telemetry, name, client, pairs, causal=causal)
            client.loop.run_until_complete(client.loop.shutdown_asyncgens())
            client.loop.close()
        if not server:
            goal = ", ".join(f"{kind} {0.1 + 0.003 * steps(kind):.3f}" for kind in ("call", "stream"))
            print(f"  goals with causality (0.10 ms + 3 us a step): {goal}")
        counts = telemetry.ledger()
        assert counts.started == counts.journaled, counts
        spanwise.shutdown()


def main() -> None:
    """Measure and print, or serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=500, help="of calls; a quarter of that for streams")
    parser.add_argument("--content", action="store_true", help="record prompts and answers")
    parser.add_argument("--transport", choices=("memory", "server"), default="memory", help="where answers come from")
    parser.add_argument("--serve", action="store_true", help="be the server")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
    else:
        measure(arguments.pairs, content=arguments.content, server=arguments.transport == "server")


if __name__ == "__main__":
    main()
