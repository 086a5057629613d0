"""A user's folder of documents: their passages, the index over them, and searching it.

A passage is a paragraph of a document in plain text or Markdown; the first one has the document's title in front. A
search first embeds what is new or changed in the folder that it looks in. What was indexed is found by the passage's
text, so that a document that is moved or edited costs only the passages that changed. The index is kept in `.index`
below the folder.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanwise.errors import InputError, nearest
from spanwise_pipeline import fetch, file_hash
from spanwise_pipeline.systems.orchestrator.vectors import VectorIndex

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from spanwise_pipeline import Clock, ModelClient, Pool
    from spanwise_pipeline.systems.orchestrator.flags import OrchestratorFlags

EMBEDDING_MODEL: Final = "orchestrator-embed"
READ_SECONDS: Final = 0.6
"""System seconds that the drive takes to hand over a document."""
_INDEX: Final = ".index"
_KINDS: Final = frozenset({".md", ".txt"})
_VECTORS: Final = "passages.voyager"
_PASSAGES: Final = "passages.json"
_BATCHES_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was read."""

    path: str
    """Below the user's folder, with `/`."""
    text: str
    sha256: str


class Embedder:
    """Turns texts into vectors, in batches, or one after another where a batch is a single text."""

    def __init__(self, models: ModelClient, flags: OrchestratorFlags) -> None:
        self._models = models
        self._batch = flags.embedding_batch

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vector of each text, in order."""
        at_once = 1 if self._batch == 1 else _BATCHES_AT_ONCE
        return await self._models.embed(model=EMBEDDING_MODEL, texts=texts, batch=self._batch, at_once=at_once)


class Library:
    """The documents of one user.

    Args:
        folder: holds documents in subfolders, as plain text or Markdown.
        embedder: makes vectors.
        drive: a pool for what blocks on the folder.
        clock: system time.
    """

    def __init__(self, folder: Path, embedder: Embedder, drive: Pool, clock: Clock) -> None:
        self._folder = folder
        self._embedder = embedder
        self._drive = drive
        self._clock = clock
        self._passages: dict[str, int] = {}
        """Text of a passage to its number in the index."""
        self._index = VectorIndex()
        self._indexing: dict[str, asyncio.Lock] = {}
        self._read: dict[str, Document] = {}
        self._written: list[str] = []
        """Since the last time that these were indexed."""

    def begin(self) -> None:
        """Begin a task: documents are read anew."""
        self._read.clear()

    async def search(self, query: str, folder: str, limit: int) -> list[str]:
        """Return the paths of at most `limit` documents of a folder, those nearest to the query first."""
        return await fetch("documents", {"query": query, "folder": folder, "limit": limit}, lambda: self._search(
            query, folder, limit
        ))  # fmt: skip

    async def index_written(self) -> None:
        """Embed what is new in the folders that were written to."""
        for folder in sorted({path.rpartition("/")[0] for path in self._written}):
            await self._indexed(folder, [])
        self._written.clear()

    async def read(self, path: str) -> Document:
        """Return a document's text; what was read once stays the same for the rest of the task.

        Raises:
            InputError: there is no such document in the user's folder; names the nearest one.
        """
        if path not in self._read:
            self._read[path] = await fetch("drive", {"path": path}, lambda: self._drive.run(self._load, path))
        return self._read[path]

    async def write(self, path: str, text: str) -> None:
        """Write a document of the user's folder; a reader never sees half of it."""
        await self._drive.run(self._store, path, text)
        self._written.append(path)

    async def changed(self) -> list[str]:
        """Return the documents that were read and are not the same any more."""
        return await self._drive.run(self._changed)

    async def save(self) -> None:
        """Keep the index for the next time."""
        await self._drive.run(self._save)

    async def open(self) -> None:
        """Take over the index that was kept, before the first search; one that cannot be read is made anew."""
        await self._drive.run(self._open)

    async def _search(self, query: str, folder: str, limit: int) -> list[str]:
        found, vectors = await self._indexed(folder, [query])
        here = {self._passages[text]: path for text, path in found.items()}
        ranked = [here[number] for number, _ in self._index.nearest(vectors[0]) if number in here]
        return list(dict.fromkeys(ranked))[:limit]

    async def _indexed(self, folder: str, queries: list[str]) -> tuple[dict[str, str], list[list[float]]]:
        """Embed queries and what is new in a folder together, one at a time for each folder.

        Returns the folder's passages with the paths of their documents, and the vectors of the queries.
        """
        async with self._indexing.setdefault(folder, asyncio.Lock()):
            found = await self._drive.run(self._passages_of, folder)
            new = [text for text in found if text not in self._passages]
            vectors = await self._embedder.embed([*queries, *new]) if queries or new else []
            numbers = range(len(self._passages), len(self._passages) + len(new))
            self._index.add(numbers, vectors[len(queries) :])
            self._passages.update(zip(new, numbers, strict=True))
        return found, vectors[: len(queries)]

    def _passages_of(self, folder: str) -> dict[str, str]:
        """Return each passage of a folder with the path of its document."""
        root = self._inside(folder)
        if not root.is_dir():
            names = [path.name for path in self._folder.iterdir() if path.is_dir()]
            raise InputError(f"{folder}: no such folder of the user; {nearest(folder, names)}")
        found: dict[str, str] = {}
        for path in _documents(root):
            name = path.relative_to(self._folder).as_posix()
            found |= dict.fromkeys(passages(path.read_text(encoding="utf-8")), name)
        return found

    def _load(self, path: str) -> Document:
        self._clock.sleep_in_thread(READ_SECONDS)
        file = self._inside(path)
        if not file.is_file():
            names = [found.relative_to(self._folder).as_posix() for found in _documents(self._folder)]
            raise InputError(f"{path}: no such document of the user; {nearest(path, names)}")
        return Document(path, file.read_text(encoding="utf-8"), file_hash(file))

    def _store(self, path: str, text: str) -> None:
        file = self._inside(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)

    def _inside(self, path: str) -> Path:
        file = (self._folder / path).resolve()
        if not file.is_relative_to(self._folder.resolve()):
            raise InputError(f"{path}: leads out of the user's folder; give a path below it")
        return file

    def _changed(self) -> list[str]:
        return [path for path, document in sorted(self._read.items()) if self._now(path) != document.sha256]

    def _now(self, path: str) -> str | None:
        file = self._inside(path)
        return file_hash(file) if file.is_file() else None

    def _save(self) -> None:
        """Write the vectors, then what they are of, so that a reader finds both or sees that they do not match."""
        kept = self._folder / _INDEX
        kept.mkdir(exist_ok=True)
        self._index.save(kept / f"{_VECTORS}.new")
        about: dict[str, Any] = {"model": EMBEDDING_MODEL, "passages": self._passages}
        (kept / f"{_PASSAGES}.new").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        for name in (_VECTORS, _PASSAGES):
            (kept / f"{name}.new").replace(kept / name)

    def _open(self) -> None:
        about = self._folder / _INDEX / _PASSAGES
        if self._passages or not about.exists():
            return
        try:
            kept: Mapping[str, Any] = json.loads(about.read_text(encoding="utf-8"))
            index = VectorIndex.load(self._folder / _INDEX / _VECTORS)
            known = {str(text): int(number) for text, number in kept["passages"].items()}
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError):  # what is no index is made anew
            return
        if kept["model"] == EMBEDDING_MODEL and len(index) == len(known):
            self._passages, self._index = known, index


def _documents(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in _KINDS)


def passages(text: str) -> list[str]:
    """Return the paragraphs of a document, its title (a first line with `#`) in front of the first one."""
    title, *paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()] or [""]
    if not title.startswith("#"):
        return [part for part in (title, *paragraphs) if part]
    return [f"{title}\n{paragraphs[0]}", *paragraphs[1:]] if paragraphs else [title]
