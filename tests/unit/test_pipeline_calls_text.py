"""An answer's text can be followed while it comes, and a client's connections can be bounded."""

from __future__ import annotations

import dataclasses
from typing import Any

import httpx2
import pytest

from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, Fallback, Hedging, ModelClient, Retries
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Failures, Model, Profile

PROMPT = [{"role": "user", "content": "a = 1\nState a.\nUse about 60 words for each fact."}]
SLOW = Model(time_per_token_s=0.005)


def client(profile: Profile, **settings: Any) -> ModelClient:
    return ModelClient(
        base_url="http://in-process/v1", api_key="k", clock=Clock(), transport=InProcessTransport(create_app(profile)),
        **settings,
    )  # fmt: skip


def followed(profile: Profile, **settings: Any) -> tuple[list[tuple[str, int]], str]:
    """The pieces that were told, and the answer's text."""
    pieces: list[tuple[str, int]] = []

    async def main() -> str:
        models = client(profile, **settings)
        reply = await models.chat(
            model="m", messages=PROMPT, on_text=lambda text, number: pieces.append((text, number))
        )
        await models.close()
        return reply.text

    return pieces, run_virtual(main)[0]


def test_the_pieces_of_an_answer_are_told_as_they_come() -> None:
    pieces, text = followed(Profile("calm", default_model=SLOW))

    assert len(pieces) > 20
    assert "".join(piece for piece, _ in pieces) == text
    assert {number for _, number in pieces} == {1}


def test_an_answer_that_begins_again_is_told_under_the_next_number() -> None:
    dropping = dataclasses.replace(SLOW, failures=Failures(drop=0.6))
    pieces, text = followed(Profile("flaky", default_model=dropping), retries=Retries(attempts=20), seed=3)

    numbers = sorted({number for _, number in pieces})
    assert len(numbers) > 1
    assert "".join(piece for piece, number in pieces if number == numbers[-1]) == text
    for number in numbers[:-1]:
        assert text.startswith("".join(piece for piece, n in pieces if n == number))


def test_a_model_that_stands_in_has_a_number_of_its_own() -> None:
    dropping = dataclasses.replace(SLOW, failures=Failures(drop=1.0))
    profile = Profile("flaky", default_model=SLOW, models={"m": dropping})
    pieces, text = followed(profile, retries=Retries(attempts=1), fallback=Fallback(models=("other",)))

    assert {number for _, number in pieces} == {1, 2}
    assert "".join(piece for piece, number in pieces if number == 2) == text


def test_following_is_refused_with_hedging_where_two_answers_come_at_once() -> None:
    async def main() -> None:
        models = client(Profile("calm"), hedging=Hedging())
        with pytest.raises(ValueError, match="on_text cannot follow hedged requests"):
            await models.chat(model="m", messages=PROMPT, on_text=lambda _text, _number: None)
        await models.close()

    run_virtual(main)


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ({}, (100, 50)),
        ({"pooled": False}, (100, 0)),
        ({"max_connections": 7, "kept_connections": 3}, (7, 3)),
        ({"max_connections": None, "kept_connections": 3, "pooled": False}, (None, 0)),
    ],
)
def test_connections_are_bounded_as_the_client_was_told(
    settings: dict[str, Any], limits: tuple[int | None, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int | None, int | None]] = []
    made = httpx2.Limits

    def limited(**given: Any) -> Any:
        seen.append((given["max_connections"], given["max_keepalive_connections"]))
        return made(**given)

    monkeypatch.setattr(httpx2, "Limits", limited)

    async def main() -> None:
        await client(Profile("calm"), **settings).close()

    run_virtual(main)
    assert seen == [limits]


@pytest.mark.parametrize("labelled", [False, True])
def test_the_simulated_provider_draws_embeddings_by_the_seed_and_others_get_no_such_field(*, labelled: bool) -> None:
    profile = Profile("noisy", default_model=Model(sigma=0.5))

    def seconds(seed: int) -> float:
        async def main() -> None:
            models = client(profile, seed=seed, label_requests=labelled)
            await models.embed(model="m", texts=["text"])
            await models.close()

        return run_virtual(main)[1]

    assert (seconds(1) != seconds(2)) is labelled
