"""Links from an alert to the runs that it is about.

Neither PromQL nor an annotation can read exemplars, and a trace id must never be a label, so an alert cannot name the
offending trace. It carries a *search* for it instead: service, operation and least duration. The same search can be
made by a program on Jaeger's `/api/v3`; `search_parameters` translates.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qs, urlsplit

from spanwise.errors import InputError
from spanwise_alerts.promql import JOB, WORKFLOW
from spanwise_alerts.watches import seconds_of

DASHBOARD_UID: Final = "spanwise-overview"
"""The dashboard that alerts lead to; `spanwise_dashboards` gives it this uid and its file this name."""

_LOOKBACKS: Final = ("1h", "2h", "3h", "6h", "12h", "24h", "2d", "3d", "5d", "7d", "2w", "3w", "4w")
# Jaeger's page offers these and no others.

# urlquery writes a space as "+", which some readers of a query take for a plus.
_ENCODED: Final = '| urlquery | reReplaceAll "[+]" "%20"'
# Prometheus makes job "namespace/name" of a service with a namespace; Jaeger knows the name alone.
_SERVICE: Final = f'{{{{ $labels.{JOB} | reReplaceAll "^.*/" "" {_ENCODED} }}}}'


def trace_search(
    jaeger: str,
    *,
    of: str = "invoke_workflow",
    subject: str = WORKFLOW,
    min_seconds: float | None,
    lookback: str,
    limit: int = 20,
) -> str:
    """Return the annotation template of a Jaeger search for an alert's runs.

    Args:
        jaeger: Base address of Jaeger's page.
        of: Operation of the spans that are searched for, such as `invoke_agent`.
        subject: Label with the name of what they are spans of.
        min_seconds: Least duration of one in *real* seconds, or None for any.
        lookback: One of the spans of time that Jaeger's page offers; see `lookback_for`.
        limit: Most traces to show.
    """
    least = "" if min_seconds is None else f"&minDuration={go_duration(min_seconds)}"
    operation = f'{{{{ printf "{of} %s" $labels.{subject} {_ENCODED} }}}}'
    return f"{jaeger}/search?service={_SERVICE}&operation={operation}{least}&lookback={lookback}&limit={limit}"


def dashboard(grafana: str) -> str:
    """Return the annotation template of the dashboard for an alert's job and workflow."""
    variables = f"var-job={{{{ $labels.{JOB} {_ENCODED} }}}}&var-workflow={{{{ $labels.{WORKFLOW} {_ENCODED} }}}}"
    return f"{grafana}/d/{DASHBOARD_UID}?{variables}"


def runbook(base: str, alert: str) -> str:
    """Return the address of an alert's page in the folder of runbooks."""
    return f"{base}/{alert}.md"


def lookback_for(seconds: float) -> str:
    """Return the shortest time that Jaeger's page offers and that covers `seconds`, else the longest."""
    return next((name for name in _LOOKBACKS if seconds_of(name) >= seconds), _LOOKBACKS[-1])


def go_duration(seconds: float) -> str:
    """Return `seconds` as Go writes durations, in the largest unit that keeps it whole, down to microseconds."""
    micros = int(seconds * 1_000_000)
    for unit, size in (("s", 1_000_000), ("ms", 1_000)):
        if micros % size == 0:
            return f"{micros // size}{unit}"
    return f"{micros}us"


def search_parameters(link: str, *, end: datetime) -> dict[str, str]:
    """Return the query of `/api/v3/traces` that does the same search as the page behind `link`.

    Args:
        link: A rendered `trace_search` annotation.
        end: When the search ends, with a time zone; it begins `lookback` earlier.

    Raises:
        InputError: `link` has no service or its lookback is not a duration.
    """
    given = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    if "service" not in given or not re.fullmatch("[0-9]+[smhdw]", given.get("lookback", "1h")):
        raise InputError(f"{link}: not a Jaeger search with a service and a lookback; take an alert's trace_search")
    start = end - timedelta(seconds=seconds_of(given.get("lookback", "1h")))
    parameters = {
        "query.service_name": given["service"],
        "query.start_time_min": start.isoformat(),
        "query.start_time_max": end.isoformat(),
        "query.num_traces": given.get("limit", "20"),
    }
    for name, ours in (("query.operation_name", "operation"), ("query.duration_min", "minDuration")):
        if ours in given:
            parameters[name] = given[ours]
    return parameters
