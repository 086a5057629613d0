"""The destinations that the settings name, each with its connection, filter and content policy."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spanwise.config.settings import destination
from spanwise.content.outlet import Outlet
from spanwise.destinations.delivery import Delivery
from spanwise.destinations.draining import WallClock
from spanwise.destinations.sending import Sender
from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from spanwise.config.settings import Settings
    from spanwise.destinations.transport import Transport
    from spanwise.journal.process_ledger import Ledger


def _settings_of(settings: Settings, name: str) -> Any:
    about = settings.destination(name)
    if about is None:
        raise InputError(destination(name).DESTINATION.unset)
    return about


def transport_of(settings: Settings, name: str) -> Transport:
    """Return a connection to a destination.

    Raises:
        InputError: it is not set, or a key is not.
        UnavailableError: it needs an extra.
    """
    transport: Transport = destination(name).DESTINATION.connect(_settings_of(settings, name))
    return transport


def outlet_of(settings: Settings, name: str) -> Outlet:
    """Return what a destination gets of what is recorded; raises `InputError` where it is not set."""
    about, translator = _settings_of(settings, name), destination(name).DESTINATION.translator
    translate = translator() if translator is not None else None
    return Outlet(about.content, about.drop, translate, waits=about.waits)


@contextmanager
def delivery_of(settings: Settings, name: str, patience: float) -> Generator[Delivery]:
    """Give a way to a destination on which the calling thread waits, and gives up after `patience` seconds.

    Raises:
        InputError, UnavailableError: as `transport_of`.
    """
    transport = transport_of(settings, name)
    try:
        yield Delivery(transport, WallClock(), patience=patience)
    finally:
        transport.close()


def destinations_of(
    settings: Settings, *, journaled: bool, ledger: Ledger, backlog: Callable[[], int]
) -> tuple[Sender, ...]:
    """Return a sender for each destination that is set; none has a thread before its first spans.

    Raises:
        InputError, UnavailableError: as `transport_of`.
    """
    return tuple(
        Sender(
            name, transport_of(settings, name), outlet_of(settings, name), ledger, journaled=journaled, backlog=backlog
        )
        for name, _ in settings.destinations
    )
