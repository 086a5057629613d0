"""What a route makes of a request body: sizes for time and limits, and the answer as JSON or as a stream's bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from spanwise_pipeline.provider.draws import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_pipeline.provider.fields import JsonObject
    from spanwise_pipeline.provider.prompt import Answer, Prompt

CREATED: Final = 1_700_000_000
"""Seconds since 1970; a constant, so that the same request gives the same bytes."""


class Work(Protocol):
    """One admitted request."""

    @property
    def model(self) -> str:
        """Name of the model asked for."""
        ...

    @property
    def stream(self) -> bool:
        """Whether the answer is wanted as a stream."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """Tokens in."""
        ...

    @property
    def completion_tokens(self) -> int:
        """Tokens out."""
        ...

    @property
    def max_tokens(self) -> int | None:
        """What the request allows the answer, for the limits; None where it does not say."""
        ...

    @property
    def prefixes(self) -> Sequence[tuple[bytes, int]]:
        """Beginnings of the prompt with their tokens, for the prefix cache."""
        ...

    def whole(self, cached: int) -> JsonObject:
        """Return the answer as one JSON body; `cached` prompt tokens were cached."""
        ...

    def chunks(self, cached: int, ends: Sequence[int]) -> list[bytes]:
        """Return the stream's bytes: one piece for each of `ends`, which are the tokens sent by then."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """A prompt with its answer: the part of `Work` that chat completions and responses share."""

    prompt: Prompt
    answer: Answer
    digest: str
    """Hash of the canonical request, from which ids are made."""
    stream: bool

    @property
    def model(self) -> str:
        """Name of the model asked for."""
        return self.prompt.model

    @property
    def prompt_tokens(self) -> int:
        """Tokens in."""
        return self.prompt.tokens

    @property
    def completion_tokens(self) -> int:
        """Tokens out."""
        return self.answer.tokens

    @property
    def max_tokens(self) -> int | None:
        """What the request allows the answer."""
        return self.prompt.max_tokens

    @property
    def prefixes(self) -> Sequence[tuple[bytes, int]]:
        """Beginnings of the prompt with their tokens."""
        return self.prompt.prefixes()


def digest(body: Any) -> str:
    """Return 24 hex digits that stand for the request `body`."""
    return hashlib.sha256(canonical(body)).hexdigest()[:24]
