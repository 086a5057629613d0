from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.asgi import request

from spanwise.testing.virtual_clock import run_virtual
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.instructions import MalformedInstructionError
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.provider.prompt import Message, OutputFormat, Prompt
from spanwise_pipeline.provider.reply import reply
from spanwise_pipeline.provider.tokens import slices, tokens

PIECES = st.sampled_from([
    "Compute x: ", "Conclude d: ", "State ", "Title: ", "Use about ", "Call the tools ", "a", "b = ", "1e400", "0", "/",
    "(", ")", ",", " if ", "; else ", "majority of ", "round(", "'", '"', "\\", " == ", " and ", "not ", ".", "\n", "-",
    "9" * 400, "é",
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=25).map("".join)
NAMES = st.sampled_from([
    "type", "properties", "items", "enum", "minItems", "$ref", "anyOf", "a", "role", "content", "name", "function",
    "json_schema", "schema", "include_usage", "agent",
])  # fmt: skip
WORDS = st.sampled_from(["object", "array", "integer", "function", "json_schema", "user", "tool", "required", "#/a"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS
JSON: Any = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
ASKED = [{"role": "user", "content": "a = 1\nCall the tools f.\nState a."}]
BODIES = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.just(ASKED) | JSON},
    optional={
        "tools": JSON, "tool_choice": JSON, "response_format": JSON, "stream": st.booleans(),
        "metadata": JSON, "seed": JSON, "max_tokens": JSON, "stream_options": JSON, "dimensions": JSON, "text": JSON,
    },
)  # fmt: skip
SCHEMAS = JSON.map(lambda value: {"type": "function", "function": {"name": "f", "parameters": {"properties": value}}})


@settings(deadline=None, derandomize=True)
@given(TEXTS)
def test_any_text_is_answered_or_refused(text: str) -> None:
    for output in (OutputFormat(), OutputFormat("json_object")):
        with contextlib.suppress(MalformedInstructionError):
            reply(Prompt("m", (Message("user", text),), output=output))


@settings(deadline=None, derandomize=True)
@given(TEXTS)
def test_without_strictness_any_text_is_answered(text: str) -> None:
    assert isinstance(reply(Prompt("m", (Message("user", text),)), strict=False).text, str)


@settings(deadline=None, derandomize=True)
@given(st.text(), st.lists(st.integers(0, 30)))
def test_slices_at_any_ends_are_the_beginning_of_the_text(text: str, ends: list[int]) -> None:
    pieces = slices(text, [*sorted(ends), tokens(text) + 30])

    assert "".join(pieces) == text


@settings(deadline=None, derandomize=True)
@given(BODIES | st.tuples(BODIES, SCHEMAS).map(lambda pair: pair[0] | {"tools": [pair[1]]}))
def test_any_body_is_answered_or_refused_with_400(body: dict[str, Any]) -> None:
    app = create_app(Profile("p"))

    for path in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
        given_body = body if path.endswith("completions") else body | {"input": body["messages"]}
        answer, _ = run_virtual(lambda path=path, sent=given_body: request(app, path, sent))  # type: ignore[misc]
        assert answer.status in (200, 400)
