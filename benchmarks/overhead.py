"""What recording costs, side by side in one process: spanwise with its journal, OpenTelemetry's API alone, and its SDK.

Configurations take turns, block by block and in an order that changes each round, so that what else the machine does
falls on all of them. A figure is the median over the rounds of CPU per operation; a ratio is the median of the rounds'
ratios to the SDK with a simple processor. Of all threads it is the mean, and the ratio that of the means: what happens
now and then, as a closed segment is compressed, is in one block of a few. The SDK exports to nothing, spanwise writes
its journal to disk.

The tree's three calls are each handed a prompt of 2 KB and an answer, which by default (content off) are not recorded;
with --content they are, and searched for secrets, and the SDK's spans get them as attributes, too.

    python benchmarks/overhead.py [--rounds 7] [--content] [--calls] [--memory] [--imports] [--no-redaction]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult

import spanwise
from spanwise import conventions as c

if TYPE_CHECKING:
    from collections.abc import Callable

PROMPT = "What moves the price of this share today, and who says so? " * 35  # 2 KB
ANSWER = "Earnings, and three analysts of the desk. " * 10
OURS, API, SIMPLE, BATCH = "spanwise, journal on", "API without SDK", "SDK, simple", "SDK, batch"
KINDS = ("context manager", "decorator", "100 tasks", "nine-span tree")
BLOCKS = {"context manager": 5_000, "decorator": 5_000, "100 tasks": 50, "nine-span tree": 600}


class Nowhere(SpanExporter):
    """Takes spans and does nothing with them."""

    def export(self, spans: Any) -> SpanExportResult:
        """Say that all is well."""
        del spans
        return SpanExportResult.SUCCESS


@dataclass
class Configuration:
    """The four operations in one way of recording, and how to wait for what it left to other threads."""

    operations: dict[str, Callable[[], object]]
    flush: Callable[[], object]
    thread: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    """Seconds of the calling thread's CPU per operation, a round each."""
    process: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    """Of all threads, with the flush."""

    def run(self, kind: str) -> None:
        """Measure one block."""
        operation, number = self.operations[kind], BLOCKS[kind]
        self.flush()
        gc.collect()
        everything, here = time.process_time(), time.thread_time()
        for _ in range(number):
            operation()
        here = time.thread_time() - here
        self.flush()
        everything = time.process_time() - everything
        self.thread[kind].append(here / number)
        self.process[kind].append(everything / number)


def gathered(loop: asyncio.AbstractEventLoop, one: Callable[[], Any]) -> Callable[[], object]:
    """Return a function that runs 100 tasks of `one` at a time."""

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(100)))

    return lambda: loop.run_until_complete(all_of_them())


def ours(loop: asyncio.AbstractEventLoop, telemetry: spanwise.Telemetry) -> Configuration:
    """Record with the helpers, as a program would."""

    def context_manager() -> None:
        with spanwise.step("work") as span:
            span.set("app.number", 1).set("app.text", "two")

    @spanwise.step("work", role="test")
    def decorated() -> None:
        pass

    async def task() -> None:
        with spanwise.step("work") as span:
            await asyncio.sleep(0)
            span.set("app.number", 1).set("app.text", "two")

    def chat() -> None:
        with spanwise.llm_call("small", max_tokens=100) as call:
            call.input([{"role": "user", "content": PROMPT}])
            call.output(ANSWER, finish_reason="stop")
            call.usage(500, 100)

    def tree() -> None:
        with spanwise.workflow("desk"):
            with spanwise.agent("analyst"):
                with spanwise.plan("analyst"):
                    pass
                chat()
                with spanwise.tool("prices"):
                    pass
            with spanwise.agent("trader"):
                chat()
                with spanwise.tool("order"):
                    pass
                chat()

    operations = (context_manager, decorated, gathered(loop, task), tree)
    return Configuration(dict(zip(KINDS, operations, strict=True)), lambda: telemetry.flush(60))


class ByHand:
    """The same spans through OpenTelemetry's API, with the attributes that the helpers give them."""

    def __init__(self, tracer: trace.Tracer, *, content: bool) -> None:
        self._begin = tracer.start_as_current_span
        self._content = content
        self.decorated = self._begin("step work", attributes={c.STEP_NAME: "work", c.STEP_ROLE: "test"})(_nothing)

    def context_manager(self) -> None:
        """Record one span and set two attributes."""
        with self._begin("step work", attributes={c.STEP_NAME: "work"}) as span:
            span.set_attribute("app.number", 1)
            span.set_attribute("app.text", "two")

    async def task(self) -> None:
        """Record one span around a suspension."""
        with self._begin("step work", attributes={c.STEP_NAME: "work"}) as span:
            await asyncio.sleep(0)
            span.set_attribute("app.number", 1)
            span.set_attribute("app.text", "two")

    def _chat(self, agent: str) -> None:
        about: dict[str, Any] = {
            c.WORKFLOW_NAME: "desk", c.AGENT_NAME: agent, c.OPERATION_NAME: "chat", c.PROVIDER_NAME: "openai",
            c.REQUEST_MODEL: "small", c.REQUEST_MAX_TOKENS: 100,
        }  # fmt: skip
        with self._begin("chat small", kind=trace.SpanKind.CLIENT, attributes=about) as span:
            if self._content:
                sent = [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]
                span.set_attribute(c.INPUT_MESSAGES, json.dumps(sent))
                got = [{"role": "assistant", "parts": [{"type": "text", "content": ANSWER}], "finish_reason": "stop"}]
                span.set_attribute(c.OUTPUT_MESSAGES, json.dumps(got))
            span.set_attribute(c.USAGE_INPUT_TOKENS, 500)
            span.set_attribute(c.USAGE_OUTPUT_TOKENS, 100)

    def _tool(self, name: str, agent: str) -> None:
        about = _named("execute_tool", agent) | {c.TOOL_NAME: name, c.TOOL_TYPE: "function"}
        with self._begin(f"execute_tool {name}", attributes=about):
            pass

    def tree(self) -> None:
        """Record the nine-span tree."""
        run = {
            c.OPERATION_NAME: "invoke_workflow",
            c.WORKFLOW_NAME: "desk",
            c.RUN_ID: f"{random.getrandbits(128):032x}",
        }
        with self._begin("invoke_workflow desk", attributes=run) as workflow:
            with self._begin("invoke_agent analyst", attributes=_named("invoke_agent", "analyst")) as span:
                with self._begin("plan analyst", attributes=_named("plan", "analyst")):
                    pass
                self._chat("analyst")
                self._tool("prices", "analyst")
                _used(span, 1)
            with self._begin("invoke_agent trader", attributes=_named("invoke_agent", "trader")) as span:
                self._chat("trader")
                self._tool("order", "trader")
                self._chat("trader")
                _used(span, 2)
            _used(workflow, 3)


def _nothing() -> None:
    pass


def _named(operation: str, agent: str) -> dict[str, Any]:
    return {c.OPERATION_NAME: operation, c.WORKFLOW_NAME: "desk", c.AGENT_NAME: agent}


def _used(span: trace.Span, calls: int) -> None:
    span.set_attribute(c.USAGE_INPUT_TOKENS, 500 * calls)
    span.set_attribute(c.USAGE_OUTPUT_TOKENS, 100 * calls)


def theirs(
    loop: asyncio.AbstractEventLoop, tracer: trace.Tracer, flush: Callable[[], object], *, content: bool
) -> Configuration:
    """Record the same spans with OpenTelemetry's API by hand."""
    hand = ByHand(tracer, content=content)
    operations = (hand.context_manager, hand.decorated, gathered(loop, hand.task), hand.tree)
    return Configuration(dict(zip(KINDS, operations, strict=True)), flush)


def sdk(loop: asyncio.AbstractEventLoop, processor: Any, *, content: bool) -> Configuration:
    """Record through the SDK with one processor."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return theirs(loop, provider.get_tracer("benchmark"), provider.force_flush, content=content)


def measured(rounds: int, *, redact: bool, content: bool) -> dict[str, Configuration]:
    """Return all configurations after `rounds` rounds; a first one that is not counted warms them up."""
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as folder:
        telemetry = spanwise.configure(
            service_name="benchmark", journal_dir=folder, redact=redact, capture_content="all" if content else "none"
        )
        found = {
            OURS: ours(loop, telemetry),
            API: theirs(loop, trace.NoOpTracer(), lambda: None, content=content),
            SIMPLE: sdk(loop, SimpleSpanProcessor(Nowhere()), content=content),
            BATCH: sdk(loop, BatchSpanProcessor(Nowhere(), max_queue_size=100_000), content=content),
        }
        for number in range(rounds + 1):
            for kind in KINDS:
                for name in random.sample(list(found), len(found)):
                    found[name].run(kind)
            if not number:
                for one in found.values():
                    for kind in KINDS:
                        one.thread[kind].clear()
                        one.process[kind].clear()
        counts = telemetry.ledger()
        assert counts.started == counts.journaled, counts
        spanwise.shutdown()
    loop.close()
    return found


def ratio(mine: list[float], theirs: list[float]) -> str:
    """Return median [least-greatest] of the rounds' ratios."""
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"


def of_means(mine: list[float], theirs: list[float]) -> str:
    """Return the ratio of the means over the rounds [least-greatest of the rounds' ratios]."""
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    return f"{statistics.mean(mine) / statistics.mean(theirs):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"


def report(found: dict[str, Configuration]) -> None:
    """Print a table for each operation."""
    for kind in KINDS:
        tasks = 100 if kind == "100 tasks" else 1
        print(f"\n{kind}: CPU per {'task' if tasks > 1 else 'operation'}")
        print(f"  {'':<22}{'calling thread':>16}{'to SDK, simple':>22}{'all threads':>14}{'to SDK, simple':>22}")
        for name, one in found.items():
            here = statistics.median(one.thread[kind]) / tasks * 1e6
            all_of_it = statistics.mean(one.process[kind]) / tasks * 1e6
            base = found[SIMPLE]
            print(
                f"  {name:<22}{here:>13.2f} us{ratio(one.thread[kind], base.thread[kind]):>22}"
                f"{all_of_it:>11.2f} us{of_means(one.process[kind], base.process[kind]):>22}"
            )


def memory(spans: int = 1_000_000) -> None:
    """Print the resident memory on the way to a million spans, recorded in bursts of 10,000."""
    with tempfile.TemporaryDirectory() as folder:
        telemetry = spanwise.configure(service_name="benchmark", journal_dir=folder)
        print("\nresident memory")
        for number in range(1, spans + 1):
            with spanwise.step("work") as span:
                span.set("app.number", number)
            if not number % 10_000:
                telemetry.flush(60)
            if number in {spans // 10, spans // 2, spans}:
                print(
                    f"  after {number:>9,} spans: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f} MiB"
                )
        print(f"  {telemetry.ledger()}")
        spanwise.shutdown()


STARTING = """
import time, opentelemetry.trace
seconds = [(time.perf_counter(), time.process_time())]
for statement in {statements!r}:
    exec(statement)
    seconds.append((time.perf_counter(), time.process_time()))
print(*(number for pair in seconds for number in pair))
"""
SDK_FIRST = ("import opentelemetry.sdk.trace", "import spanwise")
STARTS = {
    "configure()": (*SDK_FIRST, "spanwise.configure()"),
    "with a journal": (*SDK_FIRST, "spanwise.configure(journal_dir='journal')"),
}


def imports(rounds: int) -> None:
    """Print what `import spanwise` and `configure()` add to a process that has imported OpenTelemetry's API.

    Each time in a fresh process in an empty folder, in turns, with modules that are compiled already, as those of an
    installed package are: compiling all of spanwise takes as long as all the rest.
    """
    taken: dict[str, list[list[float]]] = {name: [] for name in STARTS}
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as folder:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache
        for number in range(rounds + 1):
            for name in random.sample(list(STARTS), len(STARTS)):
                done = subprocess.run(
                    [sys.executable, "-c", STARTING.format(statements=STARTS[name])],
                    cwd=folder, env=environment, capture_output=True, text=True, check=True,
                )  # fmt: skip
                if number:  # the first round compiles
                    taken[name].append([float(one) * 1000 for one in done.stdout.split()])
    print("\nover importing opentelemetry-api, ms: median (least)")
    print(f"  {'':<18}{'CPU':>16}{'elapsed':>16}{'of it the SDK':>18}{'import spanwise':>18}{'configure()':>18}")
    for name, found in taken.items():
        steps = [[after - before for before, after in zip(one, one[2:], strict=False)] for one in found]
        whole = [[sum(one[1::2]), sum(one[::2]), *one[1::2]] for one in steps]
        columns = [f"{statistics.median(column):.1f} ({min(column):.1f})" for column in zip(*whole, strict=True)]
        print(f"  {name:<18}" + "".join(f"{one:>{16 if at < 2 else 18}}" for at, one in enumerate(columns)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--content", action="store_true", help="record prompts and answers")
    parser.add_argument("--calls", action="store_true", help="calls of the OpenAI client, too (overhead_calls.py)")
    parser.add_argument("--memory", action="store_true", help="a million spans, about a minute")
    parser.add_argument("--imports", action="store_true", help="start-up, in fresh processes")
    parser.add_argument("--no-redaction", action="store_true", help="ours with redact=False")
    arguments = parser.parse_args()
    report(measured(arguments.rounds, redact=not arguments.no_redaction, content=arguments.content))
    if arguments.calls:
        from overhead_calls import measure  # noqa: PLC0415 - it imports from here, and the client

        print()
        measure(500, content=arguments.content, server=False)
    if arguments.memory:
        memory()
    if arguments.imports:
        imports(arguments.rounds)


if __name__ == "__main__":
    main()
