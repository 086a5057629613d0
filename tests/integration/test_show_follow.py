"""`spanwise show --follow` beside a run in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.command import LIMIT_S, spanwise, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_a_run_in_another_process_is_followed_until_it_is_over(tmp_path: Path) -> None:
    with start("show", "--follow", "--journal", "j", folder=tmp_path, extra={"COLUMNS": "80"}) as follower:
        try:
            ran = spanwise(
                "systems", "run", "trading", "--preset", "optimized", "--speed", "50", "--journal", "j", folder=tmp_path
            )
            out, err = follower.communicate(timeout=LIMIT_S)
        finally:
            follower.kill()
    lines, _, whole = out.partition("\n\n")
    shown = spanwise("show", "--journal", "j", folder=tmp_path, extra={"COLUMNS": "80"})
    assert (ran.returncode, follower.returncode, err) == (0, 0, "")
    assert whole == shown.stdout
    ended = lines.splitlines()
    assert ended[-1].partition("  ")[2].startswith("workflow trading, ")
    assert "agent dispatcher" in lines
    assert len(ended) > 50
