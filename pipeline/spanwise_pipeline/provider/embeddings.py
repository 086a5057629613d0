"""POST /v1/embeddings: deterministic unit vectors in which texts that share words are near each other.

Each word adds a few signed counts at places given by its hash (feature hashing), so retrieval over simulated vectors
finds what it should without a model.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline.provider.errors import bad_request, missing
from spanwise_pipeline.provider.fields import as_text, is_list, optional_count, required_text
from spanwise_pipeline.provider.tokens import compact, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_pipeline.provider.fields import JsonObject

_PLACES: Final = 6
_MAX_INPUTS: Final = 2048
_WORD: Final = re.compile(r"\w+")


def vector(text: str, dimension: int) -> list[float]:
    """Return the unit vector of `text` with `dimension` numbers."""
    sums = [0.0] * dimension
    for word in _WORD.findall(text.lower()) or [text]:
        digest = hashlib.sha256(word.encode()).digest()
        for start in range(0, 4 * _PLACES, 4):
            place = int.from_bytes(digest[start : start + 4], "big")
            sums[(place >> 1) % dimension] += 1.0 if place & 1 else -1.0
    length = math.sqrt(sum(value * value for value in sums))
    # Signs can cancel out in very small dimensions; a unit vector it must be all the same.
    return [value / length for value in sums] if length else [1.0, *[0.0] * (dimension - 1)]


@dataclass(frozen=True, slots=True)
class EmbeddingsWork:
    """An embeddings request."""

    model: str
    texts: tuple[str, ...]
    prompt_tokens: int
    dimension: int
    encoding: str
    stream: bool = False
    completion_tokens: int = 0
    max_tokens: int | None = None
    prefixes: Sequence[tuple[bytes, int]] = ()

    def whole(self, cached: int) -> JsonObject:
        """Return all vectors as one JSON body."""
        del cached
        vectors = [vector(text, self.dimension) for text in self.texts]
        data = [{"object": "embedding", "index": i, "embedding": self._encode(v)} for i, v in enumerate(vectors)]
        usage = {"prompt_tokens": self.prompt_tokens, "total_tokens": self.prompt_tokens}
        return {"object": "list", "data": data, "model": self.model, "usage": usage}

    def chunks(self, cached: int, ends: Sequence[int]) -> list[bytes]:
        """Return everything with the last of `ends`: embeddings are never streamed."""
        return [b""] * (len(ends) - 1) + [compact(self.whole(cached)).encode()]

    def _encode(self, values: list[float]) -> Any:
        if self.encoding == "float":
            return values
        return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def read(body: JsonObject, *, largest: int) -> EmbeddingsWork:
    """Return the work that a request body asks for; vectors have `largest` numbers, or as many as it asks for."""
    model = required_text(body, "model")
    texts, count = _inputs(body)
    dimension = optional_count(body, "dimensions") or largest
    if dimension > largest:
        raise bad_request(f"Invalid 'dimensions': at most {largest}.", "dimensions", "integer_above_max_value")
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise bad_request("Invalid 'encoding_format': float or base64.", "encoding_format", "invalid_value")
    return EmbeddingsWork(model, texts, count, dimension, encoding)


def _inputs(body: JsonObject) -> tuple[tuple[str, ...], int]:
    """Return the texts and their tokens; a list of token numbers is one text."""
    value = body.get("input")
    if value is None:
        raise missing("input")
    if not is_list(value) or _is_numbers(value):
        value = [value]
    if not 1 <= len(value) <= _MAX_INPUTS:
        raise bad_request(f"Invalid 'input': 1 to {_MAX_INPUTS} entries.", "input", "invalid_value")
    pairs = [_input(entry, f"input[{i}]") for i, entry in enumerate(value)]
    return tuple(text for text, _ in pairs), sum(count for _, count in pairs)


def _input(entry: Any, param: str) -> tuple[str, int]:
    if is_list(entry) and _is_numbers(entry):
        return " ".join(map(str, entry)), len(entry)
    text = as_text(entry, param)
    if not text:
        raise bad_request(f"Invalid '{param}': input cannot be an empty string.", param, "invalid_value")
    return text, tokens(text)


def _is_numbers(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(number, int) for number in value)
