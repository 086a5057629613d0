"""The Prometheus rule file made from the budgets: recording rules first, then the alerts with their links.

One group, because a group is evaluated in order and an alert must see this moment's recordings. Everything is written
in the subset of Prometheus 2.42 (no labels on groups, no `query_offset`), the oldest server still in a stable
distribution.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from spanwise_alerts import links
from spanwise_alerts.alerting import alerts
from spanwise_alerts.watches import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_alerts.alert import Alert
    from spanwise_alerts.budgets import Budgets
    from spanwise_alerts.recording import Recording

GENERATED: Final = Path(__file__).parent / "generated" / "rules.yaml"
"""The rule file that is committed and shipped."""
GROUP: Final = "spanwise-budgets"
HEADER: Final = "# Made from the budgets by `spanwise alerts build`; edit the budgets, not this file.\n"


def rules_text(budgets: Budgets) -> str:
    """Return the rule file made from `budgets`, as it is written to disk."""
    body = yaml.dump(rule_file(budgets), Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)
    return HEADER + body


def rule_file(budgets: Budgets) -> dict[str, Any]:
    """Return the rule file made from `budgets`, as plain data."""
    rules = [rule.rule() for rule in recordings(budgets)]
    rules += [_alert_rule(alert, budgets) for alert in alerts(budgets)]
    return {"groups": [{"name": GROUP, "rules": rules}]}


def recordings(budgets: Budgets) -> Iterator[Recording]:
    """Yield the recording rules that the alerts of `budgets` read, each once, after those that it reads itself."""
    seen: set[str] = set()
    for alert in alerts(budgets):
        for needed in alert.needs:
            key = f"{needed.record} {dict(needed.labels)}"
            if key not in seen:
                seen.add(key)
                yield needed


def _alert_rule(alert: Alert, budgets: Budgets) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.watch.pending_for,
        "keep_firing_for": alert.watch.keep_firing_for,
        "labels": {
            "severity": alert.watch.severity,
            "budget": _literal(alert.budget),
            **({} if alert.owner is None else {"owner": alert.owner}),
        },
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": links.runbook(budgets.links.runbook, alert.name),
            "trace_search": _trace_search(alert, budgets),
            **({} if budgets.links.grafana is None else {"dashboard": links.dashboard(budgets.links.grafana)}),
        },
    }


def _literal(text: str) -> str:
    """Keep Prometheus from taking braces in the name of a workflow or cache for a template."""
    return text.replace("{{", '{{ "{{" }}')


def _trace_search(alert: Alert, budgets: Budgets) -> str:
    watch = alert.watch
    reach = seconds_of(watch.window) + seconds_of(watch.pending_for) + seconds_of(watch.keep_firing_for)
    lookback = links.lookback_for(reach)
    return links.trace_search(
        budgets.links.jaeger, of=alert.of, subject=alert.subject, min_seconds=alert.min_seconds, lookback=lookback
    )


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that the PromQL in the file can be read."""


def _text(_dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
