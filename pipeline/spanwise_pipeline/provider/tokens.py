"""The token rule, the same everywhere: a token is four bytes of UTF-8, begun ones included.

Real tokenizers need a download and differ by model; this rule can be checked by hand and by every client.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, Final

BYTES_PER_TOKEN: Final = 4
PROMPT_OVERHEAD: Final = 3
MESSAGE_OVERHEAD: Final = 4


def tokens(text: str) -> int:
    """Return the tokens of `text`: its UTF-8 bytes over four, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def compact(value: Any) -> str:
    """Return `value` as JSON without spaces, keys in their own order, characters unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_tokens(value: Any) -> int:
    """Return the tokens of `value` as compact JSON; 0 for nothing or an empty list."""
    return tokens(compact(value)) if value else 0


def cut(text: str, limit: int) -> str:
    """Return the longest beginning of `text` that has at most `limit` tokens and ends on a whole character."""
    return text.encode()[: limit * BYTES_PER_TOKEN].decode(errors="ignore")


def slices(text: str, ends: list[int]) -> list[str]:
    """Split `text` where its first `ends[i]` tokens are over; the pieces up to the last end make up the text."""
    positions = [0, *(len(cut(text, end)) for end in ends)]
    return [text[start:end] for start, end in pairwise(positions)]
