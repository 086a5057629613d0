"""Traces out of LangSmith's API: the real SDK writes and reads, a stub of the documented API is between."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
from support.command import spanwise
from support.langsmith_server import KEY, LangSmith, langsmith_server

from spanwise.errors import InputError, UnavailableError
from spanwise.journal.reader import ReadReport
from spanwise_profiling.load import open_run
from spanwise_profiling.sources import langsmith_api, recognise

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord

pytestmark = pytest.mark.slow
UNKNOWN = "7c0ffee0-0000-4000-8000-00000000dead"


@pytest.fixture
def smith(monkeypatch: pytest.MonkeyPatch) -> Generator[LangSmith]:
    utils: Any = pytest.importorskip("langsmith.utils")
    with langsmith_server() as found:
        for name in ("LANGSMITH_PROJECT", "LANGSMITH_WORKSPACE_ID", "LANGCHAIN_API_KEY", "LANGCHAIN_ENDPOINT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("LANGSMITH_ENDPOINT", found.address)
        monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
        utils.get_env_var.cache_clear()
        yield found
        utils.get_env_var.cache_clear()


def trace_by_the_sdk() -> None:
    """Write a trace as the SDK's users do: an agent that asks a model, looks something up and fails to call a tool."""
    langsmith: Any = pytest.importorskip("langsmith")
    traceable: Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]] = langsmith.traceable
    client = langsmith.Client(auto_batch_tracing=False)

    @traceable(run_type="llm", name="ChatOpenAI", metadata={"ls_model_name": "sim-1", "ls_provider": "openai"})
    def ask() -> dict[str, Any]:
        usage = {
            "input_tokens": 100,
            "output_tokens": 20,
            "total_tokens": 120,
            "input_token_details": {"cache_read": 60},
        }
        return {"role": "assistant", "content": "yes", "usage_metadata": usage}

    @traceable(run_type="retriever", name="news")
    def look_up() -> list[Any]:
        return [{"page_content": "calm", "type": "Document", "metadata": {}}]

    @traceable(run_type="tool", name="prices")
    def fail(ticker: str) -> None:
        raise TimeoutError(ticker)

    @traceable(run_type="chain", name="desk")
    def work() -> None:
        ask()
        look_up()
        try:
            fail("ACME")
        except TimeoutError:
            return

    with langsmith.tracing_context(enabled=True, client=client):
        work()
    client.close()


def id_of(smith: LangSmith, name: str = "desk") -> str:
    return str(smith.named()[name]["id"])


def exported(smith: LangSmith) -> list[SpanRecord]:
    """The spans of an export of everything that the server has."""
    return list(recognise.read_bytes(json.dumps(list(smith.runs.values())).encode(), "export.json", ReadReport()))


def read(text: str, **more: Any) -> list[SpanRecord]:
    report = ReadReport()
    found = list(langsmith_api.read(text, report, **more))
    assert (report.spans, report.skipped) == (len(found), [])
    return found


FIRST_API: dict[str, Any] = {}
BOTH: dict[str, Any] = {"ch_query_enabled": True, "sdb_query_enabled": True}
SECOND_API: dict[str, Any] = {"ch_query_enabled": False, "sdb_query_enabled": True}


@pytest.mark.parametrize("flags", [FIRST_API, BOTH, SECOND_API], ids=["first", "both", "second"])
def test_a_trace_is_read_from_each_api_as_its_export_is(smith: LangSmith, flags: dict[str, Any]) -> None:
    trace_by_the_sdk()
    smith.flags = flags
    told: list[int] = []
    assert read(f"langsmith:{id_of(smith)}", progress=told.append) == exported(smith)
    assert told == [1, 2, 3, 4]
    paths = {path.rpartition("/")[0] for _, path in smith.requests if path.startswith("/api/v2")}
    assert paths == (set() if flags is not SECOND_API else {f"/api/v2/traces/{id_of(smith)}"})


@pytest.mark.parametrize("flags", [FIRST_API, SECOND_API], ids=["first", "second"])
def test_any_run_of_a_trace_and_the_address_of_its_page_mean_the_trace(smith: LangSmith, flags: dict[str, Any]) -> None:
    trace_by_the_sdk()
    smith.flags = flags
    whole = exported(smith)
    for text in (
        f"langsmith:{id_of(smith, 'prices')}",
        f"langsmith:{id_of(smith).replace('-', '').upper()}",
        smith.page(id_of(smith)),
        smith.page(id_of(smith, "ChatOpenAI")),
    ):
        assert read(text) == whole


def test_the_second_api_is_asked_for_what_it_has() -> None:
    fields: Any = pytest.importorskip("langsmith.types.run_select_field")
    assert set(langsmith_api._SECOND) <= set(get_args(fields.RunSelectField))


def test_a_run_of_the_sdk_is_profiled_with_its_tokens_errors_and_kinds(smith: LangSmith) -> None:
    trace_by_the_sdk()
    run, recording = open_run(f"langsmith:{id_of(smith)}", "nowhere")
    assert (run.title, recording.warnings, recording.source) == ("desk", (), f"langsmith:{id_of(smith)}")
    totals = run.totals
    assert (totals.spans, totals.input_tokens, totals.output_tokens) == (4, 100, 20)
    assert (totals.llm_calls, totals.tool_calls, totals.errors) == (1, 1, 1)
    [call] = [span for _, span in run.trace.walk(*run.tops) if span.name == "ChatOpenAI"]
    assert call.attributes["gen_ai.usage.cache_read.input_tokens"] == 60
    [failed] = [span for _, span in run.trace.walk(*run.tops) if span.is_error]
    assert (failed.name, failed.attributes["error.type"]) == ("prices", "TimeoutError")


def test_the_second_api_is_read_while_an_event_loop_runs(smith: LangSmith) -> None:
    trace_by_the_sdk()
    smith.flags = SECOND_API

    async def inside() -> list[SpanRecord]:
        return read(f"langsmith:{id_of(smith)}")

    assert asyncio.run(inside()) == exported(smith)


@pytest.mark.parametrize("flags", [FIRST_API, SECOND_API], ids=["first", "second"])
def test_what_is_not_there_is_told_in_one_line(smith: LangSmith, flags: dict[str, Any]) -> None:
    smith.flags = flags
    unknown = f"langsmith:{UNKNOWN}"
    with pytest.raises(InputError, match=rf"^{unknown}: LangSmith at {smith.address} has no such run; check the id, "):
        read(unknown)


@pytest.mark.parametrize("flags", [FIRST_API, SECOND_API], ids=["first", "second"])
def test_a_key_that_is_refused_or_missing_is_told(
    smith: LangSmith, flags: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    smith.flags = flags
    monkeypatch.setenv("LANGSMITH_API_KEY", "wrong")
    with pytest.raises(UnavailableError, match=r"refuses the key \(401\); check LANGSMITH_API_KEY, and"):
        read(smith.page(UNKNOWN))
    monkeypatch.delenv("LANGSMITH_API_KEY")
    monkeypatch.setenv("LANGSMITH_CONFIG_FILE", str(tmp_path / "none.json"))
    with pytest.raises(InputError, match="LANGSMITH_API_KEY is not set; set it to the key"):
        read(smith.page(UNKNOWN))


def test_a_server_that_limits_requests_is_asked_again(smith: LangSmith, monkeypatch: pytest.MonkeyPatch) -> None:
    trace_by_the_sdk()
    monkeypatch.setattr(langsmith_api, "_TRIES", 1)  # the first one after no pause
    smith.faults.append((429, {}))
    assert read(f"langsmith:{id_of(smith)}") == exported(smith)
    smith.faults.extend([(429, {})] * 2)
    with pytest.raises(UnavailableError, match="answers 429; try again later"):
        read(f"langsmith:{id_of(smith)}")


def test_a_server_that_is_away_or_something_else_is_told(smith: LangSmith, monkeypatch: pytest.MonkeyPatch) -> None:
    smith.faults.append((400, {}))
    with pytest.raises(UnavailableError, match="answers 400; check LANGSMITH_ENDPOINT, and whether there is a newer"):
        read(f"langsmith:{UNKNOWN}")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        UnavailableError, match=r"at http://127.0.0.1:9 cannot be reached \(Connection refused\); check"
    ):
        read(f"langsmith:{UNKNOWN}")


def test_commands_take_runs_of_langsmith(smith: LangSmith, tmp_path: Path) -> None:
    trace_by_the_sdk()
    reference = f"langsmith:{id_of(smith)}"
    told = spanwise("profile", reference, "--json", folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    [run] = json.loads(told.stdout)["runs"]
    assert (run["workflow"], run["tokens"]["total"], run["span_count"]) == ("desk", 120, 4)
    taken = spanwise("import", smith.page(id_of(smith)), "--json", folder=tmp_path)
    assert (taken.returncode, json.loads(taken.stdout)["spans"]) == (0, 4)
    shown = spanwise("show", "last", "--json", folder=tmp_path)
    assert json.loads(shown.stdout)["run"]["run_id"] == run["run_id"]
    away = spanwise("profile", reference, folder=tmp_path, extra={"LANGSMITH_ENDPOINT": "http://127.0.0.1:9"})
    assert (away.returncode, away.stdout, away.stderr.count("\n")) == (4, "", 1)
    unknown = spanwise("import", f"langsmith:{UNKNOWN}", folder=tmp_path)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert f"langsmith:{UNKNOWN}: LangSmith at {smith.address} has no such run" in unknown.stderr
