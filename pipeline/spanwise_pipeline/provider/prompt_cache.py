"""The provider's prefix cache: documented state of the process, off unless the profile turns it on.

A request's messages are looked up as ever longer beginnings, by hash. They are remembered when the request arrives.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_pipeline.provider.profile import PromptCache

MAX_ENTRIES: Final = 100_000


class PrefixCache:
    """Beginnings of prompts that this process has seen, the oldest forgotten first."""

    def __init__(self, settings: PromptCache) -> None:
        self._settings = settings
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def look_up(self, prefixes: Sequence[tuple[bytes, int]]) -> int:
        """Return the tokens of the longest beginning seen before, 0 for none, and remember them all."""
        if not self._settings.enabled:
            return 0
        usable = [(key, tokens) for key, tokens in prefixes if tokens >= self._settings.min_tokens]
        cached = max((tokens for key, tokens in usable if key in self._seen), default=0)
        for key, _ in usable:
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > MAX_ENTRIES:
            self._seen.popitem(last=False)
        return cached
