"""The agents: each fills its template with the texts that it builds on, and asks the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spanwise_pipeline import ModelClient, Reply
    from spanwise_pipeline.systems.orchestrator.prompts import Templates

LARGE: Final = "orchestrator-large"
SMALL: Final = "orchestrator-small"
MODELS: Final = (LARGE, SMALL)


class Agents:
    """All agents of one user.

    Args:
        models: answers.
        templates: the prompts.
        publish: told an agent's name and its text.
        concise: ask for fewer words.
    """

    def __init__(
        self, models: ModelClient, templates: Templates, publish: Callable[[str, str], None], *, concise: bool
    ) -> None:
        self._models = models
        self._templates = templates
        self._publish = publish
        self._concise = concise

    async def write(self, agent: str, step: str, texts: Sequence[str], *, model: str = LARGE) -> str:
        """Return what an agent writes in a step, given the texts that it builds on."""
        reply = await self.ask(agent, step, texts, model=model)
        self._publish(agent, reply.text)
        return reply.text

    async def ask(
        self, agent: str, step: str, texts: Sequence[str], *, model: str = LARGE, values: dict[str, str] | None = None,
        **request: Any,
    ) -> Reply:  # fmt: skip
        """Return the model's whole answer; `values` fill the other places of the template."""
        template = await self._templates.template(step)
        if self._concise:
            template = template.concise()
        prompt = template.fill(texts, **(values or {}))
        messages = [{"role": "user", "content": prompt}]
        return await self._models.chat(model=model, messages=messages, agent=agent, step=step, **request)
