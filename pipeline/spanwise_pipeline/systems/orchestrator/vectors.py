"""Vectors of passages and the nearest ones to a query: an HNSW graph by the voyager library.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World
graphs" (2016). Built with a fixed seed in one thread, so that the same passages give the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_THREADS = 1


class VectorIndex:
    """Unit vectors by number; the first ones decide how many dimensions they have."""

    def __init__(self) -> None:
        self._graph: Any = None

    def __len__(self) -> int:
        """Return how many vectors it holds."""
        return 0 if self._graph is None else len(self._graph)

    def add(self, numbers: Sequence[int], vectors: Sequence[Sequence[float]]) -> None:
        """Add vectors under numbers of their own.

        Raises:
            ValueError: a vector has another dimension than those before.
        """
        if not vectors:
            return
        import numpy as np  # noqa: PLC0415 - loads only where vectors are used

        if self._graph is None:
            voyager = _library()
            self._graph = voyager.Index(voyager.Space.Cosine, num_dimensions=len(vectors[0]))
        rows = np.asarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self._graph.num_dimensions:  # noqa: PLR2004 - rows and columns
            raise ValueError(f"the index holds vectors of {self._graph.num_dimensions} numbers, not {rows.shape[-1]}")
        self._graph.add_items(rows, ids=list(numbers), num_threads=_THREADS)

    def nearest(self, vector: Sequence[float]) -> list[tuple[int, float]]:
        """Return all numbers with their cosine distance (0 to 2), the nearest first."""
        if self._graph is None:
            return []
        import numpy as np  # noqa: PLC0415 - as above

        query = np.asarray(vector, dtype=np.float32)
        count = len(self._graph)
        numbers, distances = self._graph.query(query, k=count, num_threads=_THREADS, query_ef=count)
        return [(int(number), float(distance)) for number, distance in zip(numbers, distances, strict=True)]

    def save(self, path: Path) -> None:
        """Write the index to a file; an empty one writes nothing."""
        if self._graph is not None:
            self._graph.save(str(path))

    @classmethod
    def load(cls, path: Path) -> VectorIndex:
        """Read an index; where there is no file, it is empty."""
        index = cls()
        if path.exists():
            index._graph = _library().Index.load(str(path))
        return index


def _library() -> Any:
    try:
        import voyager  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise UnavailableError(
            "the vector index needs the package voyager; install it with: pip install 'spanwise[pipeline]'"
        ) from None
    return voyager
