"""The version that segments name is the package's."""

from __future__ import annotations

import tomllib
from pathlib import Path

from spanwise.version import VERSION


def test_the_version_in_the_code_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == VERSION
