"""The real servers for tests: on free ports, in a temporary folder, gone afterwards.

A test that needs one which this machine lacks is skipped with the reason; under `CI=true` it fails, because there a
skipped test would be a hole that nobody sees.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from spanwise.errors import UnavailableError
from spanwise_cli.stack import catalogue, lifecycle, processes
from spanwise_cli.stack.plan import PROCESS_JOB, Settings, plan
from spanwise_cli.stack.ports import LOOPBACK, Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from spanwise_cli.stack.processes import Identity

T = TypeVar("T")
NO_RULES = "/nonexistent/rules.yaml"


@dataclass(frozen=True, slots=True)
class StackAddresses:
    """Where the servers of one test listen."""

    otlp_http: str
    """Base address; `/v1/traces` is added by exporters."""
    otlp_grpc: str
    """`host:port`."""
    collector_metrics: str
    """Address of the collector's Prometheus page."""
    jaeger_api: str
    """Base address of `/api/v3`."""
    prometheus: str
    alertmanager: str
    webhook: str
    """Where alerts are delivered: `webhook_url`, or the stack's own receiver."""
    alerts: Path
    """What the stack's own receiver kept, one JSON document a line."""
    process_metrics: int
    """Free port that Prometheus scrapes as the program's own."""
    folder: Path
    """Logs, data and configuration."""
    processes: Mapping[str, Identity]


def need(*programs: str) -> None:
    """Skip the test (under `CI=true`: fail it) unless all of `programs` (`otelcol`, `promtool`, ...) are here."""
    for program in programs:
        try:
            catalogue.require(program)
        except UnavailableError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))


@contextlib.contextmanager
def start_stack(
    tmp: Path,
    *,
    rules: Path | None = None,
    webhook_url: str | None = None,
    scrape: Sequence[str] = (),
    process_job: str = PROCESS_JOB,
    ports: Ports | None = None,
) -> Generator[StackAddresses, None, None]:
    """Run collector, Jaeger, Prometheus and Alertmanager (and a webhook, without `webhook_url`) in `tmp`.

    Everything that has an interval has one of a second. `rules` is a file of alert or recording rules (or a glob in a
    folder), `scrape` are more `host:port` of programs' own metrics, whose `job` is `process_job`.
    """
    need("otelcol", "jaeger", "prometheus", "alertmanager")
    settings = Settings(
        folder=tmp, ports=ports or Ports.free(), rules=str(rules or NO_RULES), webhook_url=webhook_url,
        scrape=tuple(scrape), process_job=process_job, interval="1s", flush="1s",
    )  # fmt: skip
    started = lifecycle.start(plan(settings), settings)
    try:
        yield _addresses(settings, started)
    finally:
        processes.end(list(started.values()))


def _addresses(settings: Settings, started: Mapping[str, Identity]) -> StackAddresses:
    ports, here = settings.ports, f"http://{LOOPBACK}"
    return StackAddresses(
        otlp_http=f"{here}:{ports.otlp_http}",
        otlp_grpc=f"{LOOPBACK}:{ports.otlp_grpc}",
        collector_metrics=f"{here}:{ports.collector_metrics}/metrics",
        jaeger_api=f"{here}:{ports.jaeger_ui}/api/v3",
        prometheus=f"{here}:{ports.prometheus}",
        alertmanager=f"{here}:{ports.alertmanager}",
        webhook=settings.webhook_url or f"{here}:{ports.webhook}/alert",
        alerts=settings.alerts,
        process_metrics=ports.process_metrics,
        folder=settings.folder,
        processes=started,
    )


def fetch_json(url: str, **query: str) -> Any:
    """Return the JSON document at `url`; an HTTP error is raised as `urllib.error.HTTPError`."""
    address = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)


def post_otlp(otlp_http: str, request: Mapping[str, Any]) -> None:
    """Send one ExportTraceServiceRequest in OTLP/JSON."""
    body = json.dumps(request).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{otlp_http}/v1/traces", body, headers), timeout=10) as answer:
        answer.read()


def query_prometheus(prometheus: str, expression: str) -> dict[frozenset[tuple[str, str]], float]:
    """Return the instant value of `expression` by its labels: without `instance`, and `le` as Python writes a float."""
    answer = fetch_json(f"{prometheus}/api/v1/query", query=expression)
    return {_labels(entry["metric"]): float(entry["value"][1]) for entry in answer["data"]["result"]}


def _labels(metric: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((k, str(float(v)) if k == "le" else v) for k, v in metric.items() if k != "instance")


def jaeger_trace(jaeger_api: str, trace_id: str) -> list[dict[str, Any]]:
    """Return the resource spans of a stored trace, `[]` while there are none; never changes what is stored."""
    try:
        # Without raw_traces Jaeger "adjusts" the trace in place, a little more each time.
        return list(fetch_json(f"{jaeger_api}/traces/{trace_id}", raw_traces="true")["result"]["resourceSpans"])
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                return []
        raise


def eventually(look: Callable[[], T], wanted: Callable[[T], bool] = bool, *, within: float = 30.0) -> T:
    """Return what `look` sees once it is `wanted`; after `within` seconds, whatever it sees then."""
    deadline = time.monotonic() + within
    while not wanted(seen := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return seen
