"""A trace that went to the real Jaeger and came back is profiled as the journal's is, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.command import LIMIT_S, environment, spanwise
from support.servers import eventually, jaeger_trace, start_stack

from spanwise.journal import reader

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.alone]

PROGRAM = """
import asyncio
import spanwise  # noqa: PLC0415 - the other kind is not to load it

@spanwise.agent("writer")
async def write(ready: asyncio.Event) -> None:
    with spanwise.llm_call("model-x") as call:
        await asyncio.sleep(0.05)
        call.usage(input_tokens=100, output_tokens=20)
    ready.set()

@spanwise.agent("reader")
async def read(ready: asyncio.Event) -> None:
    await ready.wait()
    with spanwise.llm_call("model-x") as call:
        await asyncio.sleep(0.04)
        call.usage(input_tokens=50, output_tokens=10)

@spanwise.workflow("desk")
async def desk() -> None:
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(write(ready))
        group.create_task(read(ready))

spanwise.configure(service_name="desk", journal_dir="journal", causality="on")
asyncio.run(desk())
spanwise.shutdown()
"""
FORMS: list[list[str]] = [[], ["--plain"], ["--markdown"], ["--json"]]
FILES = {"--html": "page.html", "--speedscope": "speedscope.json", "--perfetto": "trace.pftrace"}


def reports(folder: Path, *reference: str) -> list[bytes]:
    """Every form of the report of a run."""
    made = [spanwise("profile", *reference, *form, folder=folder, extra={"COLUMNS": "80"}) for form in FORMS]
    options = [word for option, name in FILES.items() for word in (option, name)]
    made.append(spanwise("profile", *reference, *options, folder=folder))
    assert [run.returncode for run in made] == [0] * len(made), made[0].stderr
    # The hint at the end of the first screen names what was asked for.
    return [run.stdout.partition("\nNext: ")[0].encode() for run in made] + [
        (folder / name).read_bytes() for name in FILES.values()
    ]


def stored(jaeger_api: str, trace_id: str) -> int:
    """How many spans of a trace Jaeger has."""
    return sum(len(scope["spans"]) for part in jaeger_trace(jaeger_api, trace_id) for scope in part["scopeSpans"])


def test_the_same_run_gives_the_same_report_from_the_journal_and_from_jaeger(tmp_path: Path) -> None:
    with start_stack(tmp_path / "stack") as stack:
        subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM],
            cwd=tmp_path,
            env=environment({"OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http}),
            check=True,
            timeout=LIMIT_S,
        )
        spans = list(reader.read(tmp_path / "journal"))
        address = f"{stack.jaeger_api.removesuffix('/api/v3')}/trace/{spans[0].trace_id}"
        assert eventually(lambda: stored(stack.jaeger_api, spans[0].trace_id), lambda number: number == len(spans))

        from_journal = reports(tmp_path, "last", "--journal", "journal")
        from_jaeger = reports(tmp_path, address, "--journal", "none")

    assert any(link for span in spans if span.name.startswith("wait") for link in span.links)
    assert b'"edge": "observed"' in from_journal[3]
    assert from_jaeger == from_journal
