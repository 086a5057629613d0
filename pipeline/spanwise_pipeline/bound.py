"""The bound of a run: how long it takes when nothing but its steps' simulated durations counts.

The same system runs with the same seed on a virtual clock against the simulated provider in this process: every wait
lasts exactly what it is simulated to last, own computing takes no time, and no limit holds anything up. What is left is
the longest path through the step graph that ran.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from spanwise.testing.virtual_clock import run_virtual
from spanwise_pipeline.clock import Clock
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.resources import Resources
from spanwise_pipeline.system import Outcome, SystemContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanwise_pipeline.provider.profile import Profile
    from spanwise_pipeline.system import System


class Bound(NamedTuple):
    """How long a run takes at simulated durations alone, in system seconds."""

    seconds: float
    """To its end, background steps included."""
    outcome: Outcome
    answer_s: float
    """To its answer."""


def bound_of(
    system: System, flags: Any, profile: Profile, seed: int, *, publish: Callable[[str, str], None] | None = None
) -> Bound:
    """Return the bound and the outcome of the run that gave it."""
    from spanwise_pipeline.provider.app import create_app  # noqa: PLC0415 - starlette loads only where it is needed

    app = create_app(_without_limits(profile))

    async def run() -> tuple[Outcome, float]:
        clock = Clock()
        async with Resources(system.name, system.needs(flags), clock=clock, virtual=True) as resources:
            context = SystemContext(
                base_url="http://in-process/v1",
                api_key=profile.api_key or "simulated",
                clock=clock,
                seed=seed,
                label_requests=True,
                publish=publish or (lambda _agent, _text: None),
                transport=lambda pooled: InProcessTransport(app, pooled=pooled),
                resources=resources,
            )
            async with resources.background:
                outcome = await system.run(context, flags)
                return outcome, clock.now()

    (outcome, answer_s), seconds = run_virtual(run)
    return Bound(seconds, outcome, answer_s)


def _without_limits(profile: Profile) -> Profile:
    models = {
        name: replace(model, requests_per_minute=None, tokens_per_minute=None) for name, model in profile.models.items()
    }
    default = replace(profile.default_model, requests_per_minute=None, tokens_per_minute=None)
    return replace(profile, models=models, default_model=default)
