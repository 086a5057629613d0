"""Redis as the store below caches, through `redis.asyncio`.

What is asked in one turn of the event loop goes out together, all lookups as one MGET, so that a hundred agents that
start at once cost one round trip and one connection. Leases are keys with a token, taken with NX, and renewed and given
up by scripts that look at the token.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any, Final, cast

try:
    import redis.asyncio as aioredis
except ModuleNotFoundError as missing:  # pragma: no cover - an environment without the extra
    raise ModuleNotFoundError("caches in Redis need an extra: pip install 'spanwise[redis]'") from missing

_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_RENEW: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
)
_BATCH: Final = 500

Asked = tuple[tuple[Any, ...], "asyncio.Future[Any]"]


class RedisStore:
    """A `Store` in Redis 6.2 or later.

    Args:
        url: `redis://host:port/db`, `rediss://…` or `unix://…`.
        prefix: before every key, so that several programs can share a database.
        connections: at most so many at once; who finds none waits for one.
        timeout: real seconds for connecting and for each answer.
    """

    name = "redis"

    def __init__(self, url: str, *, prefix: str = "spanwise:", connections: int = 8, timeout: float = 1.0) -> None:
        self._prefix = prefix
        pool = cast("Any", aioredis.BlockingConnectionPool).from_url(  # its own types are Unknown in part
            url, max_connections=connections, timeout=timeout, socket_timeout=timeout, socket_connect_timeout=timeout
        )
        self._client: Any = aioredis.Redis.from_pool(pool)
        self._asked: list[Asked] = []
        self._sending: set[asyncio.Task[None]] = set()

    def now(self) -> float:
        """Return Unix time."""
        return time.time()

    async def get(self, key: str) -> bytes | None:
        """Return what is stored."""
        return cast("bytes | None", await self._ask("GET", self._prefix + key))

    async def set(self, key: str, data: bytes, seconds: float) -> None:
        """Store for so many seconds."""
        await self._ask("SET", self._prefix + key, data, "PX", _milliseconds(seconds))

    async def delete(self, key: str) -> None:
        """Forget what is stored."""
        await self._ask("UNLINK", self._prefix + key)

    async def clear(self, prefix: str) -> None:
        """Forget all keys that begin so, a batch at a time."""
        batch: list[Any] = []
        async for key in self._client.scan_iter(match=f"{_escaped(self._prefix + prefix)}*", count=_BATCH):
            batch.append(key)
            if len(batch) == _BATCH:
                await self._client.unlink(*batch)
                batch.clear()
        if batch:
            await self._client.unlink(*batch)

    async def lease(self, key: str, seconds: float) -> str | None:
        """Take the sole right to make a value."""
        token = secrets.token_hex(8)
        taken = await self._ask("SET", self._prefix + key, token, "PX", _milliseconds(seconds), "NX")
        return token if taken else None

    async def renew(self, key: str, token: str, seconds: float) -> bool:
        """Keep a lease."""
        return bool(await self._ask("EVAL", _RENEW, 1, self._prefix + key, token, _milliseconds(seconds)))

    async def release(self, key: str, token: str) -> None:
        """Give a lease up."""
        await self._ask("EVAL", _RELEASE, 1, self._prefix + key, token)

    async def close(self) -> None:
        """Close the connections."""
        for task in list(self._sending):
            task.cancel()
        if self._sending:
            await asyncio.wait(list(self._sending))
        await self._client.aclose()

    async def _ask(self, *command: Any) -> Any:
        """Send a command with all others of this turn of the loop, and return its answer."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if not self._asked:
            task = asyncio.create_task(self._send())
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        self._asked.append((command, answer))
        return await answer

    async def _send(self) -> None:
        asked, self._asked = self._asked, []
        for start in range(0, len(asked), _BATCH):
            part = asked[start : start + _BATCH]
            gets = [one for one in part if one[0][0] == "GET"]
            others = [one for one in part if one[0][0] != "GET"]
            pipeline = self._client.pipeline(transaction=False)
            if gets:
                pipeline.mget([command[1] for command, _ in gets])
            for command, _ in others:
                pipeline.execute_command(*command)
            try:
                answers = await pipeline.execute(raise_on_error=False)
            except BaseException as error:
                _answer(asked[start:], [error] * len(asked[start:]))
                if isinstance(error, asyncio.CancelledError):
                    raise
                return
            if gets:
                found = answers.pop(0)
                _answer(gets, [found] * len(gets) if isinstance(found, Exception) else found)
            _answer(others, answers)


def _answer(asked: list[Asked], answers: list[Any]) -> None:
    """Hand out answers; whoever asked may be gone."""
    for (_, waiting), answer in zip(asked, answers, strict=True):
        if waiting.done():
            continue
        if isinstance(answer, asyncio.CancelledError):
            waiting.cancel()
        elif isinstance(answer, BaseException):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _escaped(pattern: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in pattern)
