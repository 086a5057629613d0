"""Functions that are steps of a flow in tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def sleeper(seconds: float, value: Any = None) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def sleep(*_: Any) -> Any:
        await asyncio.sleep(seconds)
        return value

    return sleep


def failing(seconds: float, error: Exception) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def fail(*_: Any) -> Any:
        await asyncio.sleep(seconds)
        raise error

    return fail


async def add(*values: int) -> int:
    return sum(values) + 1
