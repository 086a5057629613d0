"""Spans of what returns text: model calls, tools, searches."""

from __future__ import annotations

from spanwise import conventions as c
from spanwise.content import fingerprints
from spanwise.helpers.base import SpanHelper


class Returning(SpanHelper):
    """A span of something that returns text: a hash of what was asked and of what came back, if no more of it."""

    def _fingerprints(self) -> bool:
        return self._hashes and self._span.is_recording()

    def _asked(self, name: str, value: object) -> None:
        if self._fingerprints() and (digest := fingerprints.of_value(name, value)) is not None:
            self.set(c.REQUEST_HASH, digest)

    def _returned(self, text: str, *more: object) -> None:
        if not self._fingerprints():
            return
        if (digest := fingerprints.of_value(text, more) if more else fingerprints.of_text(text)) is not None:
            self.set(c.RESPONSE_HASH, digest)
        usage = self._above.usage
        new = usage.texts.written(self.context.span_id, text) if usage is not None else None
        if new is not None:
            self.set(c.RESPONSE_NEW_CHARACTERS, new)
