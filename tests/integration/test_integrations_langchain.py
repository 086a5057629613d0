"""Graphs and chains in an unchanged program: a run an invocation, a step a node, and what a node calls below it."""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import pytest
from support.library_environment import LANGGRAPH, OLDEST_LANGGRAPH, python_with
from support.pages import ROOT
from support.provider_process import provider

from spanwise.journal import reader
from spanwise_pipeline.provider.profile import Model, Profile

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord

PROFILE: Final = Profile("graphs", default_model=Model(time_to_first_token_s=0.01, time_per_token_s=0.0005))
CALLED: Final = ["step left > chat sim-small", "step right > chat FakeListChatModel"]
BELOW: Final = [
    "step sub > step inner",
    "step inner > execute_tool price",
    "execute_tool price > chat FakeListChatModel",
]
DESK: Final = {
    "{0} > step left", "{0} > step right", "{0} > step sub", "{0} > step worker", "{0} > step flaky", *CALLED, *BELOW,
}  # fmt: skip
EXPECTED: Final = {
    "desk": DESK, "streamed": DESK,
    "at_once": {
        "{0} > step ask", "{0} > step read", "step ask > chat sim-small", "step read > chat sim-small",
    },
    "chain": {"{0} > chat sim-small"}, "chain_streamed": {"{0} > chat sim-small"}, "human": {"{0} > step approve"},
}  # fmt: skip


def edges_by_run(spans: list[SpanRecord]) -> dict[str, list[tuple[str, set[str], list[str]]]]:
    """Return of each run, by name: edges `parent > child` of its spans, and the errors in it."""
    names = {span.span_id: span.name for span in spans}
    found: defaultdict[str, list[tuple[str, set[str], list[str]]]] = defaultdict(list)
    for root in spans:
        if root.parent_id is None:
            below = [span for span in spans if span.trace_id == root.trace_id and span is not root and not span.is_wait]
            edges = {f"{names[str(span.parent_id)]} > {span.name}" for span in below}
            errors = [f"{span.name} {span.attributes['error.type']!s}" for span in below if span.is_error]
            found[root.name.partition(" ")[2]].append((root.name, edges, errors))
    return dict(found)


@pytest.mark.parametrize("requirements", [LANGGRAPH, OLDEST_LANGGRAPH], ids=["newest", "oldest"])
def test_every_way_through_a_graph_is_recorded_in_its_place(tmp_path: Path, requirements: tuple[str, ...]) -> None:
    python = python_with(*requirements)
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_", "LANG"))}
    script = str(ROOT / "tests" / "support" / "langgraph_program.py")
    with provider(tmp_path, PROFILE) as url:
        done = subprocess.run(
            [python, "-m", "spanwise_cli", "run", script, url], cwd=tmp_path, env=variables, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    found = edges_by_run(list(reader.read(tmp_path / ".spanwise")))
    assert {name: len(runs) for name, runs in found.items()} == {name: 1 + (name == "human") for name in EXPECTED}
    for name, runs in found.items():
        for root, edges, errors in runs:
            assert edges == {edge.format(root) for edge in EXPECTED[name]}
            assert errors == (["step flaky ConnectionError"] if name == "desk" else [])
