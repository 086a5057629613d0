"""Runs of the OpenAI Agents SDK in an unchanged program: agents, tools, handoffs, guardrails and model calls."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
from support.library_environment import AGENTS, python_with
from support.pages import ROOT
from support.provider_process import provider

from spanwise.journal import reader
from spanwise_pipeline.provider.profile import Model, Profile

if TYPE_CHECKING:
    from pathlib import Path

PROFILE: Final = Profile("agents", default_model=Model(time_to_first_token_s=0.01, time_per_token_s=0.0005))
GUARDED: Final = [
    "invoke_agent guarded > chat sim-small", "invoke_agent guarded > chat sim-small",
    "invoke_agent guarded > execute_tool price", "invoke_agent guarded > step guardrail allow",
    "{0} > invoke_agent guarded",
]  # fmt: skip
EXPECTED: Final = {
    "invoke_workflow responses": GUARDED,
    "invoke_workflow streamed": GUARDED,
    "invoke_workflow chat": [
        "invoke_agent analyst > chat sim-small", "invoke_agent analyst > chat sim-small",
        "invoke_agent analyst > execute_tool news _OTHER", "invoke_agent analyst > execute_tool price",
        "{0} > invoke_agent analyst",
    ],
    "invoke_workflow handoff": [
        "invoke_agent desk > chat sim-small", "invoke_agent desk > step handoff to trader",
        "invoke_agent trader > chat sim-small", "{0} > invoke_agent desk", "{0} > invoke_agent trader",
    ],
}  # fmt: skip


@pytest.mark.parametrize("integrations", ["all", "openai_agents"])
def test_a_run_is_recorded_whole_whoever_records_its_model_calls(tmp_path: Path, integrations: str) -> None:
    python = python_with(*AGENTS)
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    variables |= {"SPANWISE_INTEGRATIONS": integrations}
    script = str(ROOT / "tests" / "support" / "agents_program.py")
    with provider(tmp_path, PROFILE) as url:
        done = subprocess.run(
            [python, "-m", "spanwise_cli", "run", script, url], cwd=tmp_path, env=variables, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    assert "spanwise" not in done.stderr

    spans = [span for span in reader.read(tmp_path / ".spanwise") if not span.is_wait]
    names = {span.span_id: span.name for span in spans}
    found: dict[str, list[str]] = {}
    """Edges `parent > child` of each run, with the error that a child ended in."""
    for root in (span for span in spans if span.parent_id is None):
        below = [span for span in spans if span.trace_id == root.trace_id and span is not root]
        found[root.name] = sorted(
            f"{names[str(one.parent_id)]} > {one.name} {one.attributes.get('error.type', '')!s}".rstrip()
            for one in below
        )
    assert found == {name: sorted(edge.format(name) for edge in edges) for name, edges in EXPECTED.items()}
    calls = [span for span in spans if span.name == "chat sim-small"]
    assert all(int(str(call.attributes["gen_ai.usage.input_tokens"])) > 0 for call in calls)
