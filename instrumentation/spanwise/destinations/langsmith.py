"""LangSmith over its OTLP route: its settings, its address and its key. `langsmith_spans` translates the spans."""

# No `from __future__ import annotations`: a setting is what its annotation says, so the annotations are evaluated.

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from spanwise.config.declaration import Setting
from spanwise.content.policy import SAME
from spanwise.destinations.destination import Content, Destination, Drop, Waits
from spanwise.errors import InputError

if TYPE_CHECKING:
    from spanwise.destinations.destination import Translate
    from spanwise.destinations.transport import Transport

DEFAULT_ENDPOINT: Final = "https://api.smith.langchain.com"


class Settings(NamedTuple):
    """What LangSmith is sent."""

    project: Annotated[
        str | None,
        Setting(
            str,
            "the name of a project",
            "project of [LangSmith](destinations.md#langsmith) to send to, with the key in `LANGSMITH_API_KEY`",
        ),
    ] = None
    content: Content = SAME
    drop: Drop = ()
    waits: Waits = False


def address() -> str:
    """Return where spans are posted to: below `LANGSMITH_ENDPOINT`, or at LangSmith's own."""
    endpoint = os.environ.get("LANGSMITH_ENDPOINT", "").strip() or DEFAULT_ENDPOINT
    return f"{endpoint.rstrip('/')}/otel/v1/traces"


def headers(project: str) -> Mapping[str, str]:
    """Return key, project and, where the key belongs to several, workspace.

    Raises:
        InputError: `LANGSMITH_API_KEY` is not set.
    """
    key = os.environ.get("LANGSMITH_API_KEY", "").strip()
    if not key:
        raise InputError(f"LANGSMITH_API_KEY is not set; set it to send to the project {project!r}, or unset that")
    workspace = os.environ.get("LANGSMITH_WORKSPACE_ID", "").strip()
    return {"x-api-key": key, "Langsmith-Project": project} | ({"X-Tenant-Id": workspace} if workspace else {})


def _is_set(settings: Settings) -> bool:
    return bool(settings.project)


def _connect(settings: Settings) -> "Transport":
    from spanwise.destinations.over_http import HttpTransport  # noqa: PLC0415 - the HTTP client takes 60 ms to load

    return HttpTransport(address(), headers(settings.project or ""))


def _translator() -> "Translate":
    from spanwise.destinations import langsmith_spans  # noqa: PLC0415 - only where something is sent

    return langsmith_spans.translated


def _shown(settings: Settings) -> str:
    return f"langsmith (project {settings.project})"


DESTINATION: Final = Destination[Settings](
    is_set=_is_set,
    connect=_connect,
    shown=_shown,
    unset="no LangSmith project is set; set SPANWISE_LANGSMITH_PROJECT and LANGSMITH_API_KEY",
    remedy="check LANGSMITH_ENDPOINT and LANGSMITH_API_KEY",
    translator=_translator,
)
