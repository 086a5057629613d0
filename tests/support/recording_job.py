"""A short job of every kind of span, for the parity test: records, says so in a line of JSON, ends with its input.

Run by path in a process of its own: what it counts dies with it, as a batch job's counters do.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress

import spanwise
from spanwise import conventions as c
from spanwise import record_wait, waiting


def calls() -> None:
    """Model calls: streamed, misread, plain, without usage, failed and tried again, embeddings."""
    for tokens in (3, 700):
        with spanwise.llm_call("small", stream=True) as call:
            for _ in range(5):
                call.chunk()
            call.usage(tokens, tokens // 2, cached_tokens=1)
    with spanwise.llm_call("small", stream=True) as call:
        call.chunk()
    with spanwise.llm_call("small", stream=True) as call:  # two clocks that disagree: the first chunk after the end
        call.set(c.RESPONSE_TIME_TO_FIRST_CHUNK, 5.0).set(c.STREAM_CHUNKS, 4)
    with spanwise.llm_call("gpt-4.1") as call:  # a model with a price, and then one without
        call.usage(1_000_000, 500_000)
    with spanwise.llm_call("large", provider="other") as call:
        call.usage(5_000, 0)
    with spanwise.llm_call("small") as call:
        for _ in range(2):
            with suppress(TimeoutError), call.attempt():
                raise TimeoutError("the model is silent")
        call.fail("429")
    with spanwise.embeddings("vectors", dimensions=8) as call:
        call.usage(7, 0)


def lookups() -> None:
    """Every result of a cache, with and without what was saved."""
    for result in ("hit", "miss", "stale", "bypass", "coalesced"):
        saved = result in {"hit", "coalesced"}
        with spanwise.cache_lookup("market", ttl=60.0) as lookup:
            lookup.result(result, saved_seconds=0.25 if saved else None, saved_tokens=40 if saved else None)
    with spanwise.cache_lookup("replies", tier="redis", kind="semantic") as lookup:
        lookup.result("miss")


def tools() -> None:
    """Tools that answer and one that fails, a retrieval, a plain step and a plan."""
    with spanwise.tool("prices"), spanwise.retrieval("news", top_k=3):
        pass
    with suppress(TimeoutError), spanwise.tool("prices"):
        raise TimeoutError("the exchange is silent")
    with spanwise.step("join", role="merge"), spanwise.plan():
        pass


def waits() -> None:
    """A wait with a span of its own, another of that kind, and one that is too short for a span."""
    now = time.time_ns()
    record_wait("rate_limit", "llm", now - 30_000_000, now)
    record_wait("rate_limit", "llm", now - 20_000_000, now)
    record_wait("lock", "book", now - 5_000_000, now)
    with waiting("concurrency", "pool"):
        pass


def run(workflow: str) -> str:
    """Record one run and one that fails; return the first one's trace id."""
    with spanwise.workflow(workflow, variant="parity") as good:
        for name in ("risk", "trader"):
            with spanwise.agent(name):
                calls()
                tools()
                lookups()
                waits()
        lookups()
        time.sleep(0.02)  # of a run of less than 10 ms no budget is made
    with suppress(ValueError), spanwise.workflow(workflow), spanwise.agent("risk"):
        raise ValueError("no position")
    return f"{good.context.trace_id:032x}"


def main() -> None:
    """Record, tell, and live until standard input ends."""
    telemetry = spanwise.configure()
    trace_id = run(sys.argv[1])
    delivered = telemetry.flush(30)
    sys.stdout.write(json.dumps({"trace_id": trace_id, "delivered": delivered}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    spanwise.shutdown()


if __name__ == "__main__":
    main()
