"""The catalogue of tools: one manifest a tool, handed out by a registry.

Without the cache the registry is asked at each use, which is what makes it slow. With it, once for each content of the
manifests: a manifest that changes is seen at the next use.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jsonschema

from spanwise.errors import InputError, nearest
from spanwise_pipeline import Cache, fetch, file_hash

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spanwise_pipeline import CacheStatistics, Clock, Pool

REGISTRY_SECONDS: Final = 1.6
"""System seconds that the registry takes to hand out all manifests."""
_TTL: Final = 3600.0


@dataclass(frozen=True, slots=True)
class ToolManifest:
    """What is known of one tool."""

    name: str
    server: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of its parameters."""

    def paragraph(self) -> str:
        """Return it as prompts show it."""
        return f"Tool of the server {self.server}: {self.description}\n{self.name} = {', '.join(self._names())}"

    def check(self, step: str, arguments: Mapping[str, Any]) -> None:
        """Check a step's parameters.

        Raises:
            InputError: names the step, what is wrong and the parameters that the tool takes.
        """
        validator: Any = jsonschema.Draft202012Validator(self.parameters)
        found = next(validator.iter_errors(dict(arguments)), None)
        if found is not None:
            raise InputError(f"step {step}: {self.name} takes {', '.join(self._names())}: {found.message}")

    def _names(self) -> list[str]:
        return list(self.parameters["properties"])


class Catalogue:
    """The tools that a user has.

    Args:
        folder: holds the manifests, one JSON file each.
        threads: a pool for asking the registry, which blocks.
        clock: system time.
        cached: keep what was read for each content of the manifests.
    """

    def __init__(self, folder: Path, threads: Pool, clock: Clock, *, cached: bool) -> None:
        self._folder = folder
        self._threads = threads
        self._clock = clock
        self._cache: Cache[dict[str, ToolManifest]] | None = None
        if cached:
            self._cache = Cache("tool_catalogue", capacity=8, ttl=_TTL, clock=clock)

    def statistics(self) -> CacheStatistics | None:
        """Return how its cache stands, `None` where there is none."""
        return self._cache.statistics() if self._cache is not None else None

    def names(self) -> list[str]:
        """Return the names of the tools, without asking the registry."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    async def tools(self) -> dict[str, ToolManifest]:
        """Return all tools by name."""
        if self._cache is None:
            return await self._ask()
        content = {name: file_hash(self._folder / f"{name}.json") for name in self.names()}
        return await self._cache.get(content, self._ask)

    async def tool(self, name: str) -> ToolManifest:
        """Return one tool; raises `InputError` that names the nearest one."""
        tools = await self.tools()
        if name not in tools:
            raise InputError(f"no tool {name!r}; {nearest(name, tools)}")
        return tools[name]

    async def _ask(self) -> dict[str, ToolManifest]:
        return await fetch("tool_registry", {"tools": self.names()}, lambda: self._threads.run(self._read_all))

    def _read_all(self) -> dict[str, ToolManifest]:
        self._clock.sleep_in_thread(REGISTRY_SECONDS)
        return {name: self._read(self._folder / f"{name}.json") for name in self.names()}

    @staticmethod
    def _read(path: Path) -> ToolManifest:
        try:
            return ToolManifest(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as problem:
            raise InputError(
                f"{path}: no manifest of a tool ({problem}); it has name, server, description and parameters"
            ) from None
