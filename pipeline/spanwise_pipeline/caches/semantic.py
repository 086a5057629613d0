"""Values found by meaning: inputs whose embeddings are close enough count as the same question.

Which threshold is safe depends on the embedding and on the questions; shadow mode counts how many hits would have been
wrong before anything is served.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from numpy.typing import NDArray


class Semantic:
    """An index of what a cache holds in memory.

    Args:
        embed: returns the vector of a text.
        threshold: cosine similarity from which on two texts count as the same, from 0 to 1.
        text_of: the text of inputs that is embedded; by default their JSON.
        same: names of inputs that must be equal besides.
        capacity: most vectors; the oldest one goes first.
    """

    def __init__(
        self,
        embed: Callable[[str], Awaitable[Sequence[float]]],
        *,
        threshold: float = 0.97,
        text_of: Callable[[Mapping[str, Any]], str] | None = None,
        same: Sequence[str] = (),
        capacity: int = 4096,
    ) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, this is {threshold}")
        self._embed = embed
        self._threshold = threshold
        self._text_of = text_of or _as_json
        self._same = tuple(same)
        self._capacity = capacity
        self._vectors: dict[str, tuple[str, NDArray[np.float64]]] = {}
        """Key of the value to (what must be equal, unit vector), the oldest first."""
        self.errors = 0
        """Times that embedding failed; the lookup was a miss then."""

    async def nearest(self, key: str, inputs: Mapping[str, Any]) -> str | None:
        """Return the key of the closest value that counts as the same, and remember this question's vector."""
        vector = await self._vector(inputs)
        if vector is None:
            return None
        scope = self._scope(inputs)
        keys = [known for known, (other, _) in self._vectors.items() if other == scope and known != key]
        self._vectors.pop(key, None)
        self._vectors[key] = (scope, vector)
        while len(self._vectors) > self._capacity:
            del self._vectors[next(iter(self._vectors))]
        keys = [known for known in keys if known in self._vectors and self._vectors[known][1].shape == vector.shape]
        if not keys:
            return None
        likeness = np.stack([self._vectors[known][1] for known in keys]) @ vector
        best = int(np.argmax(likeness))
        return keys[best] if likeness[best] >= self._threshold else None

    def forget(self, key: str) -> None:
        """Forget a value's vector."""
        self._vectors.pop(key, None)

    def clear(self) -> None:
        """Forget all vectors."""
        self._vectors.clear()

    async def _vector(self, inputs: Mapping[str, Any]) -> NDArray[np.float64] | None:
        try:
            vector = np.asarray(await self._embed(self._text_of(inputs)), dtype=np.float64)
        except Exception:  # noqa: BLE001 - the embedding is the caller's; without it the lookup is a miss
            self.errors += 1
            return None
        length = float(np.linalg.norm(vector))
        return vector / length if vector.ndim == 1 and length > 0 else None

    def _scope(self, inputs: Mapping[str, Any]) -> str:
        return _as_json({name: inputs.get(name) for name in self._same})


def _as_json(inputs: Mapping[str, Any]) -> str:
    return json.dumps(dict(inputs), sort_keys=True, ensure_ascii=False)
