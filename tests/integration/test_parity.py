"""The same metrics by two ways: scraped from the process, and derived by the collector from the spans it was sent.

Two jobs in a row, because that is where the ways differ: a process's counters end with it, the collector's go on. What
must be equal is then the collector's against the sum of both processes' own. Both ways are read from Prometheus.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from support import recording_job
from support.servers import eventually, fetch_json, query_prometheus, start_stack

from spanwise.conventions import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import StackAddresses

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.alone]

SERVICE = "parity"
SCALES = (1, 20)
FAMILIES = {metric.name: metric for metric in METRICS}
Series = dict[frozenset[tuple[str, str]], float]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StackAddresses, Iterator[int]]]:
    ports = free_ports(2 * len(SCALES))
    scrape = [f"127.0.0.1:{port}" for port in ports]
    with start_stack(tmp_path_factory.mktemp("stack"), scrape=scrape, process_job=SERVICE) as addresses:
        yield addresses, iter(ports)


@contextlib.contextmanager
def job(stack: StackAddresses, workflow: str, instance: str, scale: float) -> Iterator[dict[str, Any]]:
    """Run a job that has recorded and delivered everything and lives until the block ends."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))} | {
        "SPANWISE_SERVICE_NAME": SERVICE, "SPANWISE_ENDPOINT": stack.otlp_http,
        "SPANWISE_METRICS_PORT": instance.rpartition(":")[2], "SPANWISE_TIME_SCALE": str(scale),
    }  # fmt: skip
    command = [sys.executable, "-W", "error", recording_job.__file__, workflow]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            code = process.wait(30)
    assert code == 0


def series(stack: StackAddresses, workflow: str, instance: str) -> Series:
    """Return what Prometheus has of every span-derived family, as `instance` exposes it."""
    selector = f'{{gen_ai_workflow_name="{workflow}",instance="{instance}"}}'
    found = query_prometheus(stack.prometheus, selector)
    return {labels: value for labels, value in found.items() if is_derived(dict(labels)["__name__"])}


def is_derived(name: str) -> bool:
    """Whether a series is of a family of the conventions; `_created` and the collector's own families are not."""
    return family_of(name) in FAMILIES


def added(one: Series, other: Series) -> Series:
    return {labels: one.get(labels, 0.0) + other.get(labels, 0.0) for labels in one | other}


def exemplars(stack: StackAddresses, query: str) -> set[str]:
    now = time.time()
    answer = fetch_json(
        f"{stack.prometheus}/api/v1/query_exemplars", query=query, start=str(now - 300), end=str(now + 60)
    )
    return {exemplar["labels"]["trace_id"] for entry in answer["data"] for exemplar in entry["exemplars"]}


def family_of(name: str) -> str:
    return name if name in FAMILIES else re.sub("_(bucket|sum|count)$", "", name)


@pytest.mark.parametrize("scale", SCALES)
def test_process_and_collector_say_the_same_of_two_jobs_in_a_row(
    stack: tuple[StackAddresses, Iterator[int]], scale: int
) -> None:
    servers, ports = stack
    workflow = f"desk-{scale}"
    before: Series = {}
    for _ in range(2):
        instance = f"127.0.0.1:{next(ports)}"
        with job(servers, workflow, instance, scale) as told:
            own, sums, theirs = both_ways(servers, workflow, instance, before)
            bucket = f'gen_ai_client_operation_duration_seconds_bucket{{instance="{instance}"}}'
            traces = eventually(functools.partial(exemplars, servers, bucket))
        assert told["delivered"]
        assert {family_of(dict(labels)["__name__"]) for labels in own} == set(FAMILIES)
        assert {dict(labels)["job"] for labels in own} == {SERVICE}
        assert set(sums) == set(theirs)
        assert sums == pytest.approx(theirs)
        assert traces == {told["trace_id"]}
        before = sums


def both_ways(stack: StackAddresses, workflow: str, instance: str, before: Series) -> tuple[Series, Series, Series]:
    """Return a job's own series, those added to the ones of the jobs `before` it, and the collector's, once equal."""

    def look() -> tuple[Series, Series, Series]:
        own = series(stack, workflow, instance)
        return own, added(own, before), series(stack, workflow, stack.collector_metrics.split("/")[2])

    return eventually(look, lambda seen: bool(seen[0]) and seen[1] == pytest.approx(seen[2]))
