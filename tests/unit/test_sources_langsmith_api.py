"""What names a run in LangSmith, and what is said without its SDK; tests/integration has the SDK itself."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from spanwise.errors import InputError, UnavailableError
from spanwise_profiling.load import open_run
from spanwise_profiling.sources import langsmith_api, servers
from spanwise_profiling.sources.langsmith_api import Reference

RUN = "2f1b3a8e-93a7-4b9c-9b1e-0123456789ab"
PROJECT = "7c0ffee0-0000-4000-8000-0000000000bb"
PAGE = f"https://smith.langchain.com/o/7c0ffee0-0000-4000-8000-0000000000aa/projects/p/{PROJECT}/r/{RUN}"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (f"langsmith:{RUN}", Reference(RUN)),
        (f"langsmith:{RUN.replace('-', '').upper()}", Reference(RUN)),
        ("langsmith:00f067aa0ba902b7", Reference("00000000-0000-0000-00f0-67aa0ba902b7")),
        (PAGE, Reference(RUN, PROJECT)),
        (f"{PAGE}?poll=true", Reference(RUN, PROJECT)),
        (PAGE.replace("smith.langchain.com", "ai.example/smith"), Reference(RUN, PROJECT)),
    ],
)
def test_ids_and_addresses_of_pages_name_runs(text: str, meant: Reference) -> None:
    assert langsmith_api.is_reference(text)
    assert langsmith_api.parse(text) == meant


@pytest.mark.parametrize("text", ["langsmith:", "langsmith:last", f"langsmith:{RUN[:-1]}", "langsmith:12345"])
def test_what_names_no_run_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"{text}: names no run of LangSmith; give langsmith: and the id of a run"):
        langsmith_api.parse(text)


@pytest.mark.parametrize("text", ["http://127.0.0.1:16686/trace/" + "7d1f" * 8, "https://smith.langchain.com", RUN])
def test_other_addresses_and_ids_are_none_of_its(text: str) -> None:
    assert not langsmith_api.is_reference(text)
    assert servers.is_server(text) is text.startswith("http")


def test_without_the_sdk_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langsmith", None)
    said = rf"^langsmith:{RUN}: LangSmith is read through its SDK, which is not installed; pip install 'spanwise\[lang"
    with pytest.raises(UnavailableError, match=said):
        open_run(f"langsmith:{RUN}", "nowhere")


@pytest.mark.parametrize(("said", "kept"), [("2", 2), ("7200", 60), (None, None)])
def test_a_pause_that_the_server_asks_for_is_kept_to_within_reason(said: str | None, kept: float | None) -> None:
    pytest.importorskip("urllib3")
    answer = SimpleNamespace(headers={} if said is None else {"Retry-After": said})
    assert langsmith_api._retries().get_retry_after(answer) == kept
