"""Runs of any registered system with replies made directly: at once, without HTTP, each of them open to spoiling.

A system offers its tests a module `support/NAME.py` with a `TRIAL`. What holds of every system is tested with it in
`unit/test_systems.py`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from spanwise.config import strict_yaml
from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, ModelClient, Reply, Resources, SystemContext, ToolCall
from spanwise_pipeline.calls.formats import form_of
from spanwise_pipeline.flags import flags_of
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.embeddings import vector
from spanwise_pipeline.provider.openai_chat import read_prompt
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.provider.reply import reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pytest

    from spanwise_pipeline import Outcome, System
    from spanwise_pipeline.flags import FlagInfo

_FACT = re.compile(r"^(?:[-*] )?([a-z][a-z0-9_]*) = .*$", re.MULTILINE)
_DIMENSION = 64


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the model: who asked, in which step, and what it was sent."""

    agent: str
    step: str
    messages: Sequence[Mapping[str, Any]]

    def paragraphs(self) -> Iterator[str]:
        """The paragraphs of what the system and the user say."""
        for message in self.messages:
            if message["role"] in {"system", "developer", "user"} and isinstance(message["content"], str):
                yield from message["content"].split("\n\n")


@dataclass(frozen=True, slots=True)
class Spoiling:
    """What is done to a run; nothing by default."""

    reply: Callable[[Call, str], str] = lambda _call, text: text
    """(call, text) to the text that the system gets."""
    keeps: Callable[[Call, str], bool] = lambda _call, _paragraph: True
    """(call, paragraph) to whether the paragraph is sent."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a system offers the tests that hold for every system."""

    system: System
    agents: frozenset[str]
    """Names of all that call the model, with any flags."""
    shorten: Callable[[pytest.MonkeyPatch], None] = lambda _patch: None
    """Makes runs short: the fewest words, the least data that still give the answer at the best grade."""
    never_alone: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Flags that do nothing without others: flag to those that are switched on with it."""

    @property
    def old(self) -> Any:
        """Flags of the preset that comes first: the old behaviour."""
        return next(iter(self.system.presets.values()))

    @property
    def best(self) -> Any:
        """Flags of the preset that comes last: everything that helps."""
        return list(self.system.presets.values())[-1]

    def alone(self, name: str) -> list[Any]:
        """The old behaviour with one flag as the presets have it elsewhere, each value once."""
        helped = {other: getattr(self.best, other) for other in self.never_alone.get(name, ())}
        values = {getattr(flags, name) for flags in self.system.presets.values()} - {getattr(self.old, name)}
        return [dataclasses.replace(self.old, **helped, **{name: value}) for value in sorted(values)]

    def all_but(self, name: str) -> Any:
        """Everything that helps but one flag."""
        return dataclasses.replace(self.best, **{name: getattr(self.old, name)})

    def same_answer(self, one: Any, other: Any) -> bool:
        """Whether no flag that may change the answer tells two sets of flags apart."""
        changing = [info.name for info in self.flags if info.changes_answer]
        return all(getattr(one, name) == getattr(other, name) for name in changing)

    @property
    def flags(self) -> tuple[FlagInfo, ...]:
        """What is known of each flag."""
        return flags_of(self.system.flags)


def trial_of(name: str) -> Trial:
    """What the system `name` offers."""
    trial: Trial = import_module(f"support.{name}").TRIAL
    return trial


class _DirectModels:
    """Stands in for the model client: the provider's reply, at once and without HTTP."""

    def __init__(self, spoiling: Spoiling) -> None:
        self._spoiling = spoiling

    async def chat(
        self,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        response_format: Any = None,
        on_text: Callable[[str, int], None] | None = None,
        agent: str,
        step: str,
        **_: Any,
    ) -> Reply:
        form = form_of(response_format) if response_format is not None else None
        call = Call(agent, step, messages)
        body: dict[str, Any] = {"model": model, "messages": [self._sent(call, message) for message in messages]}
        if tools:
            body["tools"] = list(tools)
        if form is not None:
            body["response_format"] = form.as_response_format()
        prompt = read_prompt(body)
        answer = reply(prompt)
        calls = tuple(ToolCall(call.id, call.name, json.loads(call.arguments)) for call in answer.tool_calls)
        text = self._spoiling.reply(call, answer.text)
        if on_text is not None:
            on_text(text, 1)
        parsed = form.parse(text) if form is not None else None
        return Reply(text, calls, answer.finish_reason, prompt.tokens, answer.tokens, model=model, parsed=parsed)

    def _sent(self, call: Call, message: Mapping[str, Any]) -> dict[str, Any]:
        if message["role"] not in {"system", "developer", "user"} or not isinstance(message["content"], str):
            return dict(message)
        kept = [part for part in message["content"].split("\n\n") if self._spoiling.keeps(call, part)]
        return {**message, "content": "\n\n".join(kept)}

    async def embed(self, *, texts: Sequence[str], dimensions: int | None = None, **_: Any) -> list[list[float]]:
        return [vector(text, dimensions or _DIMENSION) for text in texts]

    def circuits(self) -> dict[str, Any]:
        return {}

    async def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class DirectContext(SystemContext):
    """A context whose model answers directly."""

    spoiling: Spoiling = field(default_factory=Spoiling)

    def model_client(self, **_: Any) -> ModelClient:
        return cast("ModelClient", _DirectModels(self.spoiling))


async def run_directly(system: System, flags: Any, spoiling: Spoiling | None = None) -> Outcome:
    """Run a system on the running loop with direct replies."""
    clock = Clock()
    async with Resources(system.name, system.needs(flags), clock=clock, virtual=True) as resources:
        context = DirectContext(
            base_url="", api_key="", clock=clock, seed=1, label_requests=True, publish=lambda _agent, _text: None,
            resources=resources, spoiling=spoiling or Spoiling(),
        )  # fmt: skip
        async with resources.background:
            return await system.run(context, flags)


SPEED = 20.0
"""Of runs in full: a stream has at most one chunk each 10 ms of real time, so fewer of them to work through."""


def profile_of(system: System) -> Profile:
    """The profile that ships with a system."""
    return strict_yaml.load(system.profile, Profile)


async def run_in_full(system: System, flags: Any, profile: Profile | None = None, seed: int = 1) -> Outcome:
    """Run a system over HTTP against the provider in this process; for use on a virtual clock."""
    app, clock = create_app(profile or profile_of(system), speed=SPEED), Clock(SPEED)
    async with Resources(system.name, system.needs(flags), clock=clock, virtual=True) as resources:
        context = SystemContext(
            base_url="http://in-process/v1", api_key="k", clock=clock, seed=seed, label_requests=True,
            publish=lambda _agent, _text: None, transport=lambda pooled: InProcessTransport(app, pooled=pooled),
            resources=resources,
        )  # fmt: skip
        async with resources.background:
            return await system.run(context, flags)


def direct(system: System, flags: Any, spoiling: Spoiling) -> Outcome | None:
    """The outcome of a spoiled run; `None` where it failed: a step was left without what it needs."""
    try:
        return run_virtual(lambda: run_directly(system, flags, spoiling))[0]
    except AssertionError:
        raise
    except Exception:  # noqa: BLE001 - however a spoiled run fails, it has no answer
        return None


def unspoiled(system: System, flags: Any) -> Outcome:
    """The outcome of a run in which nothing is spoiled; make it before spoiling anything."""
    return run_virtual(lambda: run_directly(system, flags))[0]


def calls_of(system: System, flags: Any) -> list[tuple[Call, str]]:
    """All calls of an unspoiled run with their answers' texts."""
    seen: list[tuple[Call, str]] = []

    def note(call: Call, text: str) -> str:
        seen.append((dataclasses.replace(call, messages=list(call.messages)), text))
        return text

    outcome = direct(system, flags, Spoiling(reply=note))
    assert outcome is not None
    return seen


def facts_in(text: str) -> list[str]:
    """Names of the facts that a text states: lines `name = value`, or the fields of a JSON object."""
    fields, _ = _fields(text)
    return list(fields) if fields is not None else list(dict.fromkeys(_FACT.findall(text)))


def without_fact(text: str, name: str) -> str:
    """A text that leaves one fact out."""
    fields, rest = _fields(text)
    if fields is not None:
        return json.dumps({key: value for key, value in fields.items() if key != name}) + rest
    return re.sub(rf"^(?:[-*] )?{name} = .*$", "", text, flags=re.MULTILINE)


def _fields(text: str) -> tuple[dict[str, Any] | None, str]:
    """The JSON object that a text begins with, and what follows it."""
    if not text.startswith("{"):
        return None, ""
    fields, end = json.JSONDecoder().raw_decode(text)
    return fields, text[end:]


def lower(outcome: Outcome | None, good: Outcome) -> bool:
    """Whether a run ended without an answer, or with a lower score than the `good` one."""
    return outcome is None or outcome.score < good.score


def worse(outcome: Outcome | None, good: Outcome) -> bool:
    """Whether a run ended without an answer, with another one than the `good` one, or with a lower score."""
    return lower(outcome, good) or (outcome is not None and outcome.answer != good.answer)
