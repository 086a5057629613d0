from __future__ import annotations

import base64
import math
import struct
from typing import Any

import pytest
from support.asgi import Answer, request

from spanwise.testing.virtual_clock import run_virtual
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.embeddings import vector
from spanwise_pipeline.provider.profile import Model, Profile


def ask(**body: Any) -> Answer:
    model = Model(time_to_first_token_s=1.0, time_per_token_s=9.0, prefill_s_per_1k_tokens=1000.0)
    app = create_app(Profile("test", default_model=model, embedding_dimension=64))
    return run_virtual(lambda: request(app, "/v1/embeddings", {"model": "e", **body}))[0]


def product(one: list[float], two: list[float]) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))


def test_vectors_have_length_one_and_the_dimension_asked_for() -> None:
    for dimension in (1, 2, 64, 1000):
        assert len(vector("some text", dimension)) == dimension
        assert math.hypot(*vector("some text", dimension)) == pytest.approx(1)


def test_texts_that_share_words_are_nearer() -> None:
    query = vector("price of solar power", 256)

    assert product(query, vector("Solar power prices and the price index", 256)) > 0.4
    assert abs(product(query, vector("cats sleep all day", 256))) < 0.3


def test_an_embedding_comes_as_floats_and_as_base64() -> None:
    floats = ask(input=["one", "two"]).json()
    packed = ask(input="two", encoding_format="base64").json()["data"][0]["embedding"]

    assert [entry["index"] for entry in floats["data"]] == [0, 1]
    assert struct.unpack("<64f", base64.b64decode(packed)) == pytest.approx(floats["data"][1]["embedding"], abs=1e-7)


def test_tokens_are_counted_and_paid_as_prefill() -> None:
    answer = ask(input=["12345678", "1"])

    assert answer.json()["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert answer.ended_at == pytest.approx(1.0 + 3.0)
    assert ask(input=[1, 2, 3, 4]).json()["usage"]["prompt_tokens"] == 4


def test_fewer_dimensions_may_be_asked_for() -> None:
    assert len(ask(input="x", dimensions=8).json()["data"][0]["embedding"]) == 8


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [""]}, "input[0]"),
        ({"input": [{}]}, "input[0]"),
        ({"input": "x", "dimensions": 65}, "dimensions"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(body: dict[str, Any], param: str) -> None:
    answer = ask(**body)

    assert (answer.status, answer.json()["error"]["param"]) == (400, param)
