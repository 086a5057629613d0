"""Cuts texts that are too long: JSON stays JSON, every cut says how much is missing, and no secret is cut in half.

In JSON the longest strings are cut first, then the middle of long lists goes, since the first messages and the last
ones explain a call. Half a secret would no longer be recognised as one, so a cut goes in front of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    Cut = Callable[[str, int], int]

_SHORTEST: Final = 64
_DEEPEST: Final = 60


def plain_cut(_: str, limit: int) -> int:
    """Return where to cut a text without secrets: at the limit."""
    return limit


def truncated(text: str, limit: int, cut: Cut = plain_cut) -> str:
    """Return `text` with at most `limit` characters, or little more where what says so needs them; JSON stays JSON.

    Args:
        text: any text, or a JSON object or list.
        limit: in characters.
        cut: returns where a text may be cut at or before a limit.
    """
    if len(text) <= limit:
        return text
    if text[:1] in "[{":
        import msgspec  # noqa: PLC0415 - 6 ms, and only where a text is cut

        try:
            return _json(msgspec.json.decode(text), limit, len(text), cut)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            pass  # it only looked like JSON
    return _shortened(text, limit, cut)


def _shortened(text: str, limit: int, cut: Cut) -> str:
    end = cut(text, limit)
    return f"{text[:end]}…[{len(text) - end} characters more]"


def _json(value: Any, limit: int, length: int, cut: Cut) -> str:
    import msgspec  # noqa: PLC0415 - as above

    longest = max(_SHORTEST, limit // 2)
    items = max(1, limit // 8)
    while True:
        value = _cut_inside(value, longest, items, cut, 0)
        encoded = msgspec.json.encode(value).decode()
        if len(encoded) <= limit:
            return encoded
        if longest <= _SHORTEST and items <= 1:
            return msgspec.json.encode({"truncated": True, "characters": length}).decode()
        longest, items = max(_SHORTEST, longest // 4), items if longest > _SHORTEST else max(1, items // 4)


def _cut_inside(value: Any, longest: int, items: int, cut: Cut, depth: int) -> Any:
    if depth > _DEEPEST:
        return None
    if isinstance(value, str):
        return value if len(value) <= longest + _SHORTEST else _shortened(value, longest, cut)
    if isinstance(value, list):
        members = cast("list[object]", value)
        if len(members) > 2 * items:
            members = members[:items] + members[-items:]
        return [_cut_inside(one, longest, items, cut, depth + 1) for one in members]
    if isinstance(value, dict):
        pairs = list(cast("dict[str, Any]", value).items())[: 2 * items + 8]
        return {key[:256]: _cut_inside(one, longest, items, cut, depth + 1) for key, one in pairs}
    return value
