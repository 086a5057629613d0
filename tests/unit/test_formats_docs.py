"""The examples of docs/formats.md run as they stand, and its tables are those of the code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from support.pages import ROOT

from spanwise_profiling import clocks, dialects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


def coded(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def names() -> Iterator[str]:
    yield from ("| ours | theirs |", "| --- | --- |")
    for ours, foreign in dialects.NAMES.items():
        yield f"| `{ours}` | {coded(foreign)} |"
    for role, (ours, foreign) in dialects.SUBJECTS.items():
        yield f"| `{ours}` of a `{role}` | {coded(foreign)} |"


def roles() -> Iterator[str]:
    yield from ("| attribute | values (in any case): what the span is |", "| --- | --- |")
    for mark, meanings in dialects.ROLES.items():
        found = dict.fromkeys(meanings.values())
        parts = [f"{coded(w for w, r in meanings.items() if r == role)}: `{role}`" for role in found]
        yield f"| `{mark}` | {'; '.join(parts)} |"


def content() -> Iterator[str]:
    yield from ("| on a | ours | theirs |", "| --- | --- | --- |")
    for role, pairs in dialects.CONTENT.items():
        for ours, foreign in pairs:
            yield f"| `{role}` | `{ours}` | {coded(foreign)} |"


@pytest.mark.parametrize(("name", "rows"), [("names", names), ("roles", roles), ("content", content)])
def test_the_tables_of_the_page_are_those_of_the_code(name: str, rows: Any) -> None:
    [table] = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", PAGE, re.DOTALL)
    assert table.splitlines() == list(rows())


def test_what_else_the_code_looks_for_is_named_on_the_page() -> None:
    named = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert named >= {*dialects.FIRST_CHUNK_EVENTS, *dialects.HTTP_METHOD, *dialects.DATABASE, *clocks.HOSTS}
