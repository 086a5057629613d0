"""The Python blocks of docs/destinations.md run, in order, and its tables agree with the code."""

from __future__ import annotations

import re

from support.pages import ROOT

from spanwise.destinations import delivery, over_http
from spanwise.destinations.batches import MOST_BYTES, MOST_SPANS
from spanwise.destinations.delivery import LONGEST_PAUSE
from spanwise.destinations.doubts import REFUSALS
from spanwise.destinations.sources import HELD
from spanwise.destinations.transport import LONGEST_RETRY_AFTER

PAGE = ROOT / "docs" / "destinations.md"


def test_the_numbers_are_those_of_the_code() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"{MOST_SPANS:,} spans or {MOST_BYTES // 2**20} MiB a request" in text
    assert f"grows up to {LONGEST_PAUSE:.0f} s" in text
    assert (LONGEST_RETRY_AFTER, HELD) == (3_600, 100_000)
    assert "an hour at most" in text
    assert f"up to {HELD:,} that wait" in text


def test_the_codes_that_set_spans_aside_are_those_of_the_code() -> None:
    [row] = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| it refuses these")]
    assert {int(code) for code in re.findall(r"\b\d{3}\b", row)} == {int(code) for code in over_http.REFUSED}
    [row] = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| the receiver is away")
    ]
    assert "(429, 502 to 504;" in row
    assert {int(code) for code in over_http.LATER} == {429, 502, 503, 504}


def test_what_sets_a_span_aside_is_that_of_the_code() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert (REFUSALS, "After ten refusals the span is set aside" in text) == (10, True)
    assert f"at most {over_http.LONGEST_ANSWER // 1024} KiB" in text
    assert (delivery._GOOD_REQUESTS, "grow again after each 16 that are accepted" in text) == (16, True)
