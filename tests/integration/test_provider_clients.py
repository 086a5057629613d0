from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest
import support.openai_session
from support.provider_process import LIMIT_S, provider

from spanwise_pipeline.provider.profile import Failures, Model, Profile

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.alone]

ROOT = Path(__file__).parents[2]
OPENAI_2 = ROOT / ".venv" / "openai2"
PROFILE = Profile(
    "clients",
    models={
        "sim-small": Model(time_to_first_token_s=0.5, time_per_token_s=0.01),
        "limited": Model(tokens_per_minute=1000),
        "broken": Model(failures=Failures(error_500=1.0)),
    },
    strict_models=True,
    api_key="secret",
)
SESSION = {
    "chat": {
        "streamed_is_whole": True,
        "usage_is_whole": True,
        "lines": ["a = 1", "b = two", "c is not known."],
        "json": {"a": 1, "b": "two"},
    },
    "tools": {"reason": "tool_calls", "arguments": {"ticker": "ACME", "days": 5}, "answer": "close = 7"},
    "responses": {
        "streamed_is_whole": True,
        "last": "response.completed",
        "arguments": '{"ticker":"ACME","days":5}',
    },
    "errors": {
        "instruction": "BadRequestError malformed_instruction",
        "empty": "BadRequestError empty_array",
        "model": "NotFoundError model_not_found",
        "limit": "RateLimitError rate_limit_exceeded",
        "key": "AuthenticationError invalid_api_key",
        "server": "InternalServerError None",
    },
    "embedding": [2, 256],
    "models": ["sim-small", "limited", "broken"],
}


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with provider(tmp_path_factory.mktemp("provider"), PROFILE, speed=50) as url:
        yield url


def session(base_url: str, **environment: str) -> Any:
    script = str(support.openai_session.__file__)
    done = subprocess.run(
        [sys.executable, script, base_url],
        capture_output=True, text=True, timeout=4 * LIMIT_S, check=False, env=os.environ | environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_the_official_client_3_works(base_url: str) -> None:
    assert session(base_url) == {"version": "3", **SESSION}


def test_the_official_client_2_works(base_url: str) -> None:
    if not (OPENAI_2 / "openai").is_dir():
        remedy = f"pip install --require-hashes --target {OPENAI_2.relative_to(ROOT)} -r requirements/openai2.txt"
        assert not os.environ.get("CI"), remedy
        pytest.skip(f"the 2.x client is not there; {remedy}")

    assert session(base_url, PYTHONPATH=str(OPENAI_2)) == {"version": "2", **SESSION}


def test_the_official_client_waits_as_told_and_gets_through(tmp_path: Path) -> None:
    # A request is charged 500 of the bucket's 600 tokens: the second one must wait 40 s of system time, 0.2 s here.
    model = Model(time_to_first_token_s=0.0, time_per_token_s=0.0, tokens_per_minute=600)
    message = {"role": "user", "content": "x" * 4 * 93}
    asked: dict[str, Any] = {"model": "m", "messages": [message], "max_tokens": 400}
    with (
        provider(tmp_path, Profile("limits", default_model=model), speed=200) as url,
        openai.OpenAI(base_url=url, api_key="x", max_retries=3) as client,
    ):
        answers = [client.chat.completions.with_raw_response.create(**asked) for _ in range(2)]

    assert [answer.retries_taken > 0 for answer in answers] == [False, True]
    assert answers[0].headers["x-ratelimit-remaining-tokens"] == "100"


def curl(base_url: str, *options: str) -> str:
    if shutil.which("curl") is None:
        assert not os.environ.get("CI"), "install curl"
        pytest.skip("curl is not installed")
    body = json.dumps({"model": "sim-small", "messages": support.openai_session.user("a = 1\nState a.")})
    headers = ["-H", "Content-Type: application/json", "-H", "Authorization: Bearer secret"]
    arguments = ["curl", "-sS", "--no-buffer", *options, f"{base_url}/chat/completions", *headers, "-d", body]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout


def test_curl_gets_a_whole_answer(base_url: str) -> None:
    assert json.loads(curl(base_url))["choices"][0]["message"]["content"] == "a = 1"


def test_curl_gets_a_stream(base_url: str) -> None:
    if shutil.which("curl") is None and not os.environ.get("CI"):
        pytest.skip("curl is not installed")
    body = json.dumps({"model": "sim-small", "stream": True, "messages": support.openai_session.user("Hello")})
    arguments = ["curl", "-sSN", f"{base_url}/chat/completions", "-H", "Authorization: Bearer secret", "-d", body]
    lines = subprocess.run(arguments, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout.splitlines()

    events = [json.loads(line[6:]) for line in lines if line and line != "data: [DONE]"]
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in events)
    assert lines[-2:] == ["data: [DONE]", ""]
    assert text == 'This is a simulated answer to: "Hello".'
