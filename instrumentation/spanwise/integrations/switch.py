"""Switches the recording of other libraries on, each as the program loads it, and off again."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

from spanwise.process import on_import
from spanwise.process.contained import contained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Library(NamedTuple):
    """A library that is recorded."""

    setting: str
    """Its name in the setting `integrations`."""
    module: str
    """What is added to; once it is loaded, `add` is called."""
    add: str
    """Module of this package and function in it, which returns what takes back what it added."""


LIBRARIES: Final = (
    Library("http_servers", "uvicorn.server", "http_servers:add_to_uvicorn"),
    Library("http_servers", "gunicorn.workers.base", "http_servers:add_to_gunicorn"),
    Library("langchain", "langchain_core.callbacks.manager", "langchain:add"),
    Library("langchain", "langchain_core.runnables.config", "langchain:add_to_langchain_contexts"),
    Library("langchain", "langgraph._internal._runnable", "langchain:add_to_langgraph_contexts"),
    Library("openai_agents", "agents.tracing", "openai_agents:add"),
    Library("openai", "openai", "openai_sdk:add_instrumentation"),
    Library("openai", "openai", "attempts:add_to_openai"),
    Library("openai", "httpx", "attempts:add_to_httpx"),
    Library("openai", "httpx2", "attempts:add_to_httpx2"),
)
_TAKING_BACK: Final = contained("taking back what was added to another library")
_waiting: Final[list[Callable[[], object]]] = []
_added: Final[list[Callable[[], object]]] = []


def start(names: Sequence[str]) -> None:
    """Record the libraries of these names in the setting `integrations`, from when they are loaded."""
    for library in LIBRARIES:
        if library.setting in names:
            act = partial(_add, library.add)
            _waiting.append(act)
            on_import.call(library.module, act)


def stop() -> None:
    """Take back what was added, and add nothing more."""
    while _waiting:
        on_import.forget(_waiting.pop())
    while _added:
        with _TAKING_BACK:
            _added.pop()()


def _add(place: str) -> None:
    module, _, function = place.partition(":")
    _added.append(getattr(import_module(f"spanwise.integrations.{module}"), function)())
