"""Runs of the `trading` desk in process: in full over HTTP against the provider, or with replies made directly."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Any, cast

from spanwise.config import strict_yaml
from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, ModelClient, Reply, SystemContext, ToolCall
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.openai_chat import read_prompt
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.provider.reply import reply
from spanwise_pipeline.systems.trading import SYSTEM
from spanwise_pipeline.systems.trading.flags import TradingFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from spanwise_pipeline import Outcome

    Edit = Callable[[str, str, str], str]
    """(agent, step, text) to the text that the desk gets."""

FLAGS = tuple(field.name for field in dataclasses.fields(TradingFlags))
PRESETS: Mapping[str, TradingFlags] = SYSTEM.presets


SPEED = 20.0
"""Of runs in full: a stream has at most one chunk each 10 ms of real time, so fewer of them to work through."""


def in_full(flags: TradingFlags, profile: Profile, seed: int = 1) -> tuple[float, Outcome]:
    """System seconds and outcome of a run over HTTP against the provider in this process, on a virtual clock."""

    async def main() -> Outcome:
        return await SYSTEM.run(full_context(profile, seed), flags)

    outcome, seconds = run_virtual(main)
    return seconds * SPEED, outcome


@functools.cache
def as_shipped(preset: str) -> tuple[float, Outcome]:
    """System seconds and outcome of a preset with the shipped profile and seed 1."""
    return in_full(PRESETS[preset], shipped_profile())


class _DirectModels:
    """Stands in for the model client: the provider's reply, at once and without HTTP."""

    def __init__(self, edit: Edit) -> None:
        self._edit = edit

    async def chat(
        self,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        agent: str,
        step: str,
    ) -> Reply:
        body: dict[str, Any] = {"model": model, "messages": list(messages)}
        prompt = read_prompt(body | ({"tools": list(tools)} if tools else {}))
        answer = reply(prompt)
        calls = tuple(ToolCall(call.id, call.name, json.loads(call.arguments)) for call in answer.tool_calls)
        text = self._edit(agent, step, answer.text)
        return Reply(text, calls, answer.finish_reason, prompt.tokens, answer.tokens)

    async def close(self) -> None:
        pass


@dataclasses.dataclass(frozen=True, slots=True)
class _DirectContext(SystemContext):
    edit: Edit = lambda _agent, _step, text: text

    def model_client(self, **_: Any) -> ModelClient:
        return cast("ModelClient", _DirectModels(self.edit))


def context(edit: Edit = lambda _agent, _step, text: text) -> SystemContext:
    """A context whose model answers directly."""
    return _DirectContext(
        base_url="", api_key="", clock=Clock(), seed=1, label_requests=True, publish=lambda _a, _t: None, edit=edit
    )


def direct(flags: TradingFlags, edit: Edit = lambda _agent, _step, text: text) -> Outcome | None:
    """The outcome of a run with direct replies, each passed through `edit`; none where the run fails."""

    async def main() -> Outcome:
        return await SYSTEM.run(context(edit), flags)

    try:
        return run_virtual(main)[0]
    except ExceptionGroup:  # a step that was left without what it needs failed, and with it the run
        return None


def unspoiled(flags: TradingFlags) -> Outcome:
    """The outcome of a run in which nothing is spoiled; make it before spoiling anything."""
    outcome = direct(flags)
    assert outcome is not None
    return outcome


def worse(outcome: Outcome | None, good: Outcome) -> bool:
    """Whether a run ended without an answer, with another one than the `good` one, or with a lower score."""
    return outcome is None or outcome.answer != good.answer or outcome.score < good.score


def lower(outcome: Outcome | None, good: Outcome) -> bool:
    """Whether a run ended without an answer, or with a lower score than the `good` one."""
    return outcome is None or outcome.score < good.score


def full_context(profile: Profile, seed: int = 1) -> SystemContext:
    """A context whose model is the provider in this process, for use on a virtual clock."""
    app = create_app(profile, speed=SPEED)
    return SystemContext(
        base_url="http://in-process/v1", api_key="k", clock=Clock(SPEED), seed=seed, label_requests=True,
        publish=lambda _agent, _text: None, transport=lambda pooled: InProcessTransport(app, pooled=pooled),
    )  # fmt: skip


def shipped_profile() -> Profile:
    """The profile that ships with the system."""
    return strict_yaml.load(SYSTEM.profile, Profile)
