"""What is said while LangSmith sends a long trace: on a terminal alone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from spanwise_cli import opening

if TYPE_CHECKING:
    import pytest


def test_the_number_of_runs_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(opening, "console", lambda *, stderr: Console(file=shown, force_terminal=stderr, width=80))
    with opening.progress() as tell:
        assert tell is not None
        assert shown.getvalue() == ""
        tell(1)
        tell(1_200)
    assert "1,200 runs read from LangSmith" in shown.getvalue()


def test_nothing_is_shown_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "console", lambda *, stderr: Console(file=io.StringIO(), stderr=False))
    with opening.progress() as tell:
        assert tell is None
