"""`spanwise mcp` answers an MCP client over stdio with what the commands print as JSON, and writes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from support.command import spanwise
from support.traces import chat, record, workflow

from spanwise_cli.commands.mcp import bounded

if TYPE_CHECKING:
    from pathlib import Path


async def asked(folder: Path, calls: list[tuple[str, dict[str, Any]]]) -> tuple[set[str], list[tuple[bool, str]]]:
    """Return the names of the tools, and of each call whether it failed and its text."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    words = ["-m", "spanwise_cli", "mcp", "--journal", str(folder / ".spanwise")]
    server = StdioServerParameters(command=sys.executable, args=words, env=variables, cwd=str(folder))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = (await session.list_tools()).tools
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
        answers = [await session.call_tool(name, arguments) for name, arguments in calls]
    found: list[Any] = [(bool(answer.is_error), answer.content[0]) for answer in answers]
    return {tool.name for tool in tools}, [(failed, content.text) for failed, content in found]


def test_an_assistant_gets_what_the_commands_print(tmp_path: Path) -> None:
    record(tmp_path / ".spanwise", workflow(1, 0, 2), chat(2, 0, 1, parent=1))
    before = sorted((path.name, path.stat().st_size) for path in (tmp_path / ".spanwise").iterdir())

    names, answers = asyncio.run(
        asked(tmp_path, [
            ("runs", {"limit": 5}), ("profile", {"run": "last"}), ("ledger", {}), ("profile", {"run": "nope"}),
            ("profile", {"run": "/etc/passwd"}), ("profile", {"run": "--html=x"}),
        ])
    )  # fmt: skip

    assert names == {"runs", "profile", "finding", "compare", "ledger"}
    for (failed, text), words in zip(
        answers, [["runs", "--limit", "5"], ["profile", "last"], ["ledger"]], strict=False
    ):
        printed = spanwise(*words, "--json", "--journal", str(tmp_path / ".spanwise"), folder=tmp_path).stdout
        assert (failed, json.loads(text)) == (False, json.loads(printed))
    assert [failed for failed, _ in answers[3:]] == [True, True, True]
    assert "names no recorded run" in answers[4][1]
    assert sorted((path.name, path.stat().st_size) for path in (tmp_path / ".spanwise").iterdir()) == before


@pytest.mark.parametrize("limit", [2_000, 200])
def test_an_answer_is_bounded_and_says_what_was_cut(limit: int) -> None:
    text = bounded({"schema": "x", "path": [{"spans": list(range(100))}] * 100}, limit)
    assert len(text) <= limit
    assert json.loads(text)["lists_cut_to"] < 100
