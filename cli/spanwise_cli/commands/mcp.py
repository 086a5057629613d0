"""`spanwise mcp`: recorded runs for assistants, over the Model Context Protocol on standard input and output.

Each tool is a command of this program with `--json`, run in a process of its own: an answer is what the command prints,
and a fault costs that answer only. Nothing is written, and only what is recorded in the journal can be asked for.
"""

from __future__ import annotations

import asyncio
import json as json_format
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import typer  # noqa: TC002 - as in the other commands

from spanwise.errors import UnavailableError
from spanwise_cli.options import DEFAULT_JOURNAL, JournalOption

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

LIMIT: Final = 60_000
"""Characters of JSON that an answer may have; lists in a longer one are cut."""
_LENGTHS: Final = (100, 50, 20, 10, 5, 2, 1, 0)
_LONGEST_S: Final = 120.0
_RUN: Final = re.compile(r"[0-9A-Za-z_][\w.,:=~+/-]*")
_ABOUT: Final = (
    "Recorded runs of LLM programs: what ran, what it waited for, and what to change. A RUN is an id or the beginning "
    "of one, `last`, `last~2` (two before the last), or `last:workflow/variant`. Begin with `runs`, then `profile`."
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="mcp")(mcp)


def mcp(*, journal: JournalOption = DEFAULT_JOURNAL) -> None:
    """Serve recorded runs to assistants over MCP on standard input and output, read only.

    Example: spanwise mcp --journal .spanwise
    """
    try:
        server: Any = import_module("mcp.server").MCPServer("spanwise", instructions=_ABOUT, log_level="ERROR")
        fault: Any = import_module("mcp.server.mcpserver.exceptions").ToolError
        annotations: Any = import_module("mcp.types").ToolAnnotations(read_only_hint=True, open_world_hint=False)
    except (ImportError, AttributeError):
        raise UnavailableError("mcp: mcp 2 is not installed; run: pip install 'spanwise[mcp]'") from None
    for tool in Tools(journal, fault).all:
        server.tool(annotations=annotations, structured_output=False)(tool)
    server.run()


class Tools:
    """What can be asked for.

    Args:
        journal: folder of recorded runs.
        fault: what is raised to tell the assistant why there is no answer.
    """

    def __init__(self, journal: Path, fault: type[Exception]) -> None:
        self._fault = fault
        self._journal = str(journal.absolute())
        self.all: tuple[Callable[..., Awaitable[str]], ...] = (
            self.runs, self.profile, self.finding, self.compare, self.ledger,
        )  # fmt: skip

    async def runs(self, limit: int = 20, workflow: str | None = None, since: str | None = None) -> str:
        """List recorded runs, newest first: id, workflow, seconds, tokens, errors.

        `workflow` is a name or name/variant; `since` is an age such as 2h or 7d, or an ISO date.
        """
        words = ["runs", f"--limit={max(1, limit)}"]
        words += [f"--workflow={self._checked(workflow)}"] if workflow else []
        words += [f"--since={self._checked(since)}"] if since else []
        return await self._answer(*words)

    async def profile(self, run: str = "last") -> str:
        """Tell where a run's time went: critical path, budget of seconds, and findings with what they would save."""
        return await self._answer("profile", "--", self._checked(run))

    async def finding(self, number: int, run: str = "last") -> str:
        """Tell one finding of a run's profile whole, by its number from 1: evidence, saving, and how it is done."""
        return await self._answer("explain", "--", str(max(1, number)), self._checked(run))

    async def compare(self, a: str, b: str) -> str:
        """Compare two sets of runs: verdict, difference with interval, and where it comes from.

        `a` and `b` are runs with commas, or filters such as workflow=desk or since=7d.
        """
        return await self._answer("compare", "--", self._checked(a), self._checked(b))

    async def ledger(self) -> str:
        """Tell how many spans were started, are open, written, lost and delivered."""
        return await self._answer("ledger")

    async def _answer(self, command: str, *words: str) -> str:
        """Return what a command prints as JSON; raises its message where it prints none."""
        arguments = [command, "--json", f"--journal={self._journal}", *words]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "spanwise_cli", *arguments, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, said = await asyncio.wait_for(process.communicate(), _LONGEST_S)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        if not out.strip():
            raise self._fault(said.decode(errors="replace").strip() or f"{command} ended with {process.returncode}")
        return bounded(json_format.loads(out))

    def _checked(self, name: str) -> str:
        """Return the name of recorded runs; refuses anything else that a command would read."""
        if not _RUN.fullmatch(name) or "//" in name or ".." in name or Path(name).exists():
            raise self._fault(f"{name!r} names no recorded run; give an id, `last`, `last~1` or `last:workflow`")
        return name


def bounded(document: dict[str, Any], limit: int = LIMIT) -> str:
    """Return `document` as JSON of at most `limit` characters, as far as shorter lists can make it.

    What was cut is told: `lists_cut_to` says how many items of each list are there.
    """
    text = json_format.dumps(document, ensure_ascii=False)
    for length in _LENGTHS:
        if len(text) <= limit:
            break
        text = json_format.dumps({"lists_cut_to": length, **_cut(document, length)}, ensure_ascii=False)
    return text


def _cut(value: Any, length: int) -> Any:
    if isinstance(value, dict):
        return {key: _cut(one, length) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_cut(one, length) for one in cast("Sequence[Any]", value)[:length]]
    return value
