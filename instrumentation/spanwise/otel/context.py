"""OpenTelemetry's current context at the price of a context variable.

Its `attach` and `detach` are the same variable behind four calls, and `detach` logs where a generator is closed in
another task than it was opened in. We take the variable from the token that `attach` hands out; a host that chose
another runtime context (`OTEL_PYTHON_CONTEXT`) has no such variable, and gets the public functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable


SPAN_KEY: Final[str] = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))
"""Where the current span stands in a context."""

_probe: Any = otel_context.attach(otel_context.get_current())
otel_context.detach(_probe)
_var: Any = getattr(_probe, "var", None)  # a token of the standard library has its variable

current: Callable[[], Context] = _var.get if _var is not None else otel_context.get_current
"""Return the current context."""
attach: Callable[[Context], Any] = _var.set if _var is not None else otel_context.attach
"""Make a context current; returns what `detach` takes."""


leave: Callable[[Any], object] = _var.reset if _var is not None else otel_context.detach
"""Make current what was so before `attach`; may raise ValueError or RuntimeError in another task or thread than it."""


def detach(token: Any) -> None:
    """Do as `leave` does, or nothing where it raises."""
    try:  # noqa: SIM105 - three calls less than `suppress`
        leave(token)
    except (ValueError, RuntimeError):  # of another task or thread; detached already
        pass
