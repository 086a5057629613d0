"""The repository's files and Markdown pages, as tests of the documents read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
_NOT_OURS = {".git", ".venv", "dist", "build", "__pycache__"}
"""Folders that a checkout may have and a clone has not; any other hidden one but `.ci` is somebody's cache."""
_COMPILED = ".so"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|\b(?:src|srcset)=\"([^\"]+)\"")


def files(folder: Path = ROOT) -> Iterator[Path]:
    """Yield every file that is ours."""
    for path in sorted(folder.iterdir()):
        if (
            path.name in _NOT_OURS
            or path.name.startswith(".coverage")
            or (path.is_dir() and path.name.startswith(".") and path.name != ".ci")
        ):
            continue
        if path.is_dir():
            yield from files(path)
        elif path.suffix != _COMPILED:
            yield path


def pages() -> list[Path]:
    """Return every Markdown page."""
    return [path for path in files() if path.suffix == ".md"]


def named(path: Path) -> str:
    """Return a file's path within the repository."""
    return path.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[tuple[str, str]]:
    """Return language and text of each fenced block."""
    return [(match[1], match[2]) for match in _FENCE.finditer(text)]


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures of a page, those in code left out."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))
    return [first or second for first, second in _LINK.findall(prose)]


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(text: str, name: str) -> str:
    """Return what stands between the markers `name` of a page."""
    return text.partition(f"<!-- {name}:begin -->\n")[2].partition(f"<!-- {name}:end -->")[0]
