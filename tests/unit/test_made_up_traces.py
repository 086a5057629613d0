"""Twenty downloads of Langfuse, and traces of PyTorch and Chrome, are read for what they hold."""

from __future__ import annotations

import runpy
from typing import TYPE_CHECKING, Any

from support.pages import ROOT

from spanwise_profiling import prices
from spanwise_profiling.agents import agent_usage
from spanwise_profiling.load import load
from spanwise_profiling.normalise import normalised
from spanwise_profiling.usage import usage_of

if TYPE_CHECKING:
    from pathlib import Path

MADE_UP: dict[str, Any] = runpy.run_path(str(ROOT / "benchmarks" / "made_up_traces.py"))


def test_each_made_up_download_holds_what_was_put_into_it(tmp_path: Path) -> None:
    written = MADE_UP["write_all"](tmp_path)
    assert len(written) == 22
    for path, holding in written.items():
        recording = load(path)
        [run] = [normalised(run) for run in recording.runs]
        if holding is None:
            continue
        total = usage_of(run, prices.load()).total
        assert recording.warnings == ()
        assert (run.title, run.totals.llm_calls, run.totals.tool_calls) == ("desk", holding.calls, holding.tools)
        assert (len(agent_usage(run)), round(run.seconds, 3)) == (holding.agents, holding.seconds)
        counts = (total.input_tokens, total.output_tokens, total.cached_tokens)
        assert counts == (holding.input_tokens, holding.output_tokens, holding.cached_tokens)


def test_the_same_seed_makes_the_same_file() -> None:
    assert MADE_UP["langfuse"](3) == MADE_UP["langfuse"](3)
