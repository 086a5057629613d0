"""The servers that runs are read from, Jaeger and LangSmith, behind one door: how they are named tells them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanwise.errors import InputError
from spanwise_profiling.sources import jaeger_api, langsmith_api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spanwise.journal.reader import ReadReport, SpanRecord


def is_server(text: str) -> bool:
    """Whether `text` means a server or a run on one: an address, or `langsmith:ID`."""
    return langsmith_api.is_reference(text) or jaeger_api.is_address(text)


def read(
    text: str, report: ReadReport, trace_ids: Iterable[str] = (), progress: Callable[[str], None] | None = None
) -> list[SpanRecord]:
    """Return the spans of the trace that `text` names; where it names a server alone, of `trace_ids`.

    Args:
        text: an address or `langsmith:ID`.
        report: counts what was read and what could not be.
        trace_ids: the traces that are meant where `text` names none.
        progress: is told in words how many runs LangSmith has sent so far.

    Raises:
        InputError: no trace is named, or it is not there.
        UnavailableError: the server cannot be reached, or the SDK that it takes is not installed.
    """
    if langsmith_api.is_reference(text):

        def tell(number: int) -> None:
            if progress is not None:
                progress(f"{number:,} runs of LangSmith")

        return list(langsmith_api.read(text, report, tell))
    address = jaeger_api.parse(text)
    wanted = [address.trace_id] if address.trace_id else list(trace_ids)
    if not wanted:
        raise InputError(
            f"{text}: names no trace; give http://HOST:16686/trace/ID, or of LangSmith …/projects/p/ID/r/ID"
        )
    return [record for trace_id in wanted for record in _of_jaeger(text, address.base, trace_id, report)]


def _of_jaeger(text: str, base: str, trace_id: str, report: ReadReport) -> list[SpanRecord]:
    records = list(jaeger_api.read(base, trace_id, report))
    if not records:
        raise InputError(f"{text}: trace {trace_id} holds no span there")
    return records
