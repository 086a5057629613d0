"""The Python blocks of docs/durability.md run, in order, and its numbers are those of the code."""

from __future__ import annotations

from pathlib import Path

from spanwise import conventions
from spanwise.config.settings import Settings
from spanwise.recording import processor as recorder

PAGE = Path(__file__).parents[2] / "docs" / "durability.md"


def test_the_numbers_are_those_of_the_code() -> None:
    settings = Settings()
    assert (settings.durability, settings.journal_interval) == ("interval", recorder.INTERVAL) == ("interval", 0.2)
    assert settings.buffer_size == recorder.BUFFER == 64 * 2**20
    assert (settings.shutdown_timeout, recorder.FIRST_WAITS, recorder.WAIT_NS) == (5.0, 100, 100_000_000)
    assert (conventions.LEDGER_TOTAL, conventions.LEDGER_CURRENT) == ("spanwise_spans_total", "spanwise_spans_current")
