"""A model's stream as its reader sees it, with the chunks counted and the span ended however the reading ends.

They are objects rather than generators: a generator that was never begun runs nothing when it is collected, and an
async one needs a running loop to be closed. Where a stream ends the span, an object of it is told in `__del__`, so that
an abandoned one does, too.
A `for` loop reads through a generator that holds the object, since that costs a chunk one call of Python's in place of
four. Nothing is attached to the context between two chunks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

T = TypeVar("T")


class _Call(Protocol):
    """What is told of chunks: the first one by a call, the others by adding to `chunks`."""

    chunks: int

    def chunk(self) -> None: ...


class _Ending:
    """The end of a span, which comes once: by a call, or when nobody can call it any more."""

    __slots__ = ("_end",)

    def __init__(self, end: Callable[[BaseException | None], None]) -> None:
        self._end = end

    def __call__(self, error: BaseException | None = None) -> None:
        self._end(error)

    def __del__(self) -> None:
        self._end(None)


class _Reading(Generic[T]):
    """What both kinds share: counting, and ending the span once."""

    _open: Any
    """What begins the reading."""

    def __init__(
        self,
        source: Any,
        call: _Call,
        end: Callable[[BaseException | None], None] | None,
        on_chunk: Callable[[T], object] | None,
    ) -> None:
        self._source = source
        self._call = call
        self._end = None if end is None else _Ending(end)
        self._on_chunk = on_chunk
        self._left = self._open(source)  # last: what cannot be read ends the span

    def _finish(self, error: BaseException | None = None) -> None:
        if self._end is not None:
            self._end(error)

    def __getattr__(self, name: str) -> Any:
        """Reach what else the client's stream has (its response, its request id)."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._source, name)


class Stream(_Reading[T]):
    """An iterator over the chunks of `source`."""

    _open: Any = iter

    def __iter__(self) -> Iterator[T]:
        """Return an iterator over the chunks that are left; whoever stops in between can go on later."""
        # In a block, that sees how the reading ends
        return self._count() if self._end is None and self._on_chunk is None else self._read()

    def _count(self) -> Generator[T]:
        call = self._call
        for item in self._left:
            if call.chunks:
                call.chunks += 1
            else:
                call.chunk()
            yield item

    def _read(self) -> Generator[T]:
        call, on_chunk = self._call, self._on_chunk
        try:
            for item in self._left:
                if call.chunks:
                    call.chunks += 1
                else:
                    call.chunk()
                if on_chunk is not None:
                    on_chunk(item)
                yield item
        except GeneratorExit:
            raise
        except BaseException as error:
            self._finish(error)
            raise
        self._finish()

    def __next__(self) -> T:
        """Return the next chunk."""
        try:
            item: T = next(self._left)
            self._call.chunk()
            if self._on_chunk is not None:
                self._on_chunk(item)
        except StopIteration:
            self._finish()
            raise
        except BaseException as error:
            self._finish(error)
            raise
        return item

    def close(self) -> None:
        """Close the source, where it can be closed, and end the span."""
        try:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()
        finally:
            self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncStream(_Reading[T]):
    """An async iterator over the chunks of `source`."""

    _open: Any = aiter

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Return the next chunk."""
        try:
            item: T = await self._left.__anext__()
            if self._call.chunks:
                self._call.chunks += 1
            else:
                self._call.chunk()
            if self._on_chunk is not None:
                self._on_chunk(item)
        except StopAsyncIteration:
            self._finish()
            raise
        except BaseException as error:
            self._finish(error)
            raise
        return item

    async def aclose(self) -> None:
        """Close the source, where it can be closed, and end the span."""
        try:
            close = getattr(self._source, "aclose", None) or getattr(self._source, "close", None)
            if close is not None:
                await close()
        finally:
            self._finish()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
