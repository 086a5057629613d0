"""The destinations that the settings name, each with its connection, filter and content policy.

Everything that a sending thread needs is imported here, on the thread that configures: a fork amid an import of another
thread would hang the child at the same import.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from spanwise.content.outlet import Outlet
from spanwise.destinations import langsmith
from spanwise.destinations.delivery import Delivery
from spanwise.destinations.draining import WallClock
from spanwise.destinations.over_http import HttpTransport, traces_address
from spanwise.destinations.sending import Sender
from spanwise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from spanwise.config.settings import Settings
    from spanwise.destinations.transport import Transport
    from spanwise.journal.process_ledger import Ledger

OTLP = "otlp"


def names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the destinations that are set."""
    return (*((OTLP,) if settings.endpoint else ()), *((langsmith.NAME,) if settings.langsmith_project else ()))


def transport_of(settings: Settings, name: str) -> Transport:
    """Return a connection to a destination.

    Raises:
        InputError: its address, or a key, is not set.
        UnavailableError: it needs an extra.
    """
    if name == langsmith.NAME:
        project = settings.langsmith_project
        if not project:
            raise InputError("no LangSmith project is set; set SPANWISE_LANGSMITH_PROJECT and LANGSMITH_API_KEY")
        return HttpTransport(langsmith.address(), langsmith.headers(project))
    if not settings.endpoint:
        raise InputError("no endpoint is set; set SPANWISE_ENDPOINT, such as http://127.0.0.1:4318")
    if settings.protocol == "grpc":
        from spanwise.destinations.over_grpc import GrpcTransport  # noqa: PLC0415 - an extra

        return GrpcTransport(settings.endpoint)
    return HttpTransport(traces_address(settings.endpoint))


def outlet_of(settings: Settings, name: str) -> Outlet:
    """Return what a destination gets of what is recorded."""
    if name == langsmith.NAME:
        return Outlet(
            settings.langsmith_content, settings.langsmith_drop, langsmith.translated, waits=settings.langsmith_waits
        )
    return Outlet(settings.otlp_content, settings.otlp_drop, waits=settings.otlp_waits)


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
        for name in names(settings)
    )
