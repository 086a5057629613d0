"""What spanwise asks for at run time is a list on purpose: here, in pyproject.toml, and with its reasons in a page."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from support.pages import ROOT

ALWAYS = [
    "backports.zstd", "msgspec", "numpy", "opentelemetry-api", "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-sdk", "prometheus-client", "pyyaml", "requests", "rich", "typer", "urllib3",
]  # fmt: skip
EXTRAS = {
    "pipeline": [
        "cachetools",
        "httpx2",
        "ijson",
        "jsonschema",
        "openai",
        "starlette",
        "tenacity",
        "uvicorn",
        "voyager",
        "websockets",
    ],
    "grpc": ["opentelemetry-exporter-otlp-proto-grpc"],
    "grafana": ["grafana-foundation-sdk"],
    "integrations": ["opentelemetry-instrumentation-genai-openai"],
    "langsmith": ["langsmith"],
    "mcp": ["mcp"],
    "redis": ["redis"],
    "all": ["spanwise[pipeline,grpc,grafana,integrations,langsmith,mcp,redis]"],
}
PAGE = (ROOT / "docs" / "decisions" / "dependencies.md").read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def names(requirements: list[str]) -> list[str]:
    return [re.split(r"[<>=!~;]", requirement)[0].strip() for requirement in requirements]


def rows(heading: str) -> list[list[str]]:
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| `")
    ]


def test_the_dependencies_are_those_that_were_decided() -> None:
    asked = project()
    assert names(asked["dependencies"]) == ALWAYS
    assert {extra: names(these) for extra, these in asked["optional-dependencies"].items()} == EXTRAS


def test_every_dependency_stands_in_the_page_with_its_reasons() -> None:
    assert sorted(row[0].strip("`") for row in rows("Always")) == ALWAYS
    assert all(row[1:4] and all(row[1:4]) for row in rows("Always"))


def test_every_extra_stands_in_the_page_with_its_reasons() -> None:
    listed = sorted((row[1].strip("`"), row[0].strip("`")) for row in rows("With an extra"))
    assert listed == sorted((extra, name) for extra, these in EXTRAS.items() if extra != "all" for name in these)
    assert all(all(row[2:4]) for row in rows("With an extra"))
