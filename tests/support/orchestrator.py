"""The `orchestrator` in tests: what it offers to those of all systems, and runs in full against the provider."""

from __future__ import annotations

import functools
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from support.systems import Trial

from spanwise.config import strict_yaml
from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, Resources, SystemContext
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.systems.orchestrator import SYSTEM, prompts

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from spanwise_pipeline import Outcome
    from spanwise_pipeline.systems.orchestrator.flags import OrchestratorFlags

AGENTS = (
    "intent_analyst", "router", "planner", "cost_analyst", "space_analyst", "time_analyst", "decision_maker",
    "report_writer", "verifier",
)  # fmt: skip
_IN_MEMORY = Path("/dev/shm")
SPEED = 20.0
"""Of runs in full: a stream has at most one chunk each 10 ms of real time, so fewer of them to work through."""


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few words as the rubric lets pass, and folders in memory, so that hundreds of runs take seconds."""
    if _IN_MEMORY.is_dir():
        monkeypatch.setattr(tempfile, "tempdir", str(_IN_MEMORY))
    read = prompts.read_template

    @functools.cache
    def short(name: str) -> prompts.Template:
        text = re.sub(r"\d+ words", f"{prompts.FEWEST_WORDS} words", read(name).text)
        return prompts.Template(name, text)

    monkeypatch.setattr(prompts, "read_template", short)


TRIAL = Trial(
    SYSTEM, frozenset(AGENTS), shorten,
    never_alone={
        "ready_steps": frozenset({"max_parallel_steps"}),
        "stream_plan": frozenset({"max_parallel_steps", "ready_steps"}),
    },
)  # fmt: skip


def shipped_profile() -> Profile:
    """The profile that ships with the system."""
    return strict_yaml.load(SYSTEM.profile, Profile)


def in_full(
    flags: OrchestratorFlags,
    profile: Profile,
    seed: int = 1,
    *,
    keep: Path | None = None,
    publish: Callable[[str, str], None] = lambda _agent, _text: None,
) -> tuple[float, Outcome]:
    """System seconds to the answer, and the outcome, of a run over HTTP on a virtual clock, under its limits."""

    async def main() -> tuple[float, Outcome]:
        clock = Clock(SPEED)
        async with Resources(SYSTEM.name, SYSTEM.needs(flags), clock=clock, keep=keep) as resources:
            app = create_app(profile, speed=SPEED)
            context = SystemContext(
                base_url="http://in-process/v1", api_key="k", clock=clock, seed=seed, label_requests=True,
                publish=publish, transport=lambda pooled: InProcessTransport(app, pooled=pooled), resources=resources,
            )  # fmt: skip
            async with resources.background:
                outcome = await SYSTEM.run(context, flags)
                return clock.now(), outcome

    return run_virtual(main)[0]
