"""The walk over columns gives the same paths and budgets as the oracle does run by run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support import golden, traces
from support.path_oracle import Oracle, Part, joined
from support.random_runs import random_run

from spanwise.journal.reader import LinkRecord
from spanwise_profiling import columns
from spanwise_profiling.analysis import profile_of, vector
from spanwise_profiling.profile import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise.journal.reader import SpanRecord
    from spanwise_profiling.runs import Run


def columns_of(runs: Sequence[Run]) -> columns.Columns:
    """Return `runs` as columns, each in the trace of its number."""
    return columns.of_records(_moved(span, number) for number, run in enumerate(runs) for _, span in run.walk())


def _moved(span: SpanRecord, number: int) -> SpanRecord:
    trace = f"{number + 1:032x}"
    links = tuple(LinkRecord(trace, link.span_id, link.attributes) for link in span.links)
    return replace(span, trace_id=trace, links=links)


def parts_by_run(found: columns.Columns, paths: vector.Paths) -> dict[int, list[Part]]:
    """Return the path of each run, by the number that its trace id is."""
    parts: dict[int, list[Part]] = {}
    rows = zip(
        *(getattr(paths, name).tolist() for name in ("run", "row", "start", "end", "bucket", "observed", "overlap")),
        strict=True,
    )
    for run, row, start, end, bucket, observed, overlap in rows:
        number = int(found.trace_ids[found.trace[found.run_roots[run]]], 16) - 1
        edge = "observed" if observed else "inferred"
        part = Part(f"{found.span_id[row]:016x}", start, end, BUCKETS[bucket], edge, overlap)
        parts.setdefault(number, []).append(part)
    return {number: joined(path) for number, path in parts.items()}


def check(seeds: range) -> None:
    """Hold what is exact to the oracle; that must be nearly all."""
    runs = [random_run(seed, most_links=1) for seed in seeds]
    found = columns_of(runs)
    paths = vector.paths_of(found)
    assert np.array_equal(paths.budgets.sum(axis=1)[paths.exact], paths.durations[paths.exact])
    assert not paths.budgets[~paths.exact].any()
    assert paths.exact.mean() > 0.95
    for number, parts in parts_by_run(found, paths).items():
        assert parts == Oracle(runs[number]).walk(), seeds[number]


def test_200_random_runs_have_the_paths_of_the_oracle() -> None:
    check(range(20_000, 20_200))


@pytest.mark.slow
def test_ten_thousand_more_have_them_too() -> None:
    check(range(20_200, 30_200))


def test_the_golden_traces_have_the_same_budgets_in_both_forms() -> None:
    runs = [golden.load(name)[0] for name in golden.names()]
    found = columns_of(runs)
    paths = vector.paths_of(found)
    inexact = []
    for row, root in enumerate(found.run_roots.tolist()):
        number = int(found.trace_ids[found.trace[root]], 16) - 1
        if paths.exact[row]:
            assert paths.budgets[row].tolist() == list(profile_of(runs[number]).budget_ns.values()), golden.names()[
                number
            ]
        else:
            inexact.append(golden.names()[number])
    assert sorted(inexact) == [
        "collector", "connection", "loop-blocked-by-another", "loop-blocked-by-itself",
        "loop-blocked-in-the-middle-of-a-call", "loop-blocked-under-a-call", "retry", "spawned-by",
        "stream-that-never-came",
    ]  # fmt: skip


def test_a_run_longer_than_the_keys_hold_is_left_to_the_other_form() -> None:
    paths = vector.paths_of(columns_of([traces.run_of(traces.workflow(1, 0, 6 * 3600.0))]))
    assert paths.exact.tolist() == [False]


def test_no_runs_have_no_paths() -> None:
    paths = vector.paths_of(columns.of_records([]))
    assert len(paths.run) == 0
    assert paths.budgets.shape == (0, len(BUCKETS))


def test_siblings_by_the_thousand_are_walked_in_time() -> None:
    count = 1_000
    # One that goes on all the while lies between each pair of the others.
    work = [traces.tool(n, n * 1e-3, (n + 1) * 1e-3, parent=1) for n in range(3, count)]
    run = traces.run_of(traces.workflow(1, 0, 6), traces.tool(2, 0, 5.999, parent=1), *work)
    paths = vector.paths_of(columns_of([run]))
    assert paths.budgets[0].tolist() == list(profile_of(run).budget_ns.values())
