"""What a call of the unpatched OpenAI client costs more inside `llm_call`: once, streamed, and async with causality.

A server in a process of its own answers every request with the same bytes. Blocks of calls with and without recording
take turns; a figure is the median over the rounds of the difference in the calling thread's CPU. Recorded are model,
usage, finish reason and, of streams, every chunk, in a journal on disk; the control is one unrecorded block against
another.

    python benchmarks/overhead_calls.py [--rounds 9] [--content]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openai

import spanwise
from spanwise import causality

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

CHUNKS = 100
BLOCK = {"call": 60, "stream": 15}
USAGE = {"prompt_tokens": 500, "completion_tokens": CHUNKS, "total_tokens": 500 + CHUNKS}
ABOUT: dict[str, Any] = {"id": "c", "created": 0, "model": "small"}
MESSAGES: Any = [{"role": "user", "content": "What moves the price of this share today, and who says so? " * 35}]


def whole() -> bytes:
    """Return the answer to a plain call."""
    message: dict[str, Any] = {"role": "assistant", "content": "Earnings. " * CHUNKS}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": message}
    body = json.dumps({**ABOUT, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def chunked() -> bytes:
    """Return the answer to a streamed call: `CHUNKS` chunks and the usage."""
    deltas: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": "Earnings. "}, "finish_reason": None} for _ in range(CHUNKS - 1)
    ]
    deltas.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    about = {**ABOUT, "object": "chat.completion.chunk"}
    events = [{**about, "choices": [one]} for one in deltas] + [{**about, "choices": [], "usage": USAGE}]
    body = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events) + b"data: [DONE]\n\n"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve() -> None:
    """Answer requests until the process is ended; prints the port."""
    answers = {False: whole(), True: chunked()}

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


STREAMED: Any = {"stream": True, "stream_options": {"include_usage": True}}


class Plain:
    """The client's two calls, recorded or not."""

    def __init__(self, address: str) -> None:
        self._create: Any = openai.OpenAI(base_url=address, api_key="k", max_retries=0).chat.completions.create

    def call(self, *, recorded: bool) -> None:
        """Ask once."""
        if not recorded:
            self._create(model="small", messages=MESSAGES)
            return
        with spanwise.llm_call("small") as call:
            call.input(MESSAGES)
            noted(call, self._create(model="small", messages=MESSAGES))

    def stream(self, *, recorded: bool) -> None:
        """Read a stream."""
        if not recorded:
            for _ in self._create(model="small", messages=MESSAGES, **STREAMED):
                pass
            return
        with spanwise.llm_call("small", stream=True) as call:
            call.input(MESSAGES)
            for _ in call.stream(self._create(model="small", messages=MESSAGES, **STREAMED), seen(call)):
                pass


class Async:
    """The same through the async client, on a loop of its own."""

    def __init__(self, address: str) -> None:
        self.loop = asyncio.new_event_loop()
        client = openai.AsyncOpenAI(base_url=address, api_key="k", max_retries=0)
        self._create: Any = client.chat.completions.create

    def call(self, *, recorded: bool) -> None:
        """Ask once."""
        self.loop.run_until_complete(self._call(recorded))

    def stream(self, *, recorded: bool) -> None:
        """Read a stream."""
        self.loop.run_until_complete(self._stream(recorded))

    async def _call(self, recorded: bool) -> None:  # noqa: FBT001 - two lines above
        if not recorded:
            await self._create(model="small", messages=MESSAGES)
            return
        with spanwise.llm_call("small") as call:
            call.input(MESSAGES)
            noted(call, await self._create(model="small", messages=MESSAGES))

    async def _stream(self, recorded: bool) -> None:  # noqa: FBT001 - as above
        if not recorded:
            async for _ in await self._create(model="small", messages=MESSAGES, **STREAMED):
                pass
            return
        with spanwise.llm_call("small", stream=True) as call:
            call.input(MESSAGES)
            async for _ in call.stream(await self._create(model="small", messages=MESSAGES, **STREAMED), seen(call)):
                pass


def block(ask: Callable[..., None], number: int, *, recorded: bool, causal: bool) -> float:
    """Return the calling thread's CPU seconds a call."""
    if causal and recorded:
        causality.start("on")
    began = time.thread_time()
    for _ in range(number):
        ask(recorded=recorded)
    took = (time.thread_time() - began) / number
    if causal and recorded:
        causality.stop()
    return took


def compared(ask: Callable[..., None], number: int, rounds: int, flush: Callable[[], object], *, causal: bool) -> str:
    """Return what recording adds and what two unrecorded blocks differ by, medians over the rounds, in ms."""
    added: list[float] = []
    control: list[float] = []
    base: list[float] = []
    for _ in range(rounds + 1):
        first = block(ask, number, recorded=False, causal=causal)
        recorded = block(ask, number, recorded=True, causal=causal)
        second = block(ask, number, recorded=False, causal=causal)
        flush()
        added.append(recorded - (first + second) / 2)
        control.append(first - second)
        base.append((first + second) / 2)
    return "".join(
        f"{statistics.median(values[1:]) * 1e3:>11.3f} [{min(values[1:]) * 1e3:.3f} to {max(values[1:]) * 1e3:.3f}]"
        for values in (base, added, control)
    )


def measure(rounds: int, *, content: bool) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder, served() as address:
        telemetry = spanwise.configure(journal_dir=folder, capture_content="all" if content else "none")
        print(f"calling thread, ms; {CHUNKS} chunks a stream; content {'on' if content else 'off'}")
        print(f"  {'':<28}{'unrecorded':>28}{'added':>28}{'control':>28}")
        for name, ask, causal in (
            ("sync", Plain(address), False),
            ("async", Async(address), False),
            ("async, causality on", Async(address), True),
        ):
            for kind, number in BLOCK.items():
                row = compared(getattr(ask, kind), number, rounds, lambda: telemetry.flush(60), causal=causal)
                print(f"  {name + ', ' + kind:<28}{row}")
            if isinstance(ask, Async):
                ask.loop.run_until_complete(ask.loop.shutdown_asyncgens())
                ask.loop.close()
        counts = telemetry.ledger()
        assert counts.started == counts.journaled, counts
        spanwise.shutdown()


def main() -> None:
    """Measure and print, or serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--content", action="store_true", help="record prompts and answers")
    parser.add_argument("--serve", action="store_true", help="be the server")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
    else:
        measure(arguments.rounds, content=arguments.content)


if __name__ == "__main__":
    main()
