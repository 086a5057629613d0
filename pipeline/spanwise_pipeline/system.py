"""What a system of agents is to the runner: a name, flags with presets, what it needs, and a coroutine that answers.

A system gets its clock, its model endpoint, the resources that it declared and a place to publish results from its
context, and knows nothing of recording, speed or presets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from spanwise_pipeline.calls.client import ModelClient
from spanwise_pipeline.clock import Clock
from spanwise_pipeline.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    import httpx2

    from spanwise_pipeline.caches.stores import Store
    from spanwise_pipeline.calls.retrying import Retries
    from spanwise_pipeline.limits.model import ModelLimits
    from spanwise_pipeline.pools import Pool
    from spanwise_pipeline.resources import Need
    from spanwise_pipeline.scheduling.background import Background


@dataclass(frozen=True, slots=True)
class SystemContext:
    """What one run of a system gets from outside."""

    base_url: str
    """Address of the model endpoint, up to and including `/v1`."""
    api_key: str
    clock: Clock
    seed: int | None
    label_requests: bool
    publish: Callable[[str, str], None]
    """Called with an agent's name and its finished text, as soon as there is one."""
    transport: Callable[[bool], httpx2.AsyncBaseTransport] | None = None
    """Makes what replaces the network when a bound is computed; told whether connections are pooled."""
    resources: Resources = field(default_factory=lambda: Resources("", clock=Clock()))
    """What the system declared in its needs; nothing by default."""

    @property
    def folder(self) -> Path:
        """The folder of this run, empty at first; raises `UndeclaredError`."""
        return self.resources.folder

    def data(self, name: str) -> Path:
        """Return the folder of declared data; raises `UndeclaredError`."""
        return self.resources.data(name)

    def pool(self, name: str) -> Pool:
        """Return a declared pool of threads or processes; raises `UndeclaredError`."""
        return self.resources.pool(name)

    def store(self, name: str) -> Store | None:
        """Return a declared store for a `Cache`, `None` for memory alone; raises `UndeclaredError`."""
        return self.resources.store(name)

    def limits(self, name: str) -> ModelLimits:
        """Return declared limits for a `ModelClient`; raises `UndeclaredError`."""
        return self.resources.limits(name)

    def on_close(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have `close` called when the run has ended, background steps included: for what the system opens itself."""
        self.resources.on_close(close)

    @property
    def background(self) -> Background:
        """For background steps: `Flow(background=context.background)`. They are waited for once the answer is there."""
        return self.resources.background

    def model_client(self, *, pooled: bool = True, retries: Retries | None = None, **settings: Any) -> ModelClient:
        """Return a client for the run's endpoint; the system closes it. `settings` are more of `ModelClient`'s."""
        return ModelClient(
            base_url=self.base_url,
            api_key=self.api_key,
            clock=self.clock,
            retries=retries,
            seed=self.seed,
            pooled=pooled,
            label_requests=self.label_requests,
            transport=self.transport(pooled) if self.transport is not None else None,
            **settings,
        )


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Lookups of one run's caches together."""

    lookups: int = 0
    hits: int = 0
    """Lookups that did not make the value, coalesced ones included."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run answered and how good that is."""

    answer: Mapping[str, Any]
    """The decision and the facts that it rests on."""
    report: Mapping[str, str]
    """Sections by title."""
    grade: str
    score: float
    faults: tuple[str, ...] = ()
    cache: CacheUse = field(default_factory=CacheUse)


@dataclass(frozen=True, slots=True)
class Published:
    """What a system's authors published for a preset; nothing here was measured by us."""

    duration_s: float | None = None
    tokens: int | None = None
    tokens_per_s: float | None = None
    grade: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a system's authors say that one flag saves, as shares of the duration before: 0.05 is 5 %."""

    least: float
    most: float


class Runnable(Protocol):
    """The coroutine function of a system."""

    async def __call__(self, context: SystemContext, flags: Any) -> Outcome:
        """Run once."""
        ...


@dataclass(frozen=True, slots=True)
class System:
    """A reference system."""

    name: str
    title: str
    run: Runnable
    flags: type[Any]
    """Frozen dataclass of booleans, each with its docstring; all off is the old behaviour."""
    presets: Mapping[str, Any]
    """Preset name to flags."""
    profile: Path
    """Profile of the simulated provider."""
    published: Mapping[str, Published]
    """By preset, or by preset and what is set differently: `baseline,registrations=5`."""
    targets: Published
    completion_tokens: bool = False
    """Whether its authors' tokens, and tokens a second, are those of completions alone; else prompts count too."""
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    """Other names of presets, where the authors have their own for the old behaviour or the best one."""
    claims: Mapping[str, Claim] = field(default_factory=dict[str, Claim])
    """Flag to what its authors say that it saves."""
    needs: Callable[[Any], Iterable[Need]] = lambda _flags: ()
    """What a run with these flags needs besides its model."""
