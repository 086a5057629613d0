"""The budget file: what it accepts, and that each mistake is one message with file, line and remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from spanwise.config import strict_yaml
from spanwise.config.run_budget import RunBudget
from spanwise.errors import InputError
from spanwise_alerts.budgets import (
    SHIPPED,
    Budgets,
    CacheBudget,
    CallShareBudget,
    DecodeRateBudget,
    DurationBudget,
    Regression,
    SuccessBudget,
    TokenRateBudget,
    WorkflowBudgets,
    load_budgets,
    seconds_of,
)
from spanwise_alerts.schema import schema_text
from spanwise_cli.demo import SPEED

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"


def loads(text: str) -> Budgets:
    return strict_yaml.loads(text, Budgets, source="budgets.yaml")


def message_of(text: str) -> str:
    with pytest.raises(InputError) as caught:
        loads(text)
    return str(caught.value)


def test_the_shipped_budgets_are_those_of_the_research_desk_and_a_default() -> None:
    shipped = load_budgets()

    assert shipped.workflows == {
        "trading": WorkflowBudgets(
            duration=DurationBudget(
                p95=120,
                min_runs=3,
                pending_for="30s",
                severity="page",
                regression=Regression(factor=1.25, offset="1d", floor=30),
            ),
            tokens_per_second=TokenRateBudget(minimum=100, min_runs=3),
            cache_hit_rate=CacheBudget(minimum=0.3, min_lookups=20),
            time_scale=SPEED,
        ),
        "hedge_fund": WorkflowBudgets(
            duration=DurationBudget(p95=15, regression=Regression(factor=1.5, floor=5)),
            success_rate=SuccessBudget(minimum=0.9),
            error_rate=CallShareBudget(maximum=0.1),
            cache_hit_rate=CacheBudget(minimum=0.5, min_lookups=50),
            decode_tokens_per_second=DecodeRateBudget(minimum=10),
        ),
        "marketing": WorkflowBudgets(
            duration=DurationBudget(p95=30, regression=Regression(factor=1.5, floor=5)),
            tokens_per_second=TokenRateBudget(minimum=20),
            cache_hit_rate=CacheBudget(minimum=0.3, min_lookups=50),
        ),
    }
    assert shipped.default == WorkflowBudgets(
        duration=DurationBudget(
            p95=300, regressions=tuple(Regression(factor=1.5, offset=offset, floor=10) for offset in ("1d", "1w"))
        ),
        decode_tokens_per_second=DecodeRateBudget(minimum=10),
        cache_hit_rate=CacheBudget(minimum=0.2, min_lookups=50),
    )
    assert shipped.time_scale == 1.0


def test_a_budget_has_its_own_window_and_no_waiting_time_where_asked() -> None:
    budgets = loads(
        "version: 1\nworkflows:\n  w:\n    duration: {p95: 60, window: 1m, pending_for: 0s, keep_firing_for: 0s}\n"
    )

    assert budgets.workflows["w"].duration == DurationBudget(
        p95=60, window="1m", pending_for="0s", keep_firing_for="0s"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 0", "budgets.yaml:1: version is 0; write version: 1"),
        ("version: 1\ntime_scale: 0", "budgets.yaml:1: time_scale is 0; write a number over 0 (1.0: real time)"),
        (
            "version: 1\nworkflows:\n  w: {time_scale: -20}",
            "budgets.yaml:3: workflows.w: time_scale is -20; write a number over 0 (1.0: real time)",
        ),
        (
            "version: 1\ndefault:\n  duration: {p95: 7201}",
            (
                "budgets.yaml:3: default.duration: p95 is 7201; write seconds over 0, "
                "up to 7200 (the histogram ends there)"
            ),
        ),
        (
            "version: 1\ndefault:\n  duration: {window: 5m}",
            (
                "budgets.yaml:3: default.duration: none of p50, p90, p95, p99, regression is given; add one of them, "
                "or remove this budget"
            ),
        ),
        (
            "version: 1\ndefault:\n  duration: {p95: 5, window: half an hour}",
            (
                "budgets.yaml:3: default.duration: 'half an hour' is not a duration; write a whole number and one of "
                "s, m, h, d, w, such as 30m"
            ),
        ),
        (
            "version: 1\ndefault:\n  duration: {p95: 5, window: 0s}",
            "budgets.yaml:3: default.duration: window is 0; write how far back to look, such as 30m",
        ),
        (
            "version: 1\ndefault:\n  duration: {p95: 5, severity: pager}",
            (
                "budgets.yaml:3: default.duration.severity: unknown value 'pager'; did you mean 'page'? "
                "Allowed: page, ticket"
            ),
        ),
        (
            "version: 1\ndefault:\n  duration: {regression: {factor: 1}}",
            "budgets.yaml:3: default.duration.regression: factor is 1; a regression needs a factor over 1, such as 1.5",
        ),
        (
            "version: 1\ndefault:\n  tokens_per_second: {minimum: -3}",
            "budgets.yaml:3: default.tokens_per_second: minimum is -3; write tokens a second over 0",
        ),
        (
            "version: 1\ndefault:\n  tokens_per_second: {minimum: 3, min_runs: 0}",
            (
                "budgets.yaml:3: default.tokens_per_second: min_runs is 0; write 1 or more "
                "(without traffic there is nothing to judge)"
            ),
        ),
        (
            "version: 1\ndefault:\n  cache_hit_rate: {caches: {quotes: 70}}",
            "budgets.yaml:3: default.cache_hit_rate: quotes is 70; write a share over 0, up to 1, such as 0.7 for 70 %",
        ),
        (
            "version: 1\ndefault:\n  cache_hit_rate: {}",
            (
                "budgets.yaml:3: default.cache_hit_rate: neither minimum nor caches is given; add one of them "
                "or remove 'cache_hit_rate'"
            ),
        ),
        (
            "version: 1\nlinks: {jaeger: jaeger.example}",
            "budgets.yaml:2: links: jaeger is 'jaeger.example'; write an address that starts with http:// or https://",
        ),
        (
            "version: 1\nlinks: {jaeger: https://jaeger.example/}",
            (
                "budgets.yaml:2: links: jaeger is 'https://jaeger.example/'; write it without a slash at the end, "
                "and not empty"
            ),
        ),
        (
            "version: 1\nworkflows:\n  w:\n    duration: {p95: 5}\n  w: {}",
            "budgets.yaml:5: workflows: duplicate key 'w' (first on line 3); remove one of the two",
        ),
        (
            "version: 1\nworkflow: {}",
            (
                "budgets.yaml:2: unknown key 'workflow'; did you mean 'workflows'? "
                "Allowed: default, links, owner, time_scale, version, workflows"
            ),
        ),
    ],
)
def test_a_mistake_is_one_message_with_line_and_remedy(text: str, expected: str) -> None:
    assert message_of(text) == expected


def test_a_file_of_a_newer_version_is_refused_before_its_new_keys_are(tmp_path: Path) -> None:
    path = tmp_path / "budgets.yaml"
    path.write_text("version: 2\nquality: {grade: A}\n", encoding="utf-8")

    with pytest.raises(InputError) as caught:
        load_budgets(path)

    assert str(caught.value) == (
        f"{path}: budgets of version 2, and this spanwise reads up to version 1; update spanwise"
    )


def test_a_missing_file_and_broken_yaml_are_said_as_such(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("version: [1\n", encoding="utf-8")

    with pytest.raises(InputError, match=r"missing\.yaml: no such file"):
        load_budgets(tmp_path / "missing.yaml")
    with pytest.raises(InputError, match=r"broken\.yaml:2: not valid YAML"):
        load_budgets(broken)


def test_durations_are_whole_numbers_of_one_unit() -> None:
    assert [seconds_of(text) for text in ("0s", "90s", "30m", "2h", "1d", "1w")] == [0, 90, 1800, 7200, 86400, 604800]


def test_every_example_in_the_documentation_loads() -> None:
    examples = re.findall(
        r"^```yaml\n(.*?)^```", (DOCS / "budgets.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )

    assert len(examples) >= 3
    for example in examples:
        loads(example)


def _keys(schema: dict[str, Any]) -> Iterator[str]:
    for name, below in schema.get("properties", {}).items():
        yield name
        yield from _keys(below)
    for below in (schema.get("additionalProperties"), schema.get("items")):
        if isinstance(below, dict):
            yield from _keys(below)


def test_the_documentation_names_every_key_of_the_file() -> None:
    text = (DOCS / "budgets.md").read_text(encoding="utf-8")
    keys = set(_keys(json.loads(schema_text()))) - set(RunBudget.__dataclass_fields__)  # docs/gate.md has those

    assert sorted(key for key in keys if f"`{key}`" not in text) == []


def test_the_json_schema_takes_what_the_file_takes_and_refuses_unknown_keys() -> None:
    schema = json.loads(schema_text())
    shipped = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    jsonschema.validate(shipped, schema)
    mistakes: list[dict[str, Any]] = [
        {**shipped, "colour": "red"},
        {"workflows": {}},
        {"version": 1, "default": {"duration": {"p95": "fast"}}},
        {"version": 1, "default": {"duration": {"severity": "loud"}}},
    ]
    for wrong in mistakes:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_the_json_schema_explains_keys_and_gives_their_defaults() -> None:
    duration = json.loads(schema_text())["properties"]["default"]["properties"]["duration"]["properties"]
    assert duration["p95"]["description"] == "At most one in twenty may take longer."
    assert (duration["window"]["default"], duration["severity"]["enum"]) == ("30m", ["page", "ticket"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("agents: {risk: {duration: {p95: 410}}}", "p95 is 410; write seconds over 0, up to 409.6"),
        ("time_to_first_chunk: {}", "none of p50, p90, p95, p99 is given; add one of them, or remove this budget"),
        ("success_rate: {minimum: 90}", "minimum is 90; write a share over 0, up to 1, such as 0.9 for 90 %"),
        ("error_rate: {maximum: 0.1, min_calls: 0}", "min_calls is 0; write 1 or more"),
        ("tokens: {maximum: 0}", "maximum is 0; write what a run may take over 0"),
        ("waits: {maximum: {rate_limit: 0.1}}", "'rate_limit' is no bucket; write one of model_prefill, "),
        ("waits: {maximum: {}}", "maximum is empty; write a bucket and a share"),
        ("objectives: {a: {target: 1}}", "target is 1; write a share between 0 and 1, such as 0.99"),
        (
            "objectives: {a: {target: 0.9, within: 100}}",
            "within is 100, which no histogram can count; write one of 1, 5",
        ),
        ("objectives: {a: {target: 0.9, period: 1d}}", "period is 1d; write 3d or more, such as 30d"),
        ("owner: 'a{b'", "owner is 'a{b'; write a name of one line without braces"),
        ("duration: {p95: 1, owner: ''}", "owner is ''; write a name of one line without braces"),
        ("decode_tokens_per_second: {minimum: .nan}", "minimum is nan; write tokens a second over 0"),
    ],
)
def test_a_mistake_in_any_budget_has_place_and_remedy(text: str, problem: str) -> None:
    message = message_of(f"version: 1\nworkflows:\n  w:\n    {text}\n")
    assert message.startswith("budgets.yaml:")
    assert problem in message
