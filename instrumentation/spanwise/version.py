"""The version of this package, which every segment of a journal names: reading it from the metadata takes 20 ms."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.2.0.dev0"
"""The one of pyproject.toml; a test holds the two together."""
