"""What a destination is: a module with a class `Settings` and an object `DESTINATION`.

The module is named in `spanwise.config.settings.DESTINATIONS`. It is loaded wherever settings are read, so it imports
an HTTP client and the like inside `connect` and `translator`. `configure` calls these two on its own thread: a fork
amid an import of another thread would hang the child at the same import.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, TypeAlias, TypeVar

from spanwise.config.declaration import Setting, rules, truth
from spanwise.content.policy import KINDS, destination_kinds

if TYPE_CHECKING:
    from spanwise.destinations.transport import Transport

Translate: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Rewrites a span, as OTLP/JSON, into the dialect of a destination."""

Content: TypeAlias = Annotated[
    tuple[str, ...],
    Setting(
        destination_kinds,
        f"same, none, or some of {', '.join(KINDS)}",
        "kinds of [content](privacy.md) that it gets of those recorded; `same`: all of them",
        separator=",",
        empty="none",
    ),
]
Drop: TypeAlias = Annotated[
    tuple[str, ...],
    Setting(
        rules,
        "rules, one a line, such as name=step * or http.route=/health*",
        "[rules](destinations.md#what-a-destination-gets) of spans that it does not get, one a line",
    ),
]
Waits: TypeAlias = Annotated[
    bool,
    Setting(truth, "true or false", "whether it gets [waits](#waits), each as a span `wait {resource}`"),
]

S = TypeVar("S")


class Destination(NamedTuple, Generic[S]):
    """How spans get to one destination."""

    is_set: Callable[[S], bool]
    """Whether the settings say that spans are sent there."""
    connect: "Callable[[S], Transport]"
    """Makes the connection; raises `InputError` or `UnavailableError` where that is not possible."""
    shown: Callable[[S], str]
    """How it is called in front of people, without secrets."""
    unset: str
    """What to answer who wants to send there while it is not set."""
    remedy: str
    """What to mend where it takes nothing."""
    translator: Callable[[], Translate] | None = None
    """Returns what rewrites spans for it, where it speaks a dialect of its own."""
