"""The blocking session of the orchestrator, as its page shows it, against the provider in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
from typing import TYPE_CHECKING

import pytest
from support.orchestrator import shipped_profile
from support.pages import ROOT, blocks

from spanwise_pipeline.provider_process import ProviderProcess
from spanwise_pipeline.systems.orchestrator import DATA, request
from spanwise_pipeline.systems.orchestrator.prompts import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "systems" / "orchestrator.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_s_program_prints_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "documents"
    shutil.copytree(DATA / "documents", folder)
    shutil.copytree(DATA / "tools", folder / "tools")
    shutil.copy(FOLDER / "performance.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    (program,) = [text for language, text in blocks(PAGE) if language == "python"]
    printed = io.StringIO()

    async def main() -> None:
        async with ProviderProcess(shipped_profile(), 500.0) as provider:
            names = {"folder": folder, "address": provider.base_url, "key": "any", "request": request()}
            await asyncio.to_thread(exec, compile(program, "orchestrator.md", "exec"), names)

    with contextlib.redirect_stdout(printed):
        asyncio.run(main())

    assert printed.getvalue().startswith("## Report\ndecision = move\n")
    assert (folder / "reports" / "moving.md").exists()
