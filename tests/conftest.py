"""What every test is held to: it leaves no task, thread, child process or tracer provider behind.

Fixtures of a wider scope are set up before the first look, so what they start is not a test's leak.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import hypothesis
import pytest
from opentelemetry import trace
from opentelemetry.util._once import Once
from support.leaks import leaks, look

import spanwise
from spanwise.recording import providers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# How long drawing an example takes says nothing about what is tested; it depends on the machine and on coverage.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")
_FIGURE = "figure"
"""The property of a test's report that holds a measured figure: reports reach the process that prints the summary."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in `tests/integration` as slow, as it starts processes or runs a whole system."""
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker("slow")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return what prints a line of measured figures at the end of the whole run."""
    return lambda line: record_property(_FIGURE, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    if figures := [line for report in reports for name, line in report.user_properties if name == _FIGURE]:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(str(line))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = look()
    yield
    found = list(leaks(before))
    assert not found, "; ".join(found)


@pytest.fixture
def isolated_provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nothing_left_behind: None) -> Iterator[None]:
    """Let a test call `spanwise.configure()`: no provider, no settings from outside, an empty working directory.

    OpenTelemetry lets a process set its provider once and offers no way back, so its private state is put aside.
    """
    for name in list(os.environ):
        if name.startswith(("OTEL_", "SPANWISE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(providers, "_newest", None)
    yield
    spanwise.shutdown()
