"""Setting up: `configure` reads the settings, builds what records, and puts it in force for the whole process.

Calling `configure` again with the same settings changes nothing; with other ones it replaces the telemetry.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from spanwise.config.settings import Settings, Sourced, resolve, settings_of
from spanwise.content.filter import ContentFilter
from spanwise.errors import UnavailableError
from spanwise.helpers import program_run
from spanwise.otel import threads
from spanwise.process import exit as process_exit
from spanwise.process import own_threads
from spanwise.recording import providers
from spanwise.recording.build import processor_of
from spanwise.recording.metrics import SpanMetrics
from spanwise.recording.telemetry import Telemetry, activate, active, go_on_in_children

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from spanwise.config.settings import Causality, Durability
    from spanwise.content.filter import Hook
    from spanwise.recording.exposition import MetricsServer

_lock = own_threads.RLock()


def configure(
    *,
    service_name: str | None = None,
    journal_dir: str | Path | None = None,
    durability: Durability | None = None,
    journal_interval: float | None = None,
    buffer_size: int | str | None = None,
    journal_size: int | str | None = None,
    journal_age: float | None = None,
    metrics_port: int | None = None,
    time_scale: float | None = None,
    wait_threshold: float | None = None,
    causality: Causality | None = None,
    run_budget: bool | None = None,
    shutdown_timeout: float | None = None,
    capture_content: str | Sequence[str] | None = None,
    fingerprints: bool | None = None,
    exceptions: str | None = None,
    content_limit: int | None = None,
    redact: bool | None = None,
    redact_patterns: str | Sequence[str] | None = None,
    allow_attributes: str | Sequence[str] | None = None,
    span_hook: str | Hook | None = None,
    propagate_to: str | Sequence[str] | None = None,
    thread_context: bool | None = None,
    integrations: str | Sequence[str] | None = None,
    endpoint: str | None = None,
    protocol: str | None = None,
    otlp_content: str | Sequence[str] | None = None,
    otlp_drop: str | Sequence[str] | None = None,
    otlp_waits: bool | None = None,
    langsmith_project: str | None = None,
    langsmith_content: str | Sequence[str] | None = None,
    langsmith_drop: str | Sequence[str] | None = None,
    langsmith_waits: bool | None = None,
    **destinations: Mapping[str, Any] | None,
) -> Telemetry:
    """Set up recording for this process and return its handle; safe to call more than once.

    What is not given here comes from `SPANWISE_*`, `OTEL_*`, `[tool.spanwise]` of pyproject.toml, or the default. A
    forked child goes on recording, into a stream of its own. The settings are explained in docs/recording.md, and where
    they are declared: `spanwise.config.settings`, and the module of each destination. `endpoint`, `protocol`, `otlp_*`
    and `langsmith_*` are other names of settings of these two destinations. Settings of any destination can be given
    under its name, such as `otlp={"endpoint": "http://127.0.0.1:4318"}`.

    Raises:
        InputError: a setting is unknown, is given twice, or cannot be used.
        UnavailableError: the journal folder, the port or the exporter's extra cannot be used.
    """
    given = {name: value for name, value in locals().items() if name != "destinations"}
    sources = resolve(given | destinations)
    return configured(settings_of(sources), sources)


def configured(settings: Settings, sources: dict[str, Sourced]) -> Telemetry:
    """Set up recording with settings that are resolved; for what is no code of the user's. Raises as `configure`."""
    with _lock:
        before = active()
        if before is not None and before.settings == settings:
            return before
        if before is not None:
            before.shutdown()
            activate(None)
        telemetry = _started(settings, sources)
        activate(telemetry)
        program_run.follow(telemetry)
        if not settings.disabled:
            process_exit.watch(shutdown, _write_or)
        return telemetry


def shutdown() -> None:
    """Flush and end what `configure` set up; does nothing without it."""
    program_run.end()
    with _lock:
        telemetry = activate(None)
    process_exit.unwatch(shutdown)
    if telemetry is not None:
        telemetry.shutdown()


def _started(settings: Settings, sources: dict[str, Sourced]) -> Telemetry:
    if settings.disabled:
        return Telemetry(settings, sources, None)
    content_filter = ContentFilter(settings)
    metrics = SpanMetrics(shown=content_filter.text)
    processor = processor_of(settings, metrics, content_filter)
    try:
        server = None if settings.metrics_port is None else _server(metrics, settings.metrics_port)
    except UnavailableError:
        processor.shutdown(0)
        raise
    provider = providers.in_force(settings)
    for one in providers.attached(provider):
        providers.relay_of(one).target = processor
    telemetry = Telemetry(
        settings, sources, provider, processor, metrics, server=server, content_filter=content_filter,
        undo=_switched_on(settings),
    )  # fmt: skip
    go_on_in_children(telemetry)
    return telemetry


def _switched_on(settings: Settings) -> list[Callable[[], object]]:
    """Switch on what reaches into the process; returns what switches each off again."""
    undo: list[Callable[[], object]] = []
    if settings.causality != "off":
        from spanwise import causality  # noqa: PLC0415 - asyncio loads only where causality is wanted

        causality.start(settings.causality, wait_threshold=settings.wait_threshold)
        undo.append(causality.stop)
    if settings.integrations:
        from spanwise.integrations import switch  # noqa: PLC0415 - loads only where it is wanted

        switch.start(settings.integrations)
        undo.append(switch.stop)
    if settings.thread_context:
        threads.carry()
        undo.append(threads.stop)
    return undo


def _server(metrics: SpanMetrics, port: int) -> MetricsServer:
    from spanwise.recording.exposition import MetricsServer  # noqa: PLC0415 - loads only where it is needed

    return MetricsServer(metrics.registry, port)


def _write_or(act: Callable[[], object]) -> bool:
    """Write what has ended; from inside a writing, have `act` called after that and return false."""
    telemetry = active()
    if telemetry is None or telemetry.processor is None:
        return True
    return telemetry.processor.write_or(act, telemetry.settings.shutdown_timeout)


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - whoever held it stayed with the parent
    _lock = own_threads.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
