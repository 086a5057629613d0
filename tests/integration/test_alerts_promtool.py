"""The rules on data, by the newest promtool and by the oldest one that is still in a stable distribution."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.servers import need

import spanwise_alerts
from spanwise.config import strict_yaml
from spanwise_alerts.budgets import Budgets, load_budgets
from spanwise_alerts.rules import GENERATED, rules_text
from spanwise_cli.stack.catalogue import find

pytestmark = [pytest.mark.slow, pytest.mark.servers]

CASES = sorted((Path(spanwise_alerts.__file__).parent / "tests").glob("*.yaml"))
EVERY = Path(__file__).parents[1] / "unit" / "every_budget.yaml"
PROMTOOLS = ("promtool", "promtool-2.42")
UNUSUAL = """
version: 1
workflows:
  'say "hi" (v1.0) {{ .X }}':
    duration: {p95: 0.5, window: 1m, pending_for: 0s, keep_firing_for: 0s, regression: {factor: 2}}
    cache_hit_rate: {minimum: 0.5, caches: {'a "b"': 0.7}}
default:
  tokens_per_second: {minimum: 3}
"""


def promtool(name: str, *words: object) -> str:
    need(name)
    done = subprocess.run([str(find(name)), *map(str, words)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PROMTOOLS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_alerts_fire_and_keep_quiet_as_written(case: Path, name: str) -> None:
    promtool(name, "test", "rules", case)


@pytest.mark.parametrize("name", PROMTOOLS)
def test_the_shipped_rules_have_nothing_to_lint(name: str) -> None:
    assert "SUCCESS" in promtool(name, "check", "rules", GENERATED)


@pytest.mark.parametrize("name", PROMTOOLS)
def test_rules_of_every_kind_of_budget_have_nothing_to_lint(name: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(rules_text(load_budgets(EVERY)), encoding="utf-8")

    assert "SUCCESS" in promtool(name, "check", "rules", rules)


@pytest.mark.parametrize("name", PROMTOOLS)
def test_rules_of_unusual_names_and_budgets_are_valid(name: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(rules_text(strict_yaml.loads(UNUSUAL, Budgets, source="test")), encoding="utf-8")

    assert "SUCCESS" in promtool(name, "check", "rules", rules)
