"""Presets are sets of flags, the authors' switches mean the same, and each flag saves what was published for it."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import pytest
from support.orchestrator import in_full, shipped_profile

from spanwise.config import strict_yaml
from spanwise.errors import InputError
from spanwise.testing import capture
from spanwise_pipeline.systems.orchestrator import SYSTEM
from spanwise_pipeline.systems.orchestrator.flags import OrchestratorFlags
from spanwise_pipeline.systems.orchestrator.performance import Performance, load_performance
from spanwise_pipeline.systems.orchestrator.prompts import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHED = {name: (100 * claim.least, 100 * claim.most) for name, claim in SYSTEM.claims.items()}
"""Flag to the share of the baseline's seconds, in percent, that its authors say it saves."""
TOGETHER = {"max_parallel_steps": ("max_parallel_llm_calls",)}
"""Flags that the authors measured together."""


@functools.cache
def seconds(flags: OrchestratorFlags) -> float:
    return in_full(flags, shipped_profile())[0]


def alone(name: str) -> OrchestratorFlags:
    published = SYSTEM.presets["published"]
    chosen = {flag: getattr(published, flag) for flag in (name, *TOGETHER.get(name, ()))}
    return dataclasses.replace(OrchestratorFlags(), **chosen)


def saved(flags: OrchestratorFlags) -> float:
    """Percent of the baseline's seconds."""
    return 100 * (1 - seconds(flags) / seconds(OrchestratorFlags()))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PUBLISHED))
def test_each_flag_alone_saves_a_share_of_the_whole_inside_its_published_range(name: str) -> None:
    least, most = PUBLISHED[name]

    assert least <= saved(alone(name)) <= most


@pytest.mark.slow
def test_all_published_flags_together_save_over_70_percent_and_what_is_ours_more() -> None:
    published, best = (saved(SYSTEM.presets[name]) for name in ("published", "optimized"))

    assert 70 < published < best


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [field.name for field in dataclasses.fields(OrchestratorFlags) if field.name != "max_connections"]
)
def test_switching_a_flag_off_never_makes_the_best_preset_faster(name: str) -> None:
    best = SYSTEM.presets["optimized"]

    assert seconds(dataclasses.replace(best, **{name: getattr(OrchestratorFlags(), name)})) >= seconds(best) - 0.2


def test_the_lower_ends_of_the_published_ranges_add_up_to_more_than_the_whole() -> None:
    # So the savings overlap: a connection that is opened for each text is saved by keeping it, by embedding the texts
    # together, and by steps at the same time.
    assert sum(least for least, _ in PUBLISHED.values()) == 125


def test_the_authors_switches_all_on_are_the_published_preset() -> None:
    assert load_performance(FOLDER / "performance.yaml") == SYSTEM.presets["published"]


def test_no_switches_are_the_old_behaviour(tmp_path: Path) -> None:
    file = tmp_path / "performance.yaml"
    file.write_text("performance: {}\n", encoding="utf-8")

    assert load_performance(file) == OrchestratorFlags() == SYSTEM.presets["baseline"]


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("connection_pooling: {enabled: true, max_keepalive: 7}", {"kept_connections": 7, "max_connections": 100}),
        ("connection_pooling: {enabled: false, max_keepalive: 7}", {}),
        ("rate_limiting: {enabled: true, rpm_limit: 60}", {"requests_per_minute": 60, "tokens_per_minute": 2_000_000}),
        ("parallel_execution: {enabled: true}", {"max_parallel_steps": 5, "max_parallel_llm_calls": 3}),
        (
            "parallel_execution: {enabled: true, dependency_analysis: false, start_when_ready: true}",
            {"max_parallel_llm_calls": 3},
        ),
        (
            "parallel_execution: {enabled: true, start_when_ready: true, start_while_planning: true}",
            {"max_parallel_steps": 5, "max_parallel_llm_calls": 3, "ready_steps": True, "stream_plan": True},
        ),
        ("batch_embeddings: {enabled: true, batch_size: 64}", {"embedding_batch": 64}),
        ("batch_embeddings: {batch_size: 64}", {}),
        ("caching: {tool_catalog: true}", {"tool_catalogue_cache": True}),
        ("caching: {prompt_templates: true}", {"prompt_template_cache": True}),
        ("background_tasks: {verification: true}", {"background_verification": True}),
        ("background_tasks: {memory_updates: true}", {"background_memory": True}),
        ("planner: {asynchronous: true, concise: true}", {"async_planner": True, "concise_texts": True}),
    ],
)
def test_each_switch_means_its_flags(text: str, flags: dict[str, Any]) -> None:
    switches = strict_yaml.loads(text, Performance, source="performance.yaml")

    assert switches.flags() == OrchestratorFlags(**flags)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("performance:\n  caching: {tool_catalogue: true}\n", r"performance.yaml:2: .*did you mean 'tool_catalog'\?"),
        ("performance:\n  batch_embeddings: {enabled: yes please}\n", r"performance.yaml:2: .*enabled"),
        (
            "performance:\n  batch_embeddings: {enabled: true, batch_size: 0}\n",
            r"performance.yaml:1: .*embedding_batch is a whole number from 1 to 2048, this is 0",
        ),
    ],
)
def test_a_wrong_switch_is_refused_with_its_line_and_a_remedy(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "performance.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=problem):
        load_performance(file)


@pytest.mark.slow
def test_at_most_three_model_calls_run_at_once_as_published() -> None:
    with capture() as spans:
        in_full(SYSTEM.presets["published"], shipped_profile())

    calls = [span for span in spans() if span["name"].startswith("chat ")]
    assert (len(calls), _most_at_once(calls)) == (17, 3)


def _most_at_once(spans: list[dict[str, Any]]) -> int:
    ends = sorted(
        [(span["start_ns"], 1) for span in spans] + [(span["end_ns"], -1) for span in spans], key=lambda end: end
    )
    running = most = 0
    for _, change in ends:
        running += change
        most = max(most, running)
    return most
