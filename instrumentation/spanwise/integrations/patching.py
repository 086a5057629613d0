"""Putting a function of ours in the place of another library's, and that one back."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def replace(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[[], None]:
    """Replace an attribute of a class or a module by what `make` makes of it; returns what puts it back.

    Where somebody has replaced ours since, that stays.

    Raises:
        AttributeError: there is no such attribute.
    """
    own = cast("Mapping[str, Any]", vars(owner))
    before, is_own = getattr(owner, name), name in own
    ours = functools.wraps(before)(make(before))
    setattr(owner, name, ours)

    def put_back() -> None:
        if own.get(name) is not ours:
            return
        if is_own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)

    return put_back
