"""How near predictions come: each flag of each reference system, and generated programs, predicted and then run.

Baseline runs of a system are recorded on a virtual clock against the simulated provider in this process. From these
alone each flag is predicted, by the changes that it is called below, and all flags together. Then the system is run
with the flag, with the same seeds. A flag that says what cannot be seen in a baseline run (how many words are spared)
is given as its author knows it. A thousand programs of the sound families (`predicted_programs.py`) follow.

    python benchmarks/prediction.py
    python benchmarks/prediction.py --seeds 3 --programs 100

Exit code 1 where a prediction is off by more than 2 %, or a program by more than 1 %.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from dataclasses import asdict, fields, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from predicted_programs import FAMILIES
from predicted_programs import recorded as program_run

import spanwise
from spanwise.config import strict_yaml
from spanwise.journal.reader import LinkRecord, SpanRecord
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import Clock, SystemContext
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.resources import Resources
from spanwise_pipeline.systems import NAMES, system_named
from spanwise_profiling.prediction.language import change_of
from spanwise_profiling.prediction.predict import Recorded
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spanwise.testing import PlainSpan
    from spanwise_pipeline import System
    from spanwise_profiling.runs import Run

SPEED: Final = 20.0
BEGIN_NS: Final = 1_790_000_000_000_000_000
GOAL: Final = 0.02
GOAL_OF_PROGRAMS: Final = 0.01
CHANGES: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "trading": {
        "parallel_analysts": ["parallel step=*_report"],
        "batch_tools": ["parallel tool"],
        "market_cache": ["cache retrieval name!=reference_data"],
        "async_fetch": ["parallel retrieval name!=reference_data"],
        # The prompts' lengths with facts alone can be counted without a model.
        "compress_prompts": ["input chat step!=brief,*_report x0.06"],
        # 38 words and a line for each fact in place of 57, 65 of 98, 33 of 50; tool calls are no prose.
        "concise_prompts": ["output chat gen_ai.response.finish_reasons=stop x0.675"],
        "cached_reports": [],  # every run is cold: nothing is asked twice
        "concurrent_debate": ["parallel step=bull_opening,bear_opening", "parallel step=*_rebuttal"],
        "concurrent_risk": ["parallel step=*_view"],
        "concurrent_aggregation": ["parallel reference_data"],
        # What a handshake with the provider takes.
        "pooled_connections": ["duration chat -120 ms"],
    },
}
"""System to flag to what it is called; an empty list where it changes nothing in a cold run."""


def recorded(system: System, flags: Any, seed: int) -> Run:
    """Return one cold run of a system on a virtual clock."""
    profile = strict_yaml.load(system.profile, Profile)
    app = create_app(profile, speed=SPEED)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        clock = Clock(SPEED)

        def now() -> int:
            return BEGIN_NS + round(loop.time() * 1e9)

        def seconds() -> float:
            return now() / 1e9

        with (
            mock.patch("time.time_ns", now),
            mock.patch("time.perf_counter_ns", now),
            mock.patch("time.perf_counter", seconds),
        ):
            async with Resources(system.name, system.needs(flags), clock=clock, virtual=True) as resources:
                context = SystemContext(
                    base_url="http://in-process/v1", api_key=profile.api_key or "k", clock=clock, seed=seed,
                    label_requests=True, publish=lambda _agent, _text: None, resources=resources,
                    transport=lambda pooled: InProcessTransport(app, pooled=pooled),
                )  # fmt: skip
                async with resources.background:
                    with spanwise.workflow(system.name, flags=asdict(flags), seed=seed):
                        await system.run(context, flags)

    with capture(time_scale=SPEED, wait_threshold=0.0001, fingerprints=True) as spans:
        run_virtual(main)
        [run] = runs_of(build_traces([_record(span) for span in spans()]))
        return run


def _record(span: PlainSpan) -> SpanRecord:
    trace_id = f"{span['trace_id']:032x}"
    return SpanRecord(
        trace_id=trace_id,
        span_id=f"{span['span_id']:016x}",
        parent_id=f"{span['parent_id']:016x}" if span["parent_id"] else None,
        name=span["name"],
        kind=1,
        start_ns=span["start_ns"],
        end_ns=span["end_ns"],
        attributes=span["attributes"],
        links=tuple(LinkRecord(trace_id, f"{released:016x}", about) for released, about in span["links"]),
        status_code=2 if span["status"] == "ERROR" else 0,
        resource={"spanwise.time.scale": SPEED},
    )


def of_system(system: System, seeds: range) -> bool:
    """Print a table of a system's flags; returns whether all predictions are near enough."""
    baseline = system.presets["baseline"]
    texts = CHANGES.get(system.name, {})
    names = [field.name for field in fields(baseline) if field.name in texts]
    unnamed = [field.name for field in fields(baseline) if field.name not in texts]
    known = Recorded([recorded(system, baseline, seed) for seed in seeds])
    print(f"{system.name}, {len(seeds)} seeds, baseline {known.seconds:.1f} s")
    print(f" {'flag':<24} {'predicted':>10} {'measured':>10} {'off':>8}")
    near = True
    everything = (dict.fromkeys(names, True), [text for name in names for text in texts[name]], "all together")
    for switched, lines, title in [*(({name: True}, list(texts[name]), name) for name in names), everything]:
        predicted = known.predict([change_of(line) for line in lines]).median.after if lines else known.seconds
        measured = median(recorded(system, replace(baseline, **switched), seed).seconds for seed in seeds)
        off = predicted / measured - 1
        near = near and abs(off) <= GOAL
        print(f" {title:<24} {predicted:>8.2f} s {measured:>8.2f} s {off:>+8.2%}", flush=True)
    if unnamed:
        print(f" not predicted, as no change says what they do: {', '.join(unnamed)}")
    print()
    return near


def of_programs(count: int) -> bool:
    """Print how far off generated programs are, by family; returns whether all are near enough."""
    print(f"{count} generated programs")
    print(f" {'family':<24} {'programs':>10} {'mean off':>10} {'worst':>8}")
    near = True
    for place, (name, family) in enumerate(FAMILIES.items()):
        offs: list[float] = []
        for number in range(place, count, len(FAMILIES)):
            case = family(random.Random(number))
            before = [program_run(case.before, seed) for seed in range(case.traces)]
            predicted = Recorded(before).predict([change_of(text) for text in case.changes]).median.after
            measured = median(program_run(case.after, seed).seconds for seed in range(case.traces))
            offs.append(abs(predicted / measured - 1))
        near = near and max(offs, default=0.0) <= GOAL_OF_PROGRAMS
        mean, worst = (sum(offs) / len(offs), max(offs)) if offs else (0.0, 0.0)
        print(f" {name.replace('_', ' '):<24} {len(offs):>10} {mean:>10.3%} {worst:>8.3%}", flush=True)
    return near


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--system", action="append", choices=NAMES, help="of all registered systems, only this")
    options = parser.parse_args()
    near = [of_system(system_named(name), range(1, options.seeds + 1)) for name in options.system or NAMES]
    near.append(of_programs(options.programs))
    return 0 if all(near) else 1


if __name__ == "__main__":
    sys.exit(main())
