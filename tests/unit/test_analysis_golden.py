"""Golden traces: the analysis gives the answers that a person worked out."""

from __future__ import annotations

import pytest
from support import golden

from spanwise_profiling.analysis import profile_of
from spanwise_profiling.profile import BUCKETS


@pytest.mark.parametrize("name", golden.names())
def test_a_golden_trace_has_the_answers_worked_out_by_hand(name: str) -> None:
    run, document = golden.load(name)
    expected = {key: answer for key, answer in document.items() if key not in ("idea", "spans")}
    assert golden.answers(profile_of(run), document) == expected, document["idea"]


def test_there_are_enough_of_them_to_read() -> None:
    assert len(golden.names()) >= 25
    assert all(len((golden.FOLDER / f"{name}.json").read_text()) < 2_000 for name in golden.names())


def test_every_bucket_has_a_trace_of_its_own() -> None:
    lines = [line for name in golden.names() for line in golden.load(name)[1]["path"]]
    assert {line.split()[2] for line in lines} == set(BUCKETS)
