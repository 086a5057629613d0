"""An alert's search for its runs, done on the real Jaeger's API: the slow run is found, the quick one is not."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.servers import eventually, fetch_json, start_stack

from spanwise_alerts.links import search_parameters

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.servers]

LINK = (
    "http://127.0.0.1:16686/search?service=desk%20%26%20co&operation=invoke_workflow%20trading"
    "&minDuration=6s&lookback=1h&limit=20"
)
SLOW, QUICK = "aa" * 16, "bb" * 16
DEADLINE_SECONDS = 30


def run_of(trace_id: str, seconds: float) -> dict[str, Any]:
    end = time.time_ns()
    return {
        "traceId": trace_id,
        "spanId": trace_id[:16],
        "name": "invoke_workflow trading",
        "kind": 1,
        "startTimeUnixNano": str(end - int(seconds * 1e9)),
        "endTimeUnixNano": str(end),
    }


def send(otlp_http: str, spans: list[dict[str, Any]]) -> None:
    service = {"key": "service.name", "value": {"stringValue": "desk & co"}}
    document = {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": spans}]}]}
    request = urllib.request.Request(
        f"{otlp_http}/v1/traces", json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def found(jaeger_api: str, link: str) -> set[str]:
    """Return the ids of the traces that the search behind `link` finds."""
    query = search_parameters(link, end=datetime.now(UTC) + timedelta(seconds=1))
    try:
        result = fetch_json(f"{jaeger_api}/traces", **query, **{"query.raw_traces": "true"})["result"]
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:  # Jaeger's way to say that nothing fits
            return set()
        raise
    spans = [span for part in result["resourceSpans"] for scope in part["scopeSpans"] for span in scope["spans"]]
    return {span["traceId"] for span in spans}


def wait_until_found(jaeger_api: str, link: str, expected: set[str]) -> None:
    seen = eventually(lambda: found(jaeger_api, link), lambda ids: ids == expected, within=DEADLINE_SECONDS)
    assert seen == expected


def test_the_search_finds_the_run_over_the_budget_and_no_other(tmp_path: Path) -> None:
    with start_stack(tmp_path) as stack:
        send(stack.otlp_http, [run_of(SLOW, 6.5), run_of(QUICK, 5.5)])
        wait_until_found(stack.jaeger_api, LINK.replace("&minDuration=6s", ""), {SLOW, QUICK})

        assert found(stack.jaeger_api, LINK) == {SLOW}
