"""The stack in containers, used if Docker's daemon answers. It includes the web pages and Grafana."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanwise.errors import UnavailableError
from spanwise_cli.stack.plan import generated_folder
from spanwise_cli.stack.render import COLLECTOR_FILE, CONFIG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_cli.stack.plan import Settings

COMPOSE_FILE: Final = Path(__file__).parent / "compose.yaml"
_DAEMON_SECONDS: Final = 5.0
_UP_SECONDS: Final = 600.0


def available() -> bool:
    """Return whether Docker's daemon answers within 5 s and has the compose plugin."""
    docker = shutil.which("docker")
    return docker is not None and _answers(docker, "info") and _answers(docker, "compose", "version")


def up(settings: Settings) -> None:
    """Start the containers and return once they are healthy; raises `UnavailableError` with Docker's last words."""
    _compose(settings, "up", "--detach", "--wait")


def down(settings: Settings) -> None:
    """End and remove the containers; their volumes stay."""
    _compose(settings, "down")


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of compose.yaml for an installed package, whose files lie elsewhere than in a checkout."""
    return {
        **settings.ports.environment(),
        "SPANWISE_STACK_COLLECTOR_FILE": str(COLLECTOR_FILE.resolve()),
        "SPANWISE_STACK_CONFIG_DIR": str(CONFIG),
        "SPANWISE_STACK_RULES_DIR": str(generated_folder("spanwise_alerts")),
        "SPANWISE_STACK_DASHBOARDS_DIR": str(generated_folder("spanwise_dashboards")),
        "SPANWISE_STACK_WEBHOOK_FILE": str(CONFIG.parent / "webhook.py"),
        "SPANWISE_STACK_PROCESS_JOB": settings.process_job,
        "SPANWISE_STACK_STATE_DIR": str(settings.folder),
        "SPANWISE_STACK_USER": f"{os.getuid()}:{os.getgid()}",
    }


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(  # noqa: S603
            command, capture_output=True, check=False, timeout=_DAEMON_SECONDS
        ).returncode == 0  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False


def _compose(settings: Settings, *arguments: str) -> None:
    command: Sequence[str] = ("docker", "compose", "--file", str(COMPOSE_FILE.resolve()), *arguments)
    try:
        done = subprocess.run(  # noqa: S603
            command, env={**os.environ, **environment(settings)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            check=False, text=True, timeout=_UP_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"docker compose {arguments[0]}: not done after {_UP_SECONDS:.0f} s") from None
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise UnavailableError(f"docker compose {arguments[0]} failed: {words[-1].strip()}")
