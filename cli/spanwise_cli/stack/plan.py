"""What a stack of plain processes consists of: each server's command, configuration and addresses.

A plan is data. Making one writes the rendered configuration files into its folder and starts nothing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from spanwise.config.folders import make_folder
from spanwise_cli.stack import webhook
from spanwise_cli.stack.catalogue import require
from spanwise_cli.stack.ports import LOOPBACK, Ports
from spanwise_cli.stack.render import COLLECTOR_FILE, CONFIG, render

PROCESS_JOB: Final = "spanwise-process"
_HERE: Final = f"http://{LOOPBACK}"


def generated_folder(package: str) -> Path:
    """Return the folder of what `package` ships generated: rules, dashboards. It may not exist yet."""
    spec = find_spec(package)
    return (Path(spec.origin).parent if spec and spec.origin else Path()) / "generated"


def default_rules() -> str:
    """Return the path of the shipped alert and recording rules; Prometheus takes one that is missing for no rules."""
    return str(generated_folder("spanwise_alerts") / "rules.yaml")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a stack is to be."""

    folder: Path
    """State, logs, data and rendered configuration."""
    ports: Ports = field(default_factory=Ports)
    rules: str = field(default_factory=default_rules)
    """Glob of rule files, absolute."""
    webhook_url: str | None = None
    """Where alerts are delivered; `None` starts the stack's own receiver."""
    scrape: tuple[str, ...] = ()
    """`host:port` of programs' own metrics besides `ports.process_metrics`."""
    process_job: str = PROCESS_JOB
    """`job` of programs' own metrics; the service's name makes it that of the collector's series."""
    interval: str = "5s"
    """Scrape, rule evaluation and alert grouping."""
    flush: str = "5s"
    """How often the collector emits the metrics that carry exemplars."""

    @property
    def alerts(self) -> Path:
        """The file of alerts delivered to the stack's own receiver, one JSON document a line."""
        return self.folder / "alerts.jsonl"


@dataclass(frozen=True, slots=True)
class Server:
    """One server: how to start it and how to tell that it is ready."""

    name: str
    command: tuple[str, ...]
    address: str
    """Its API."""
    health: str
    """Answers 200 once it is ready."""
    ports: tuple[int, ...]
    """What it listens on."""
    environment: dict[str, str] = field(default_factory=dict[str, str])


def plan(settings: Settings) -> tuple[Server, ...]:
    """Return the servers of a stack, their configuration written into `settings.folder`.

    Raises:
        UnavailableError: A server is not on this machine; says how to get it.
    """
    for name in ("config", "logs", "data"):
        make_folder(settings.folder / name)
    servers = [_jaeger(settings), _collector(settings), _prometheus(settings), _alertmanager(settings)]
    if settings.webhook_url is None:
        servers.append(_webhook(settings))
    return tuple(servers)


def _jaeger(settings: Settings) -> Server:
    ports = settings.ports
    return Server(
        "jaeger",
        (str(require("jaeger")), "--config", str(CONFIG / "jaeger.yaml")),
        address=f"{_HERE}:{ports.jaeger_ui}",
        health=f"{_HERE}:{ports.jaeger_health}/status",
        ports=(ports.jaeger_otlp, ports.jaeger_ui, ports.jaeger_grpc, ports.jaeger_health),
        environment=ports.environment(),
    )


def _collector(settings: Settings) -> Server:
    ports = settings.ports
    return Server(
        "collector",
        (str(require("otelcol")), "--config", str(COLLECTOR_FILE)),
        address=f"{_HERE}:{ports.otlp_http}",
        health=f"{_HERE}:{ports.collector_health}/",
        ports=(
            ports.otlp_grpc, ports.otlp_http, ports.collector_health, ports.collector_metrics,
            ports.collector_telemetry,
        ),
        environment=ports.environment()
        | {
            "SPANWISE_STACK_QUEUE_DIR": str(settings.folder / "data" / "queue"),
            "SPANWISE_STACK_FLUSH_INTERVAL": settings.flush,
        },
    )  # fmt: skip


def _prometheus(settings: Settings) -> Server:
    ports = settings.ports
    targets = (f"{LOOPBACK}:{ports.process_metrics}", *settings.scrape)
    values = {
        "SPANWISE_STACK_INTERVAL": settings.interval,
        "SPANWISE_STACK_RULES": settings.rules,
        "SPANWISE_STACK_ALERTMANAGER_TARGET": f"{LOOPBACK}:{ports.alertmanager}",
        "SPANWISE_STACK_COLLECTOR_TARGET": f"{LOOPBACK}:{ports.collector_metrics}",
        "SPANWISE_STACK_COLLECTOR_TELEMETRY_TARGET": f"{LOOPBACK}:{ports.collector_telemetry}",
        "SPANWISE_STACK_PROCESS_TARGETS": ", ".join(f'"{target}"' for target in targets),
        "SPANWISE_STACK_PROCESS_JOB": settings.process_job,
    }
    return Server(
        "prometheus",
        (
            str(require("prometheus")), f"--config.file={_write(settings, 'prometheus.yaml', values)}",
            f"--storage.tsdb.path={settings.folder / 'data' / 'prometheus'}", "--storage.tsdb.retention.time=15d",
            f"--web.listen-address={LOOPBACK}:{ports.prometheus}", "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ),
        address=f"{_HERE}:{ports.prometheus}",
        health=f"{_HERE}:{ports.prometheus}/-/ready",
        ports=(ports.prometheus,),
    )  # fmt: skip


def _alertmanager(settings: Settings) -> Server:
    port = settings.ports.alertmanager
    values = {
        "SPANWISE_STACK_INTERVAL": settings.interval,
        "SPANWISE_STACK_GROUP_INTERVAL": settings.interval,
        "SPANWISE_STACK_WEBHOOK_URL": settings.webhook_url or f"{_HERE}:{settings.ports.webhook}/alert",
    }
    return Server(
        "alertmanager",
        (
            str(require("alertmanager")), f"--config.file={_write(settings, 'alertmanager.yaml', values)}",
            f"--storage.path={settings.folder / 'data' / 'alertmanager'}", f"--web.listen-address={LOOPBACK}:{port}",
            "--cluster.listen-address=", "--log.level=warn",
        ),
        address=f"{_HERE}:{port}",
        health=f"{_HERE}:{port}/-/ready",
        ports=(port,),
    )  # fmt: skip


def _webhook(settings: Settings) -> Server:
    port = settings.ports.webhook
    return Server(
        "webhook",
        (sys.executable, webhook.__file__, "--port", str(port), "--log", str(settings.alerts)),
        address=f"{_HERE}:{port}/alert",
        health=f"{_HERE}:{port}/",
        ports=(port,),
    )


def _write(settings: Settings, name: str, values: dict[str, str]) -> Path:
    target = settings.folder / "config" / name
    target.write_text(render(name, values), encoding="utf-8")
    return target
