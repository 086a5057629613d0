"""Every panel and every rule on a real Prometheus that scrapes a program with all of spanwise's metrics.

The program is a stand-in that exposes each family of `conventions.METRICS` by hand; what real runs expose is for the
end-to-end test to say, which asks the same `support.panels.panel_queries`.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from typing import TYPE_CHECKING, Any

import prometheus_client
import pytest
import yaml
from support.panels import panel_queries
from support.servers import eventually, fetch_json, need, start_stack

from spanwise.conventions import METRICS, WORKFLOW_DURATION, Metric
from spanwise_alerts.rules import GENERATED
from spanwise_cli.stack.catalogue import find

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.servers]

LABELS = {
    "gen_ai_workflow_name": ("trading",),
    "gen_ai_agent_name": ("trader",),
    "error_type": ("", "timeout"),
    "spanwise_cache_result": ("hit", "miss"),
    "gen_ai_token_type": ("input", "output"),
}
DEADLINE_SECONDS = 60


def expose(metric: Metric, registry: prometheus_client.CollectorRegistry) -> None:
    """Give `metric` one event for each combination of label values."""
    for values in itertools.product(*(LABELS.get(name, ("x",)) for name in metric.all_labels)):
        family(metric, registry)(*values)


def family(metric: Metric, registry: prometheus_client.CollectorRegistry) -> Any:
    labels = metric.all_labels
    known: Any = registry._names_to_collectors.get(metric.name)
    if metric.kind == "histogram":
        histogram = known or prometheus_client.Histogram(
            metric.name, metric.help, labels, registry=registry, buckets=metric.buckets
        )
        return lambda *values: histogram.labels(*values).observe(100.0)
    counter = known or prometheus_client.Counter(metric.name, metric.help, labels, registry=registry)
    return lambda *values: counter.labels(*values).inc()


@contextlib.contextmanager
def program() -> Generator[str, None, None]:
    """Serve every metric; gives `host:port`."""
    registry = prometheus_client.CollectorRegistry()
    for metric in METRICS:
        expose(metric, registry)
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def samples(prometheus: str, expr: str) -> list[dict[str, Any]]:
    """Return what `expr` gives now, without what is not a number."""
    result = fetch_json(f"{prometheus}/api/v1/query", query=expr)["data"]["result"]
    return [sample for sample in result if sample["value"][1] != "NaN"]


def wait_for(prometheus: str, expr: str) -> None:
    found = eventually(lambda: samples(prometheus, expr), within=DEADLINE_SECONDS)
    assert found, f"no data within {DEADLINE_SECONDS} s: {expr}"


def test_every_panel_has_data_and_every_rule_evaluates(tmp_path: Path) -> None:
    with program() as address, start_stack(tmp_path, rules=GENERATED, scrape=[address]) as stack:
        wait_for(stack.prometheus, f"{WORKFLOW_DURATION.name}_count")
        wait_for(stack.prometheus, "job_workflow:spanwise_cache_lookups_total:hit_ratio30m")
        empty = [title for title, expr in panel_queries() if not samples(stack.prometheus, expr)]
        counted = samples(stack.prometheus, f"job_workflow:{WORKFLOW_DURATION.name}_count:growth30m")
        (group,) = fetch_json(f"{stack.prometheus}/api/v1/rules")["data"]["groups"]

    assert empty == []
    assert [sample["value"][1] for sample in counted] == ["2"]
    assert [rule["name"] for rule in group["rules"] if rule["health"] != "ok"] == []


@pytest.mark.parametrize("promtool", ["promtool", "promtool-2.42"])
def test_every_query_is_one_that_old_and_new_servers_understand(promtool: str, tmp_path: Path) -> None:
    need(promtool)
    rules = [{"record": f"panel:query:{index}", "expr": expr} for index, (_, expr) in enumerate(panel_queries())]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")

    done = subprocess.run(
        [str(find(promtool)), "check", "rules", str(path)], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
