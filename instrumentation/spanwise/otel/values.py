"""What becomes of an attribute's value when it is set: a scalar is kept, all else is copied into plain data.

Nothing that a value does may reach the host: a `__str__` that raises, a list that holds itself and ten megabytes of
text cost the value its detail. A copy is taken at once, since the host may change a list after it was set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from spanwise.process.contained import contained

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST: Final = 1 << 20
"""Characters or bytes of one value; what is longer is cut off."""
MOST: Final = 10_000
"""Elements of one sequence or mapping."""
DEEPEST: Final = 8
"""Levels of sequences and mappings in each other; a cycle ends there."""
LONG: Final = 256
"""Texts up to this many characters are nothing to count."""
TOO_DEEP: Final = "<too deep>"

_OTLP_BITS: Final = 63
_WRITTEN_BITS: Final = 10_000
"""Python refuses to write integers of more than 4,300 digits; these have 3,011."""
_SCALARS: Final = frozenset({bool, int, float, type(None)})


_CLEANING: Final = contained("reading an attribute's value")


def clean(value: Any, longest: int = LONGEST) -> Any:
    """Return `value` as plain data: none, bool, int, float, str, bytes, tuples and dicts of these; never raises."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind is str:
        return value if len(value) <= longest else value[:longest]
    if kind in _SCALARS:
        return value
    with _CLEANING:
        return _cleaned(value, longest, 0)
    return f"<unprintable {kind.__qualname__}>"


def weight_of(value: Any) -> int:
    """Return about how many bytes a value takes beyond what an ordinary attribute does."""
    match value:
        case str() | bytes():
            return len(value) if len(value) > LONG else 0
        case tuple() | list():  # before what asks the classes of all mappings
            return sum([LONG // 4 + weight_of(one) for one in cast("Sequence[Any]", value)])
        case Mapping():
            pairs = cast("Mapping[str, Any]", value)
            return sum(LONG + weight_of(one) for one in pairs.values())
        case _:
            return 0


def text(value: Any) -> str:
    """Return a name as text; never raises."""
    if type(value) is str:
        return value
    plain = clean(value)
    if type(plain) is int:
        plain = _whole(plain)
    return plain if type(plain) is str else str(plain)


def _cleaned(value: Any, longest: int, depth: int) -> Any:  # noqa: PLR0911 - one case a type
    match value:
        case None | bool():
            return value
        case str():  # subclasses, too: their own methods are not asked
            return str.__str__(value[:longest] if len(value) > longest else value)
        case int():
            return _whole(int.__int__(value))
        case float():
            return float.__float__(value)
        case bytes() | bytearray() | memoryview():
            return bytes(cast("bytes", value)[:longest])
        case Mapping() | Sequence() if depth >= DEEPEST:
            return TOO_DEEP
        case Mapping():
            pairs = _items(value)  # pyright: ignore[reportUnknownArgumentType]
            return {_key(key): _cleaned(one, longest, depth + 1) for key, one in _first(pairs)}
        case Sequence():
            return tuple(_cleaned(one, longest, depth + 1) for one in _first(value))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return str(value)[:longest]


def _whole(number: int) -> int | str:
    """Return a number that OTLP can carry; a larger one as text, as far as Python writes it out."""
    bits = number.bit_length()
    if bits <= _OTLP_BITS:
        return number
    return str(number) if bits <= _WRITTEN_BITS else f"<integer of {bits} bits>"


def _items(mapping: Mapping[Any, Any]) -> Iterable[tuple[Any, Any]]:
    return mapping.items()


def _first(elements: Iterable[Any]) -> Iterator[Any]:
    return islice(elements, MOST)


def _key(key: Any) -> str:
    return key if type(key) is str else str(key)
