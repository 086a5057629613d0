"""Requests that are made to hurt the simulated provider get a clear 4xx, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from support.asgi import Answer, request

from spanwise.testing import run_virtual
from spanwise_pipeline.provider import server
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.exchange import LARGEST_BODY
from spanwise_pipeline.provider.profile import Profile


def asked(body: Any, path: str = "/v1/chat/completions", **more: Any) -> Answer:
    return run_virtual(lambda: request(create_app(Profile("test")), path, body, **more))[0]


def chat(text: str = "a = 1\nState a.", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize("digits", [19, 400, 5000])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "seed"])
def test_an_integer_of_very_many_digits_is_a_bad_request(name: str, digits: int) -> None:
    body = json.dumps(chat())[:-1] + f', "{name}": ' + "9" * digits + "}"

    answer = asked(body.encode())

    assert answer.status == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_the_largest_integer_that_fits_is_taken() -> None:
    assert asked(chat(max_tokens=2**63 - 1)).status == 200


def facts(count: int, more: str = "") -> str:
    return "\n".join(f"fact_{n} = {n}" for n in range(count)) + f"\nState every fact.\n{more}"


@pytest.mark.slow
def test_very_many_facts_take_time_that_grows_with_them_and_no_faster() -> None:
    began = time.process_time()
    answer = asked(chat(facts(20_000)))
    seconds = time.process_time() - began

    assert answer.status == 200
    assert len(answer.json()["choices"][0]["message"]["content"].splitlines()) == 20_000
    assert seconds < 5.0  # it took the square of it: half a minute


@pytest.mark.slow
def test_more_prose_than_a_reply_can_have_is_a_bad_request_that_says_so() -> None:
    answer = asked(chat(facts(1000, "Use about 200 words for each fact.")))

    assert answer.status == 400
    assert "200 words for each of 1000 facts; the simulation writes at most 50000" in answer.json()["error"]["message"]


def test_a_body_that_is_too_large_is_refused_before_all_of_it_is_read() -> None:
    read = [0]

    async def main() -> int:
        async def receive() -> Any:
            read[0] += 1
            return {"type": "http.request", "body": b"x" * 1_000_000, "more_body": True}

        statuses: list[int] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": [], "query_string": b""}
        await create_app(Profile("test"))(scope, receive, send)
        return statuses[0]

    assert run_virtual(main)[0] == 413
    assert read[0] <= LARGEST_BODY / 1_000_000 + 1


@pytest.mark.slow
def test_others_are_served_while_a_large_request_is_read() -> None:
    async def main() -> list[str]:
        app = create_app(Profile("test"), speed=1000.0)
        order: list[str] = []

        async def one(name: str, text: str) -> None:
            await request(app, "/v1/chat/completions", chat(text, max_tokens=5))
            order.append(name)

        await asyncio.gather(one("large", facts(20_000)), one("small", "a = 1\nState a."))
        return order

    assert asyncio.run(main()) == ["small", "large"]


@pytest.mark.parametrize(
    ("headers", "served"),
    [
        ({"host": "127.0.0.1:8080"}, True),
        ({"host": "localhost"}, True),
        ({"host": "[::1]:8080"}, True),
        ({"host": "desk.localhost:80", "origin": "http://localhost:3000"}, True),
        ({}, True),
        ({"host": "attacker.example"}, False),
        ({"host": "127.0.0.1.attacker.example"}, False),
        ({"host": "10.0.0.1:8080"}, False),
        ({"host": "localhost", "origin": "https://attacker.example"}, False),
        ({"host": "localhost", "origin": "null"}, False),
        ({"host": "[::1"}, False),
    ],
)
def test_a_server_on_a_loopback_address_serves_programs_of_this_machine(
    headers: dict[str, str], *, served: bool
) -> None:
    app = server._Guarded(create_app(Profile("test")))

    answer = run_virtual(lambda: request(app, "/v1/models", method="GET", headers=headers))[0]

    assert answer.status == (200 if served else 403)
    if not served:
        assert "is not served" in answer.json()["error"]["message"]
