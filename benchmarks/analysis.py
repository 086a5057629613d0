"""Loading many spans as columns, and profiling many runs: how long it takes, and how much memory.

Writes a file of OTLP/JSON lines as the collector's file exporter does (a trace of 204 spans a line, six promoted
attributes, one link in ten), loads it in a process of its own, and prints what that took. The peak is the process's
resident memory, less what the interpreter and numpy take before the file is opened, and all of the memory of the
processes that read parts of the file for it: as many as there are, each as large as the largest was.

    python benchmarks/analysis.py                    # 10 million spans, 6 GB in the temporary folder
    python benchmarks/analysis.py --spans 1000000
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SPANS_A_TRACE = 204
BEGIN_NS = 1_790_000_000_000_000_000
VARIANTS = 64
"""Traces that are made in full; the others are these with other ids and times."""


def main() -> None:
    """Make the file unless it is given, and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--file", type=Path, help="where to keep the file; reused when it is there")
    parser.add_argument("--measure", metavar="PART", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(MEASURES[arguments.measure](arguments.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or Path(folder) / "spans.jsonl"
        if not path.exists():
            write(path, arguments.spans)
        print(f"{path.stat().st_size / 1e6:,.0f} MB in {path.name}")
        report_loading(measured("loading", path))
        report_profiles(Path(folder) / "thousand.jsonl")


def write(path: Path, spans: int) -> None:
    """Write about `spans` spans, a trace a line."""
    templates = [template(random.Random(number)) for number in range(VARIANTS)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(max(1, spans // SPANS_A_TRACE)):
            head = f"{number + 1:08x}"
            file.write(templates[number % VARIANTS].replace("TTTTTTTT", head).replace("SSSSSSSS", head))


def template(draw: random.Random) -> str:
    """Return a line whose trace and span ids begin with `TTTTTTTT` and `SSSSSSSS`."""
    request = {
        "resourceSpans": [
            {
                "resource": {"attributes": [text("service.name", "desk")]},
                "scopeSpans": [{"scope": {"name": "spanwise"}, "spans": list(trace(draw))}],
            }
        ]
    }
    return json.dumps(request, separators=(",", ":")) + "\n"


def trace(draw: random.Random) -> Iterator[dict[str, Any]]:
    """Yield a workflow of 12 agents, each with model calls and tools below it."""
    times = [(0, 60_000_000_000)]
    yield span(1, 0, times[0], [*promoted(draw, "invoke_workflow", "desk"), text("spanwise.step.name", "desk")])
    for number in range(1, SPANS_A_TRACE):
        agent = (number - 1) // 17
        first = agent * 17 + 1
        parent = 0 if number == first else first
        low, high = times[parent]
        start = low + draw.randrange(max(1, (high - low) * 3 // 4))
        times.append((start, start + 1 + draw.randrange(max(1, high - start))))
        operation = "invoke_agent" if number == first else draw.choice(["chat", "execute_tool"])
        attributes = promoted(draw, operation, f"agent_{agent}")
        if operation == "chat":
            first_chunk = {"doubleValue": (times[-1][1] - times[-1][0]) / 4e9}
            attributes.append({"key": "gen_ai.response.time_to_first_chunk", "value": first_chunk})
        else:
            attributes.append(text("spanwise.step.name", f"step_{number % 17}"))
        links = [draw.randrange(number) + 1] if number % 10 == 0 else []
        yield span(number + 1, parent + 1, times[-1], attributes, links)


def promoted(draw: random.Random, operation: str, agent: str) -> list[dict[str, Any]]:
    """Return five of the attributes that the columns hold."""
    subjects = {"chat": "gen_ai.request.model", "execute_tool": "gen_ai.tool.name"}
    return [
        text("gen_ai.operation.name", operation),
        text("gen_ai.agent.name", agent),
        text(subjects.get(operation, "gen_ai.workflow.name"), f"{operation}-1"),
        whole("gen_ai.usage.input_tokens", draw.randrange(4000)),
        whole("gen_ai.usage.output_tokens", draw.randrange(900)),
    ]


def span(
    number: int, parent: int, when: tuple[int, int], attributes: list[dict[str, Any]], links: Sequence[int] = ()
) -> dict[str, Any]:
    """Return one span; `links` are numbers of spans of its trace that it waited for."""
    trace_id = "TTTTTTTT" + 24 * "0"
    reason = [text("spanwise.link.reason", "waits_on")]
    linked = [{"traceId": trace_id, "spanId": f"SSSSSSSS{other:08x}", "attributes": reason} for other in links]
    return {
        "traceId": trace_id, "spanId": f"SSSSSSSS{number:08x}",
        "parentSpanId": f"SSSSSSSS{parent:08x}" if parent else "", "name": f"span {number % 17}", "kind": 1,
        "startTimeUnixNano": str(BEGIN_NS + when[0]), "endTimeUnixNano": str(BEGIN_NS + when[1]),
        "attributes": attributes, **({"links": linked} if linked else {}), "status": {},
    }  # fmt: skip


def text(key: str, value: str) -> dict[str, Any]:
    """Return an attribute as OTLP/JSON writes it."""
    return {"key": key, "value": {"stringValue": value}}


def whole(key: str, value: int) -> dict[str, Any]:
    """Return an attribute as OTLP/JSON writes it."""
    return {"key": key, "value": {"intValue": str(value)}}


def measured(part: str, path: Path) -> dict[str, Any]:
    """Return what `part` measured of `path` in a process of its own."""
    command = [sys.executable, __file__, "--measure", part, "--file", str(path)]
    document: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return document


def measure_loading(path: Path) -> dict[str, Any]:
    """Load `path` as columns."""
    from spanwise_profiling.sources import fast  # noqa: PLC0415 - only the measuring process loads numpy

    before, begin = resident(), time.perf_counter()
    columns = fast.load(path, progress=Progress(path.stat().st_size))
    seconds = time.perf_counter() - begin
    return {
        "spans": len(columns), "runs": len(columns.run_roots), "seconds": seconds, "repairs": dict(columns.repairs),
        "loaded_bytes": (resident() - before) / len(columns), "peak_bytes": (peak() - before) / len(columns),
        "array_bytes": columns.nbytes / len(columns),
    }  # fmt: skip


class Progress:
    """Shows how far loading is, on a terminal."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, done: int) -> None:
        """Say that `done` bytes are read."""
        if sys.stderr.isatty():
            print(f"\r{done / self.size:4.0%}", end="" if done < self.size else "\r", file=sys.stderr)


def resident() -> int:
    """Return this process's resident memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    """Return the largest resident memory of this process and of those that it started to load, in bytes."""
    own, largest = (
        resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    from spanwise_profiling.sources import parts  # noqa: PLC0415 - small files are loaded without it

    return own + largest * min(parts.cores(), parts.MOST)


def measure_profiles(path: Path) -> dict[str, Any]:
    """Time the way of `spanwise profile` and `spanwise compare` for a thousand runs, and `json.loads` of the lines."""
    from spanwise_profiling.load import load_runs  # noqa: PLC0415 - only the measuring process loads it
    from spanwise_profiling.profiled import profiled  # noqa: PLC0415

    begin = time.perf_counter()
    runs = load_runs(path)
    loaded = time.perf_counter()
    profiles = profiled(runs)
    ended, most = time.perf_counter(), peak()
    if any(sum(one.budget_ns.values()) != one.run.duration_ns for one in profiles):
        raise SystemExit("a budget does not add up to its run")
    begin_json = time.perf_counter()
    with path.open("rb") as lines:
        for line in lines:
            json.loads(line)
    return {
        "runs": len(runs), "loading": loaded - begin, "profiling": ended - loaded,
        "json": time.perf_counter() - begin_json, "peak_bytes": most,
    }  # fmt: skip


def report_profiles(path: Path) -> None:
    """Print how long a thousand runs take, beside reading their file with `json.loads`."""
    write(path, 1_000 * SPANS_A_TRACE)
    figures = measured("profiles", path)
    print(
        f"{figures['runs']:,} runs of {SPANS_A_TRACE} spans: loaded in {figures['loading']:.2f} s, profiled in "
        f"{figures['profiling']:.2f} s, {figures['peak_bytes'] / 2**20:.0f} MiB; "
        f"json.loads of the lines takes {figures['json']:.2f} s"
    )


MEASURES = {"loading": measure_loading, "profiles": measure_profiles}


def report_loading(figures: dict[str, Any]) -> None:
    """Print how fast the columns were loaded."""
    rate = figures["spans"] / figures["seconds"]
    print(
        f"columns: {figures['spans']:,} spans, {figures['runs']:,} runs in {figures['seconds']:.1f} s: "
        f"{rate:,.0f} spans/s, "
        f"{figures['loaded_bytes']:.1f} bytes a span loaded, {figures['peak_bytes']:.1f} at the peak"
    )


if __name__ == "__main__":
    main()
