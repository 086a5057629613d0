"""Prompts as files: one template a step, in `prompts/`, whose paragraphs all change the answer or its grade.

The instruction lines are plain sentences; their grammar is the simulated provider's (docs/provider.md), and a real
model reads them as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise_pipeline import Cache, file_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_pipeline import CacheStatistics, Clock

FOLDER: Final = Path(str(files("spanwise_pipeline.systems.orchestrator")))
ANALYSTS: Final = {
    "offers": "cost_analyst",
    "budget": "cost_analyst",
    "hall": "space_analyst",
    "people": "time_analyst",
    "council": "time_analyst",
    "decision": "decision_maker",
}
"""Topic of `analyze_content` to the agent that works it out."""
FEWEST_WORDS: Final = 12
"""Words of explanation that a fact needs."""
_WORDS: Final = re.compile(r"(?<=^Use about )\d+(?= words for each fact)", re.MULTILINE)
_TTL: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Template:
    """The prompt of one step."""

    name: str
    text: str

    @property
    def title(self) -> str:
        """The title that the answer must have; empty where it is JSON."""
        found = re.match(r"Title: (.*)", self.text)
        return found[1] if found else ""

    def concise(self) -> Template:
        """Return the same prompt for a third of the words, and no fewer than a fact needs."""
        return Template(self.name, _WORDS.sub(lambda found: str(max(FEWEST_WORDS, int(found[0]) // 3)), self.text))

    def fill(self, texts: Sequence[str], **values: str) -> str:
        """Return the prompt, given the texts that it builds on, each as one paragraph."""
        filled = self.text.strip()
        for name, value in values.items():
            filled = filled.replace(f"{{{name}}}", value)
        return filled.replace("{texts}", "\n\n".join(as_paragraph(text) for text in texts))


class Templates:
    """Reads templates; with the cache, once for each content."""

    def __init__(self, clock: Clock, *, cached: bool) -> None:
        self._cache: Cache[Template] | None = None
        if cached:
            self._cache = Cache("prompt_templates", capacity=64, ttl=_TTL, clock=clock)

    def statistics(self) -> CacheStatistics | None:
        """Return how its cache stands, `None` where there is none."""
        return self._cache.statistics() if self._cache is not None else None

    async def template(self, name: str) -> Template:
        """Return the template of a step."""

        async def read() -> Template:
            return read_template(name)

        return await read() if self._cache is None else await self._cache.get({name: file_hash(_path(name))}, read)


def read_template(name: str) -> Template:
    """Return the template of a step as it stands in its file."""
    return Template(name, _path(name).read_text(encoding="utf-8"))


def _path(name: str) -> Path:
    return FOLDER / "prompts" / f"{name}.txt"


def as_paragraph(text: str) -> str:
    """Return a text without blank lines."""
    return "\n".join(line for line in text.splitlines() if line.strip())
