"""What is said while a big file or a long trace is read: on a terminal alone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from spanwise_cli import opening

if TYPE_CHECKING:
    import pytest


def test_how_much_was_read_is_shown_on_a_terminal_and_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(opening, "console", lambda *, stderr: Console(file=shown, force_terminal=stderr, width=80))
    with opening.progress() as tell:
        assert tell is not None
        assert shown.getvalue() == ""
        tell("1 runs of LangSmith")
        tell("1,200 runs of [bold]\x1b[2J")
    assert "reading: 1,200 runs of [bold]" in shown.getvalue()
    assert "\x1b[2J" not in shown.getvalue()
    assert shown.getvalue().endswith("\x1b[2K")


def test_nothing_is_shown_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "console", lambda *, stderr: Console(file=io.StringIO(), stderr=False))
    with opening.progress() as tell:
        assert tell is None
