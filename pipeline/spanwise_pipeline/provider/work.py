"""What a route makes of a request body: sizes for time and limits, and the answer as JSON or as a stream's bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_pipeline.provider.fields import JsonObject


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
