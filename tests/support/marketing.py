"""The `marketing` swarm in tests: what it offers to those of all systems."""

from __future__ import annotations

import functools
import tempfile
from typing import TYPE_CHECKING

from support.systems import Trial

from spanwise_pipeline.systems.marketing import LEAST_WORDS, SYSTEM, columns, dataset, prompts, tools

if TYPE_CHECKING:
    import pytest

ROWS = 4_000
SHIPPED_ROWS = dataset.ROWS
_CACHE = tempfile.TemporaryDirectory(prefix="spanwise-tests-")
AGENTS = frozenset(
    {"coordinator", "strategist", *(role.agent for role in (*prompts.ANALYSTS, *prompts.FOCUSED))}
)  # fmt: skip


def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows, in a cache of the tests' own."""
    monkeypatch.setenv("SPANWISE_CACHE_DIR", _CACHE.name)
    monkeypatch.setattr(dataset, "ROWS", ROWS)


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows, each analysis of them worked out once, and as few words as the rubric lets pass."""
    few_rows(monkeypatch)
    monkeypatch.setattr(tools, "sums_by", functools.cache(columns.sums_by))
    monkeypatch.setattr(prompts, "WORDS", dict.fromkeys(prompts.WORDS, (LEAST_WORDS, LEAST_WORDS)))


TRIAL = Trial(SYSTEM, AGENTS, shorten)
