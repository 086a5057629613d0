"""Calls of the OpenAI SDK in an unchanged program: one span a call, with its tokens, its error and its attempts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from support.pages import ROOT
from support.provider_process import provider

from spanwise.journal import reader
from spanwise_pipeline.provider.profile import Failures, Model, Profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord

SCRIPT = ROOT / "tests" / "support" / "openai_calls.py"
PROFILE = Profile(
    "calls",
    models={
        "sim-small": Model(time_to_first_token_s=0.01, time_per_token_s=0.0005),
        "slow": Model(time_to_first_token_s=0.01, time_per_token_s=0.1),
        "broken": Model(time_to_first_token_s=0.01, failures=Failures(error_500=1.0)),
        "dropped": Model(time_to_first_token_s=0.01, time_per_token_s=0.001, failures=Failures(drop=1.0)),
    },
    strict_models=True,
)


class Call(NamedTuple):
    """What is recorded of a call."""

    operation: object
    has_tokens: bool
    error: object = None
    attempts: tuple[object, ...] = ()


CHAT: Final = Call("chat", has_tokens=True)
LEFT: Final = Call("chat", has_tokens=False)
RETRIED: Final = Call("chat", has_tokens=False, error="InternalServerError", attempts=("500", "500"))
EXPECTED: Final = {
    "chat": CHAT, "raw": CHAT, "parse": CHAT, "tools": CHAT, "responses": CHAT,
    "embeddings": Call("embeddings", has_tokens=True), "refused": Call("chat", has_tokens=False, error="NotFoundError"),
    "retried": RETRIED, "own": CHAT,
    "exhausted": CHAT, "broken_off": LEFT, "abandoned": LEFT._replace(error="_OTHER"), "failed": LEFT,
    "responses_stream": CHAT,
    "async_chat": CHAT, "async_responses": CHAT, "async_embeddings": Call("embeddings", has_tokens=True),
    "async_exhausted": CHAT, "async_failed": LEFT,
    "async_cancelled": LEFT._replace(error="CancelledError"), "async_retried": RETRIED,
}  # fmt: skip


CONTENT: Final = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY"}
BROKEN: Final = ("failed", "async_failed")
"""Streams that the provider breaks off; each version of the SDK has an error of its own for it."""


def call_of(span: SpanRecord, spans: list[SpanRecord]) -> Call:
    attempts = [one for one in spans if one.parent_id == span.span_id and one.name == "attempt"]
    error = span.attributes.get("error.type")
    return Call(
        span.attributes["gen_ai.operation.name"], "gen_ai.usage.input_tokens" in span.attributes,
        None if error is None else str(error).rpartition(".")[2],
        tuple(one.attributes["error.type"] for one in attempts),
    )  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with provider(tmp_path_factory.mktemp("provider"), PROFILE) as address:
        yield address


@pytest.mark.parametrize(("version", "broken"), [("2", "RemoteProtocolError"), ("3", "APIConnectionError")])
def test_every_form_of_call_is_recorded_once(tmp_path: Path, url: str, version: str, broken: str) -> None:
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    variables |= {"PYTHONPATH": str(ROOT / ".venv" / "openai2")} if version == "2" else CONTENT
    done = subprocess.run(
        [sys.executable, "-m", "spanwise_cli", "run", str(SCRIPT), url], cwd=tmp_path, env=variables,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    spans = list(reader.read(tmp_path / ".spanwise"))
    agents = {span.span_id: str(span.attributes["gen_ai.agent.name"]) for span in spans if "invoke_agent" in span.name}
    found: defaultdict[str, list[Call]] = defaultdict(list)
    for span in spans:
        if span.attributes.get("gen_ai.operation.name") in {"chat", "embeddings"}:
            found[agents[span.parent_id or ""]].append(call_of(span, spans))
    expected = EXPECTED | {name: EXPECTED[name]._replace(error=broken) for name in BROKEN}
    assert dict(found) == {name: [call] for name, call in expected.items()}
    assert {agents.get(span.parent_id or "") for span in spans if span.name == "execute_tool beside"} == {"exhausted"}
    messages = [span for span in spans if "gen_ai.input.messages" in span.attributes]
    assert (len(messages) > 0) is (version == "3")
    pauses = [span for span in spans if span.attributes.get("spanwise.wait.kind") == "retry_backoff"]
    assert [0.2 < span.duration_ns / 1e9 < 5 for span in pauses] == [True, True]
