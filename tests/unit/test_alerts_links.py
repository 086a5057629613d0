"""Links from an alert to the runs it speaks of, and the same search for a program."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spanwise.errors import InputError
from spanwise_alerts.links import go_duration, lookback_for, runbook, search_parameters

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PAGE = "http://127.0.0.1:16686/search?service=desk%20%26%20co&operation=invoke_workflow%20trading"


def test_the_search_of_the_page_is_the_same_on_the_api() -> None:
    assert search_parameters(f"{PAGE}&minDuration=6s&lookback=1h&limit=20", end=NOON) == {
        "query.service_name": "desk & co",
        "query.operation_name": "invoke_workflow trading",
        "query.duration_min": "6s",
        "query.start_time_min": "2026-11-21T11:00:00+00:00",
        "query.start_time_max": "2026-11-21T12:00:00+00:00",
        "query.num_traces": "20",
    }


def test_a_search_without_a_least_duration_has_none_on_the_api() -> None:
    parameters = search_parameters(f"{PAGE}&lookback=2d", end=NOON)

    assert "query.duration_min" not in parameters
    assert parameters["query.start_time_min"] == "2026-11-19T12:00:00+00:00"


@pytest.mark.parametrize("link", ["http://127.0.0.1:16686/trace/abc", f"{PAGE}&lookback=custom"])
def test_a_link_that_is_no_search_is_refused(link: str) -> None:
    with pytest.raises(InputError, match="not a Jaeger search"):
        search_parameters(link, end=NOON)


def test_a_lookback_is_one_that_the_page_offers() -> None:
    assert [lookback_for(seconds) for seconds in (1, 3600, 3601, 30 * 3600, 10**9)] == ["1h", "1h", "2h", "2d", "4w"]


def test_durations_are_written_as_jaeger_reads_them() -> None:
    assert [go_duration(seconds) for seconds in (120, 0.3, 7.5, 0.0000015)] == ["120s", "300ms", "7500ms", "1us"]


def test_a_runbook_is_the_page_of_the_alert() -> None:
    assert runbook("alerts/runbooks", "SpanwiseWorkflowSlow") == "alerts/runbooks/SpanwiseWorkflowSlow.md"
