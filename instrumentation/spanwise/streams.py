"""A model's stream as its reader sees it, with the chunks counted and the span ended however the reading ends.

They are objects rather than generators: a generator that was never begun runs nothing when it is collected, and an
async one needs a running loop to be closed. An object is told in `__del__`, so that an abandoned stream ends its span.
A `for` loop reads through a generator that holds the object, since that costs a chunk one call of Python's in place of
four. Nothing is attached to the context between two chunks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Generator, Iterable

T = TypeVar("T")


class _Call(Protocol):
    """What is told of chunks: the first one by a call, the others by their number."""

    chunks: int

    def chunk(self) -> None: ...


class _Reading(Generic[T]):
    """What both kinds share: counting, and ending the span once."""

    def __init__(
        self,
        source: Any,
        call: _Call,
        end: Callable[[BaseException | None], None] | None,
        on_chunk: Callable[[T], object] | None,
    ) -> None:
        self._source = source
        self._call = call
        self._end = end
        self._on_chunk = on_chunk

    def _finish(self, error: BaseException | None = None) -> None:
        if self._end is not None:
            self._end(error)

    def _seen(self, item: T) -> T:
        self._call.chunk()
        if self._on_chunk is not None:
            self._on_chunk(item)
        return item

    def __getattr__(self, name: str) -> Any:
        """Reach what else the client's stream has (its response, its request id)."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._source, name)

    def __del__(self) -> None:
        # A constructor that failed leaves an object without attributes.
        if "_end" in self.__dict__:
            self._finish()


class Stream(_Reading[T]):
    """An iterator over the chunks of `source`."""

    def __init__(
        self,
        source: Iterable[T],
        call: _Call,
        end: Callable[[BaseException | None], None] | None,
        on_chunk: Callable[[T], object] | None,
    ) -> None:
        super().__init__(source, call, end, on_chunk)
        self._left = iter(source)

    def __iter__(self) -> Generator[T]:
        """Yield the chunks that are left; whoever stops in between can go on later."""
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
            return self._seen(next(self._left))
        except StopIteration:
            self._finish()
            raise
        except BaseException as error:
            self._finish(error)
            raise

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

    def __init__(
        self,
        source: AsyncIterable[T],
        call: _Call,
        end: Callable[[BaseException | None], None] | None,
        on_chunk: Callable[[T], object] | None,
    ) -> None:
        super().__init__(source, call, end, on_chunk)
        self._next = aiter(source).__anext__

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Return the next chunk."""
        try:
            return self._seen(await self._next())
        except StopAsyncIteration:
            self._finish()
            raise
        except BaseException as error:
            self._finish(error)
            raise

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
