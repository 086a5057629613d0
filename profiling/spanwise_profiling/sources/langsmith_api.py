"""One trace out of LangSmith, through its own SDK (the extra `langsmith`): the runs that an export of it would hold.

LangSmith is leaving one API for another. The first finds a trace by any id in it; the second wants its project too. So
the first is asked for as long as the server and the SDK have it, which `/info` and the SDK's methods tell. Its calls
are marked as deprecated in the SDK, which is no news to who runs this.
"""

from __future__ import annotations

import os
import re
import uuid
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from spanwise.errors import InputError, SpanwiseError, UnavailableError
from spanwise_profiling.sources import langsmith, recognise, values

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator

    from spanwise.journal.reader import ReadReport, SpanRecord

PREFIX: Final = "langsmith:"
_EXTRA: Final = "LangSmith is read through its SDK, which is not installed; pip install 'spanwise[langsmith]'"
_NEWER: Final = "check LANGSMITH_ENDPOINT, and whether there is a newer SDK: pip install -U langsmith"
_UUID: Final = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_PAGE: Final = re.compile(
    rf"https?://[^/]+/(?:[^?#]*/)?o/{_UUID}/projects/p/(?P<project>{_UUID})/r/(?P<id>{_UUID})/?(?:[?#].*)?",
    re.IGNORECASE,
)
_HEX: Final = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")
_DEFAULT_PROJECT: Final = "default"
_TIMES_MS: Final = (5_000, 60_000)
"""To connect, and for each part of an answer."""
_TRIES: Final = 3
_LONGEST_PAUSE_S: Final = 60
_BUSY: Final = (408, 429, 500, 502, 503, 504)
_DENIED: Final = (401, 403)
_ABSENT: Final = (404,)
# Neither API has the project's name, and the first one refuses what it has no such name for.
_NOT_FIRST: Final = {"metadata", "session_name", "prompt_token_details", "completion_token_details"}
_FIRST: Final = [name for name in langsmith.FIELDS if name not in _NOT_FIRST]
_SECOND: Final = [name.upper() for name in langsmith.FIELDS if name not in {"parent_run_id", "session_name"}]


@dataclass(frozen=True, slots=True)
class Reference:
    """A run, and the project that it is in where that is named."""

    run_id: str
    """A UUID; of any run of the trace that is meant."""
    project_id: str | None = None


def is_reference(text: str) -> bool:
    """Whether `text` means a run in LangSmith: `langsmith:ID`, or the address of its page there."""
    return text.startswith(PREFIX) or _PAGE.fullmatch(text) is not None


def parse(text: str) -> Reference:
    """Return what `text` names.

    Raises:
        InputError: it holds no id of a run.
    """
    if page := _PAGE.fullmatch(text):
        return Reference(page["id"].lower(), page["project"].lower())
    digits = text.removeprefix(PREFIX).strip().lower().replace("-", "")
    if not _HEX.fullmatch(digits):
        raise InputError(f"{text}: names no run of LangSmith; give {PREFIX} and the id of a run, a trace or a span")
    # A run that came in over OpenTelemetry has the id of its span, filled up with zeros.
    return Reference(str(uuid.UUID(digits.rjust(32, "0"))))


def read(text: str, report: ReadReport, progress: Callable[[int], None] | None = None) -> Iterator[SpanRecord]:
    """Yield the spans of the trace that a run belongs to.

    Args:
        text: a reference (see `is_reference`).
        report: counts what was read and what could not be.
        progress: is told how many runs were read so far.

    Raises:
        InputError: there is no such run, or no key.
        UnavailableError: LangSmith cannot be reached or does not answer, or its SDK is not installed.
    """
    reference = parse(text)
    report.files += 1
    with _client(text) as client:
        for number, run in enumerate(_runs(client, reference, text), start=1):
            if progress is not None:
                progress(number)
            for record in recognise.of_line(_document(run), text, report):
                report.spans += 1
                yield record


def _document(run: Any) -> bytes:
    """Return a run of the SDK as the line of an export."""
    members = {name: getattr(run, name, None) for name in langsmith.FIELDS}
    return msgspec.json.encode(members, enc_hook=_plain) + b"\n"


def _plain(value: Any) -> object:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)


@contextmanager
def _client(text: str) -> Generator[Any]:
    """Give a client of the SDK, and its faults as ours."""
    try:
        from langsmith import Client  # noqa: PLC0415 - an extra, and slow to load
    except ImportError:
        raise UnavailableError(f"{text}: {_EXTRA}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        # What `info` is for, limits of writing, is not needed: without it each client would ask for them.
        client = Client(retry_config=_retries(), timeout_ms=_TIMES_MS, auto_batch_tracing=False, info={})
        try:
            yield client
        except SpanwiseError:
            raise
        except Exception as error:  # noqa: BLE001 - of two families of the SDK, and of two HTTP clients below it
            raise _fault(text, client, error) from None
        finally:
            client.close(0)


def _retries() -> Any:
    """Return how often to ask again; a pause that the server asks for is kept to, but not for longer than a minute."""
    from urllib3 import Retry  # noqa: PLC0415 - comes with the SDK

    class Patient(Retry):
        def get_retry_after(self, response: Any) -> float | None:
            seconds = super().get_retry_after(response)
            return None if seconds is None else min(seconds, _LONGEST_PAUSE_S)

    return Patient(
        _TRIES, connect=0, status_forcelist=_BUSY, backoff_factor=0.5, allowed_methods=None, raise_on_status=False
    )


def _runs(client: Any, reference: Reference, text: str) -> Iterator[Any]:
    runs = _from_first_api(client, reference) if _has_first_api(client) else _from_second_api(client, reference)
    first = list(islice(runs, 1))
    if not first:
        raise _absent(text, client)
    return chain(first, runs)


def _has_first_api(client: Any) -> bool:
    flags = values.members(client.request_with_retries("GET", "/info").json().get("instance_flags"))
    return hasattr(client, "list_runs") and bool(flags.get("ch_query_enabled", True))


def _from_first_api(client: Any, reference: Reference) -> Iterator[Any]:
    runs: Iterator[Any] = client.list_runs(trace_id=reference.run_id, select=_FIRST)
    first = list(islice(runs, 1))
    if not first:
        # It may be a run within a trace.
        runs = client.list_runs(trace_id=client.read_run(reference.run_id).trace_id, select=_FIRST)
    yield from chain(first, runs)


def _from_second_api(client: Any, reference: Reference) -> Iterator[Any]:
    project_id = reference.project_id or str(client.read_project(project_name=_project()).id)
    yield from _awaited(_listed(client, reference.run_id, project_id))


def _awaited(coroutine: Coroutine[Any, Any, Iterable[Any]]) -> Iterable[Any]:
    import asyncio  # noqa: PLC0415 - every command would load it
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - likewise

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1, "spanwise-langsmith") as thread:  # the caller's loop cannot run it, as it waits for it
        return thread.submit(asyncio.run, coroutine).result()


async def _listed(client: Any, run_id: str, project_id: str) -> Iterable[Any]:
    once = {"extra_headers": {"Connection": "close"}}  # nothing closes the SDK's connections of this API
    asked = {"project_id": project_id, "selects": _SECOND, **once}
    try:
        found: Iterable[Any] | None = (await client.traces.list_runs(run_id, **asked)).items
        if found:
            return found
    except Exception as error:
        if _status(error) not in _ABSENT:
            raise
    run = await client.runs.retrieve(run_id, project_id=project_id, selects=["TRACE_ID"], **once)
    found = (await client.traces.list_runs(run.trace_id, **asked)).items
    return found or ()


def _project() -> str:
    return os.environ.get("LANGSMITH_PROJECT", "").strip() or _DEFAULT_PROJECT


def _fault(text: str, client: Any, error: BaseException) -> SpanwiseError:
    """Return what a fault of the SDK means for who asked."""
    status, server = _status(error), f"LangSmith at {client.api_url}"
    if status in _ABSENT:
        return _absent(text, client)
    # Without a key the client of the second API does not even ask.
    if not client.api_key and (status in _DENIED or isinstance(error, TypeError)):
        return InputError(f"{text}: LANGSMITH_API_KEY is not set; set it to the key of the workspace that has the run")
    if status in _DENIED:
        keys = "LANGSMITH_API_KEY, and LANGSMITH_WORKSPACE_ID where the key has several workspaces"
        return UnavailableError(f"{text}: {server} refuses the key ({status}); check {keys}")
    if status is not None:
        remedy = "try again later" if status in _BUSY else _NEWER
        return UnavailableError(f"{text}: {server} answers {status}; {remedy}")
    if any(isinstance(cause, OSError) for cause in _causes(error)):
        return UnavailableError(f"{text}: {server} cannot be reached ({_cause(error)}); check LANGSMITH_ENDPOINT")
    said = f"answers what its SDK does not understand ({type(error).__name__})"
    return UnavailableError(f"{text}: {server} {said}; {_NEWER}")


def _absent(text: str, client: Any) -> InputError:
    where = "the id, LANGSMITH_ENDPOINT and LANGSMITH_WORKSPACE_ID, and LANGSMITH_PROJECT where no address names it"
    return InputError(f"{text}: LangSmith at {client.api_url} has no such run; check {where}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _status(error: BaseException) -> int | None:
    """Return the HTTP status behind a fault; none where no answer came."""
    answers = (getattr(one, "response", None) for one in _causes(error))
    return next((answer.status_code for answer in answers if answer is not None), None)


def _cause(error: BaseException) -> str:
    """Return the innermost reason: what is around it repeats the request, and a part of the key."""
    named = [one for one in _causes(error) if isinstance(one, OSError) and one.strerror]
    return named[-1].strerror or "" if named else type(error).__name__
