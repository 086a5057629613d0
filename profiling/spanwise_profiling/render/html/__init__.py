"""One HTML file that carries a profile to somebody who has neither spanwise nor the recording."""

from spanwise_profiling.render.html.document import report

__all__ = ["report"]
