"""What a call of the OpenAI client costs more when it is recorded: once, streamed, and async with causality.

Beside `llm_call` with its journal stand the same spans made by hand with OpenTelemetry's API alone, and with its SDK. A
recorded call and one that is not follow one another, in an order that changes each time; the control is two that are
not. A figure is the median of the paired differences in the calling thread's CPU with its 95 % interval (bootstrap), so
what else the machine does falls on both, and the client's own time, which varies by more than what is measured, drops
out. Causality cannot be switched within a call: there each is a short block of calls. What all threads take is the
median of alternating blocks, with what was recorded written.

Answers come from bytes in memory through a transport of the client's (`memory`), where the client does little else
than what it always does, or from a server in a process of its own (`server`).

    python benchmarks/overhead_calls.py [--pairs 500] [--content] [--transport memory|server] [--gap SECONDS]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
import openai
from answers import CHUNKS, Memory, served
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import NoOpTracer
from overhead import API, BATCH, OURS, SIMPLE, Nowhere
from recorded_calls import ByHand, Helpers, Unrecorded, Watched

import spanwise
from spanwise import causality

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from recorded_calls import Way

WATCHED, UNRECORDED, CONTROL = f"{OURS}, chunks seen", "unrecorded", "control"
SHARE = {"call": 1.0, "stream": 0.25}
"""Of the pairs that are asked for."""
GROUP = 20
"""So many pairs of one way before the next."""
BLOCK = 8
"""So many calls with causality on, or off, of which the median counts."""
BLOCKS_FOR = 2
"""For so many pairs that are asked for, one pair of blocks."""
STEPS = {"call": 1, "stream": 1 + CHUNKS + 1}
"""How often an async call from memory is suspended."""

Ask = Callable[[], None]


def once(ask: Ask) -> float:
    """Return the calling thread's CPU seconds of a call."""
    began = time.thread_time_ns()
    ask()
    return (time.thread_time_ns() - began) / 1e9


def block(ask: Ask, *, causal: bool) -> float:
    """Return the same as the median of a few calls, without the first two."""
    if causal:
        causality.start("on")
    taken = [once(ask) for _ in range(BLOCK + 2)][2:]
    causality.stop()
    return statistics.median(taken)


def compared(asks: dict[str, Ask], pairs: int, *, causal: bool) -> dict[str, np.ndarray[Any, Any]]:
    """Return seconds: of unrecorded calls, and what those recorded in each way take more than the one beside them.

    The ways take turns in groups of pairs, since the code of one leaves another nothing of its own in the caches.
    """
    none = asks[UNRECORDED]
    found: dict[str, list[float]] = {name: [] for name in asks}
    group = min(GROUP, pairs)
    for number in range(-1, pairs // group):  # the first group warms up
        gc.collect()
        for name in random.sample([name for name in asks if name != UNRECORDED], len(asks) - 1):
            for _ in range(group):
                taken = {True: 0.0, False: 0.0}
                for recorded in random.sample((True, False), 2):
                    ask = asks[name] if recorded else none
                    is_causal = recorded and name.startswith(OURS)
                    taken[recorded] = block(ask, causal=is_causal) if causal else once(ask)
                if number >= 0:
                    found[name].append(taken[True] - taken[False])
                    found[UNRECORDED].append(taken[False])
    return {name: np.array(values) for name, values in found.items()}


def everywhere(asks: dict[str, Ask], number: int, flush: Callable[[], object]) -> dict[str, float]:
    """Return what a call takes more CPU of all threads in each way, writing it included."""
    found: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(10):
        for name in random.sample(list(asks), len(asks)):
            began = time.process_time()
            for _ in range(number):
                asks[name]()
            flush()
            found[name].append((time.process_time() - began) / number)
    base = np.array(found[UNRECORDED])
    return {name: statistics.median(np.array(values) - base) for name, values in found.items()}


def shown(values: np.ndarray[Any, Any]) -> str:
    """Return the median in ms, with its 95 % interval over 2,000 resamplings."""
    drawn = values[np.random.default_rng(1).integers(len(values), size=(2_000, len(values)))]
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return f"{np.median(values) * 1e3:>8.3f} [{low * 1e3:.3f} to {high * 1e3:.3f}]"


def rows(title: str, asks: dict[str, Ask], pairs: int, flush: Callable[[], object], *, causal: bool = False) -> None:
    """Print what each way adds to one kind of call."""
    found = compared(asks, max(20, pairs // (BLOCKS_FOR if causal else 1)), causal=causal)
    threads = {} if causal else everywhere(asks, max(20, pairs // 20), flush)
    print(f"{title}: {shown(found.pop(UNRECORDED)).strip()} ms unrecorded")
    simple = np.median(found[SIMPLE]) if SIMPLE in found else None
    for name, values in found.items():
        ratio = f"{np.median(values) / simple:>8.2f}" if simple is not None and name != CONTROL else " " * 8
        all_of_it = f"{threads[name] * 1e3:>14.3f}" if name in threads else ""
        print(f"    {name:<36}{shown(values):<30}{ratio}{all_of_it}", flush=True)
    flush()


class Clients:
    """The client, plain and async on a loop of its own, and the calls that are measured."""

    def __init__(self, address: str | None, ways: dict[str, Way], gap: float) -> None:
        plain = httpx2.Client(transport=Memory()) if address is None else None
        async_ = httpx2.AsyncClient(transport=Memory(gap)) if address is None else None
        about: Any = {"base_url": address or "http://memory/v1", "api_key": "k", "max_retries": 0}
        self._plain = openai.OpenAI(**about, http_client=plain).chat.completions.create
        self._async = openai.AsyncOpenAI(**about, http_client=async_).chat.completions.create
        self._loop = asyncio.new_event_loop()
        self._ways = ways

    def plain(self, kind: str) -> dict[str, Ask]:
        """Return the calls of a kind through the plain client, each way one."""
        return {name: self._bound(getattr(way, kind)) for name, way in self._of(kind)}

    def on_a_loop(self, kind: str) -> dict[str, Ask]:
        """Return those through the async client."""
        return {name: self._run(getattr(way, f"a{kind}")) for name, way in self._of(kind)}

    def close(self) -> None:
        """End the loop."""
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _of(self, kind: str) -> list[tuple[str, Way]]:
        return [(name, way) for name, way in self._ways.items() if kind == "stream" or name != WATCHED]

    def _bound(self, one: Any) -> Ask:
        return lambda: one(self._plain)

    def _run(self, one: Any) -> Ask:
        return lambda: self._loop.run_until_complete(one(self._async))


def measure(pairs: int, *, content: bool, server: bool, gap: float = 0.0) -> None:
    """Print the table."""
    place: AbstractContextManager[str | None] = served() if server else nullcontext()
    with tempfile.TemporaryDirectory() as folder, place as address:
        telemetry = spanwise.configure(journal_dir=folder, capture_content="all" if content else "none")
        simple, batch = TracerProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
        simple.add_span_processor(SimpleSpanProcessor(Nowhere()))
        batch.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=100_000))
        tracers = {API: NoOpTracer(), SIMPLE: simple.get_tracer("benchmark"), BATCH: batch.get_tracer("benchmark")}
        hands: dict[str, Way] = {name: ByHand(tracer) for name, tracer in tracers.items()}
        none = Unrecorded()
        ways = {UNRECORDED: none, OURS: Helpers(), WATCHED: Watched(), **hands, CONTROL: none}
        clients = Clients(address, ways, gap)

        def flush() -> None:
            telemetry.flush(60)
            batch.force_flush()

        print(
            f"ms of the calling thread that recording adds [95 %], ratio to {SIMPLE}, ms of all threads; {CHUNKS} "
            f"chunks a stream, answers from {'a server' if server else 'memory'}, content {'on' if content else 'off'}"
        )
        for kind, share in SHARE.items():
            rows(kind, clients.plain(kind), int(pairs * share), flush)
        for kind, share in SHARE.items():
            with spanwise.workflow("run"):
                rows(f"{kind} inside a workflow", clients.plain(kind), int(pairs * share), flush)
        for kind, share in SHARE.items():
            rows(f"async {kind}", clients.on_a_loop(kind), int(pairs * share), flush)
        for kind, share in SHARE.items():
            asks = {name: ask for name, ask in clients.on_a_loop(kind).items() if name not in hands}
            rows(f"async {kind}, causality on", asks, int(pairs * share), flush, causal=True)
            if not server:
                print(f"    goal: 0.10 ms and 3 us for each of {STEPS[kind]} steps: {0.1 + 0.003 * STEPS[kind]:.3f}")
        counts = telemetry.ledger()
        assert counts.started == counts.journaled, counts
        clients.close()
        spanwise.shutdown()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=500, help="of calls; a quarter of that for streams")
    parser.add_argument("--content", action="store_true", help="record prompts and answers in ours")
    parser.add_argument("--transport", choices=("memory", "server"), default="memory", help="where answers come from")
    parser.add_argument(
        "--gap", type=float, default=0.0, help="seconds between chunks from memory to the async client (default: none)"
    )
    arguments = parser.parse_args()
    server = arguments.transport == "server"
    measure(arguments.pairs, content=arguments.content, server=server, gap=arguments.gap)


if __name__ == "__main__":
    main()
