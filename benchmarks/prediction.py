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
import time
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from predicted_programs import FAMILIES
from predicted_programs import recorded as program_run

import spanwise
from spanwise.causality import observed, steps
from spanwise.config import strict_yaml
from spanwise.journal.reader import LinkRecord, SpanRecord
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import Clock, SystemContext
from spanwise_pipeline.flags import parse_setting
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
    from collections.abc import Callable, Generator, Mapping, Sequence

    from spanwise.testing import PlainSpan
    from spanwise_pipeline import System
    from spanwise_profiling.runs import Run

SPEED: Final = 20.0
BEGIN_NS: Final = 1_790_000_000_000_000_000
GOAL: Final = 0.02
GOAL_OF_PROGRAMS: Final = 0.01
TOGETHER: Final = "all together"
_GROUPS: Final = (
    "parallel agent=fundamentals,valuation,deep_value,quality,dividend | agent=growth,fair_growth,innovation,street | "
    "agent=technicals,momentum,reversion,trend | agent=activist,contrarian,tail_risk | agent=sentiment"
)
_FALLBACK: Final = ("stop attempt after 1", "remove retry_backoff")
_NO_CRITIC: Final = ("remove agent=*_critic", "stop capacity.json step=*_offer after 1")
_NO_NOTES: Final = ("output chat agent=offer_matcher x0.82", "output chat agent=incentive_matcher x0.77")
"""An answer's share up to the end of its JSON."""
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
    "hedge_fund": {
        "parallel_groups": [_GROUPS],
        "fast_fallback": _FALLBACK,
        "data_cache": ["cache retrieval"],
        "direct_integration": ["remove step=prepare"],
        "independent_analysts": [],  # nothing, unless groups run at the same time
        # A handshake of 50 ms does not get faster.
        "faster_model": [
            "duration chat gen_ai.request.model=analyst-large x0.5",
            "duration chat gen_ai.request.model=analyst-large +25 ms",
        ],
        # 160 tokens of each prompt come out of the provider's cache, at a tenth of their time.
        "prompt_caching": ["duration chat gen_ai.request.model=analyst-large -22 ms"],
        # 33 tokens of JSON in place of 77 of prose.
        "structured_outputs": ["output chat gen_ai.request.model=analyst-large x0.43"],
        "batched_storage": ["duration agent role=analyse -100 ms"],
        "pooled_database": ["duration agent role=analyse -60 ms"],
        "pooled_connections": ["duration chat gen_ai.request.model=analyst-large -50 ms", "duration attempt -50 ms"],
        "hedged_calls": [],  # no call of the simulated models is slow enough
        "result_cache": [],  # every run is cold
        TOGETHER: [
            # Where nobody is late, a failing call is tried once more after 0.25 s.
            "stop attempt after 2", "stop retry_backoff after 1",
            "retry chat gen_ai.request.model=sentiment-large after 250 ms",
            "parallel agent role=analyse", "cache retrieval", "remove step=prepare",
            "duration chat gen_ai.request.model=analyst-large x0.5",
            "output chat gen_ai.request.model=analyst-large x0.43", "duration agent role=analyse -100 ms",
            "duration chat gen_ai.request.model=analyst-large -50 ms",
        ],
    },
    "matching": {
        "constellation=p1m1_p2m2": [*_NO_CRITIC, *_NO_NOTES],
        "capacity_once": ["cache capacity.json"],
        "concurrent_loading": ["parallel retrieval step=load"],
        # Only the last batch, of 0.4 s, is waited for, and what was written need not be read again.
        "batch_writes": [
            "remove writer",
            "remove step name=write",
            "remove retrieval name=matches/*",
            "duration step=*_order +400 ms",
        ],
        "stop_at_json": _NO_NOTES,
        "skip_critic": _NO_CRITIC,
        # How many offers and incentives are left of a registration's measure and region, and how long the lists are.
        "shortlist": [
            "input chat agent=offer_* x0.28", "output chat agent=offer_matcher x0.41",
            "output chat agent=offer_critic x0.36",
            "input chat agent=incentive_* x0.5", "output chat agent=incentive_matcher x0.66",
            "output chat agent=incentive_critic x0.55",
        ],
        "concurrent_registrations": [],  # there is one
        "pooled_connections": ["duration chat -120 ms"],
        TOGETHER: [
            "remove agent=*_critic", "cache capacity.json", "parallel retrieval step=load",
            "remove writer",
            "remove step name=write",
            "remove retrieval name=matches/*",
            "duration step=*_order +400 ms", "input chat agent=offer_matcher x0.28",
            "output chat agent=offer_matcher x0.24", "input chat agent=incentive_matcher x0.5",
            "output chat agent=incentive_matcher x0.4", "duration chat agent=*_matcher -120 ms",
        ],
    },
}  # fmt: skip
"""System to flag (`name`, or `name=value`) to what it is called; an empty list where it changes nothing in a cold run.

All flags together are what they are called alone, unless `TOGETHER` says it.
"""


@contextmanager
def _steps_by(now: Callable[[], int]) -> Generator[None]:
    """Let causality read this clock inside the block, also where it runs in C."""
    if steps.compiled is None:
        with mock.patch("spanwise.causality.steps.perf_counter_ns", now):
            yield
        return
    steps.compiled.read_with(now, time.thread_time_ns, steps.current_context)
    try:
        yield
    finally:
        steps.compiled.read_with(time.perf_counter_ns, time.thread_time_ns, steps.current_context)


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
            mock.patch("spanwise.causality.driver.time_ns", now),
            mock.patch("spanwise.causality.driver.perf_counter_ns", now),
            mock.patch("spanwise.causality.spans.perf_counter_ns", now),
            _steps_by(now),
            observed(),
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


def _switched(system: System, title: str) -> dict[str, Any]:
    name, _, value = title.partition("=")
    return dict([parse_setting(system.flags, f"{name}={value or 'true'}", system=system.name)])


def of_system(system: System, seeds: range) -> bool:
    """Print a table of a system's flags; returns whether all predictions are near enough."""
    texts = CHANGES.get(system.name, {})
    if not texts:
        print(f"{system.name}: not predicted, as no change says what its flags do\n")
        return True
    baseline = system.presets["baseline"]
    switched = {title: _switched(system, title) for title in texts if title != TOGETHER}
    known = Recorded([recorded(system, baseline, seed) for seed in seeds])
    print(f"{system.name}, {len(seeds)} seeds, baseline {known.seconds:.1f} s")
    print(f" {'flag':<24} {'predicted':>10} {'measured':>10} {'off':>8}")
    near = True
    everything = {name: value for one in switched.values() for name, value in one.items()}
    together = texts.get(TOGETHER, [text for lines in texts.values() for text in lines])
    for title, changed in {**switched, TOGETHER: everything}.items():
        lines = together if title == TOGETHER else texts[title]
        predicted = known.predict([change_of(line) for line in lines]).median.after if lines else known.seconds
        measured = median(recorded(system, replace(baseline, **changed), seed).seconds for seed in seeds)
        off = predicted / measured - 1
        near = near and abs(off) <= GOAL
        print(f" {title:<24} {predicted:>8.2f} s {measured:>8.2f} s {off:>+8.2%}", flush=True)
    unnamed = {field.name for field in fields(baseline)} - set(everything)
    if unnamed:
        print(f" not predicted, as no change says what they do: {', '.join(sorted(unnamed))}")
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
