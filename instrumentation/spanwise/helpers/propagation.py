"""A trace across processes: `inject` writes it into the headers of a message or request, `extract` reads it there.

The format is that of OpenTelemetry's propagators (`OTEL_PROPAGATORS`; by default W3C Trace Context and Baggage). An
address outside gets the trace only where its host is on the list `propagate_to`, since ids and names are the host's own
business; a model provider never gets baggage, which can hold anything.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import urlsplit

from opentelemetry.context import Context

from spanwise import conventions as c
from spanwise.otel.context import SPAN_KEY, attach, current, detach
from spanwise.otel.values import text
from spanwise.process.contained import contained
from spanwise.recording import scope as scopes
from spanwise.recording import telemetry as active_telemetry

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_BAGGAGE: Final = "baggage"
_NAMES: Final = (c.WORKFLOW_NAME, c.AGENT_NAME, c.RUN_ID)
_LONGEST: Final = 256
_MODEL_OPERATIONS: Final = frozenset({"chat", "embeddings", "generate_content", "text_completion"})
_PROVIDERS: Final = (
    "api.openai.com", "*.openai.azure.com", "*.services.ai.azure.com", "api.anthropic.com",
    "*generativelanguage.googleapis.com", "*aiplatform.googleapis.com", "bedrock-runtime*.amazonaws.com",
    "api.mistral.ai", "api.cohere.*", "api.groq.com", "api.together.*", "openrouter.ai", "api.deepseek.com", "api.x.ai",
    "api.fireworks.ai", "api.perplexity.ai", "api.cerebras.ai", "*.huggingface.co", "api.replicate.com",
)  # fmt: skip
"""Hosts that are model providers whatever span is current."""


_PROPAGATING: Final = contained("carrying a trace on")


def inject(carrier: MutableMapping[str, str], *, url: str | None = None) -> None:
    """Write the current trace into `carrier`, so that `extract` continues it elsewhere; never raises.

    Args:
        carrier: headers of a message or request, or any mapping of texts.
        url: where a request goes to. Its host must be on the list `propagate_to`, or nothing is written; baggage is
            left out where it is a model provider, or a model call is the current span. Without one, `carrier` goes to
            a queue or a process of one's own, and gets everything.
    """
    with _PROPAGATING:
        carrier.update(_headers(current(), url))


def extract(carrier: Mapping[str, str]) -> Remote:
    """Return the trace that `inject` wrote into `carrier`; `with` it, spans continue that trace. Never raises.

    Names of headers may be in any case. Take it only from senders that you trust: ids and names are taken as they come.
    """
    with _PROPAGATING:
        headers = {text(name).lower(): text(value) for name, value in carrier.items()}
        from opentelemetry import propagate  # noqa: PLC0415 - it looks for propagators among all that is installed

        return Remote(_scoped(propagate.extract(headers, Context())))
    return Remote(Context())


class Remote:
    """A trace begun elsewhere: a context manager inside which spans continue it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        """OpenTelemetry's context, to hand to its own functions."""

    def __enter__(self) -> Self:
        """Make it current."""
        self._token: Any = attach(Context({**current(), **self.context}))
        return self

    def __exit__(self, *_: object) -> None:
        """Make current what was so before."""
        detach(self._token)


def _headers(context: Context, url: str | None) -> dict[str, str]:
    if url is not None and not _is_allowed(url):
        return {}
    from opentelemetry import baggage, propagate  # noqa: PLC0415 - as above

    scope = scopes.of(context)
    for name, value in {**scope.names, c.RUN_ID: scope.run_id}.items():
        if name in _NAMES and value:
            context = baggage.set_baggage(name, _shown(value), context)
    headers: dict[str, str] = {}
    propagate.inject(headers, context)
    if url is not None and (_is_provider(urlsplit(url).hostname or "") or _in_model_call(context)):
        headers.pop(_BAGGAGE, None)
    return headers


def _shown(value: str) -> str:
    allowed = active_telemetry.content_filter()
    return (value if allowed is None else allowed.text(value))[:_LONGEST]


def _is_allowed(url: str) -> bool:
    telemetry = active_telemetry.active()
    if telemetry is None or not telemetry.settings.propagate_to:
        return False
    if any(sign <= " " or sign == "\\" for sign in url):
        return False  # what one parser takes for a user, another takes for the host
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    allowed = _matcher(telemetry.settings.propagate_to)
    return bool(host) and bool(allowed.match(host) or allowed.match(f"{host}:{port}"))


@functools.lru_cache(maxsize=16)
def _matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(one.lower()) for one in patterns))


def _is_provider(host: str) -> bool:
    return _matcher(_PROVIDERS).match(host) is not None


def _in_model_call(context: Context) -> bool:
    attributes: object = getattr(context.get(SPAN_KEY), "attributes", None)
    if not isinstance(attributes, Mapping):
        return False
    return cast("Mapping[str, object]", attributes).get(c.OPERATION_NAME) in _MODEL_OPERATIONS


def _scoped(context: Context) -> Context:
    """Return an extracted context with the names of the workflow, agent and run that its baggage speaks of."""
    from opentelemetry import baggage  # noqa: PLC0415 - as above

    said = baggage.get_all(context)
    names = {name: str(said[name])[:_LONGEST] for name in _NAMES if said.get(name)}
    if not names:
        return context
    scope = scopes.Scope(names.get(c.WORKFLOW_NAME), names.get(c.AGENT_NAME), None, names, names.get(c.RUN_ID))
    return Context({**context, scopes.KEY: scope})
