"""Runs of reference systems that have ended, as `systems run` and the demo show them.

Durations, tokens and counts are read from the recording, so that every figure shown can be looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from spanwise.config.settings import destination
from spanwise_pipeline.experiment import Executed
from spanwise_profiling.load import load_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import spanwise
    from spanwise_profiling.runs import Run


@dataclass(frozen=True, slots=True)
class Finished(Executed):
    """One run: what was planned, what was reported, what was recorded."""

    run: Run | None
    """`None` where nothing was recorded."""

    @property
    def tokens(self) -> int:
        """Tokens as the system's authors count them."""
        assert self.run is not None
        totals = self.run.totals
        return totals.output_tokens if self.plan.system.completion_tokens else totals.tokens

    @property
    def tokens_per_s(self) -> float | None:
        """These tokens over the duration; `None` where nothing was recorded."""
        if self.run is None:
            return None
        return self.tokens / self.run.seconds if self.run.seconds else 0.0

    def document(self) -> dict[str, Any]:
        """Return the run as `systems run --json` shows it."""
        run, outcome, error = self.run, self.report.outcome, self.report.error
        totals = run.totals if run is not None else None
        return {
            "run_id": self.report.run_id,
            "trace_id": self.report.trace_id,
            "preset": self.preset,
            "flags": {field.name: getattr(self.plan.flags, field.name) for field in fields(self.plan.flags)},
            "seed": self.plan.seed,
            "duration_s": run.seconds if run is not None else None,
            "published_s": self.published.duration_s if self.published is not None else None,
            "bound_s": self.bound_s,
            "tokens": {
                "input": totals.input_tokens if totals else 0,
                "output": totals.output_tokens if totals else 0,
                "total": totals.tokens if totals else 0,
            },
            "tokens_per_s": self.tokens_per_s,
            "agents": totals.agents if totals else 0,
            "tool_calls": totals.tool_calls if totals else 0,
            "llm_calls": totals.llm_calls if totals else 0,
            "retries": totals.retries if totals else 0,
            "cache": {
                "lookups": totals.cache_lookups if totals else 0,
                "hits": totals.cache_hits if totals else 0,
            },
            "first_result_s": self.report.first_result_s,
            "client_cpu_share": self.report.client_cpu_share,
            "quality": {"grade": outcome.grade, "score": outcome.score} if outcome is not None else None,
            "answer_sha256": self.report.answer_sha256,
            "error": str(error) if error is not None else None,
        }


def read_back(executed: Iterable[Executed], telemetry: spanwise.Telemetry) -> list[Finished]:
    """Return `executed` with what was recorded of each run, once `telemetry` has written all of it."""
    segment = telemetry.journal_path
    runs = {run.run_id: run for run in load_stream(segment)} if segment is not None else {}
    return [Finished(one.plan, one.preset, one.report, one.bound_s, runs.get(one.report.run_id)) for one in executed]


def undelivered(telemetry: spanwise.Telemetry) -> Iterator[str]:
    """Yield a line for each destination that did not take every span, with the remedy."""
    for name, fates in telemetry.ledger().destinations.items():
        about = destination(name).DESTINATION
        shown = about.shown(telemetry.settings.destination(name))
        if fates["pending"]:
            yield (
                f"{shown}: {fates['pending']:,} spans were not delivered (they are kept; see: spanwise ledger); "
                f"{about.remedy} (spanwise doctor says more), then: spanwise export --all --to {name}"
            )
        if fates["set_aside"]:
            yield f"{shown}: {fates['set_aside']:,} spans cannot be sent there (they are kept; see: spanwise ledger)"
