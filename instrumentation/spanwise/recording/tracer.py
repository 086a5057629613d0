"""Starts spans of our own as the tracer provider's SDK would: its sampler, ids, limits, resource and processors hold.

A span that the sampler does not want is made all the same, without the sampled flag: it is measured, counted as dropped
for the reason `sampled`, and its children decide as the sampler says. What foreign code raises (a sampler, a processor)
stays here, since the host did not call it.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import TraceFlags

from spanwise import conventions as c
from spanwise.content.rebuilt import WITHHELD
from spanwise.journal.counts import STARTED
from spanwise.otel.context import SPAN_KEY
from spanwise.otel.span import SAMPLED, OwnLink, OwnSpan, Watch
from spanwise.otel.values import LONG, LONGEST, clean, weight_of
from spanwise.process import own_threads
from spanwise.process.contained import contained
from spanwise.recording.lazy_span import LazySpan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, Tracer
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import Link, SpanContext, SpanKind

    from spanwise.content.filter import ContentFilter
    from spanwise.recording.processor import RecordingProcessor

_LONGEST_REASON: Final = max(map(len, get_args(c.LinkReason)))
_RANDOM: Final = int(getattr(TraceFlags, "RANDOM_TRACE_ID", 0))
# Our own: a host that seeds `random` would get the same ids in every run, and its numbers must stay its own.
_source = random.Random()  # noqa: S311 - ids are no secrets
bits = _source.getrandbits
"""Return a number of that many random bits."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_source.seed)


_FOREIGN_PROCESSOR: Final = contained("showing a span to another processor")
_FILTERING: Final = contained("looking through a span")
_SAMPLING: Final = contained("asking the sampler")


class OwnTracer:
    """The making of spans for one recorder and one tracer of the SDK.

    Args:
        tracer: of the provider in force; what it was configured with holds for our spans, too.
        recorder: takes every span that ends.
        watch: whether processors of others are to see the spans; by default they are.
        content_filter: what of names and attributes may be recorded; without one, everything.
    """

    def __init__(
        self,
        tracer: Tracer,
        recorder: RecordingProcessor,
        watch: Watch | None = None,
        content_filter: ContentFilter | None = None,
    ) -> None:
        self._tracer = tracer
        self.scope = InstrumentationScope(c.SCOPE, "")
        self.limits: SpanLimits = getattr(tracer, "_span_limits", None) or SpanLimits()
        self.longest_text = _least(self.limits.max_attribute_length)
        self.longest_value = _least(self.limits.max_span_attribute_length)
        self.long = min(LONG, self.longest_value)
        """What is longer has to be looked at: it is cut or counted."""
        most = self.limits.max_span_attributes
        self.most_attributes = 1 << 30 if most is None else most
        most_links, most_said = self.limits.max_links, self.limits.max_link_attributes
        self.most_links = 1 << 30 if most_links is None else most_links
        self.keeps_own_links = self.longest_text >= _LONGEST_REASON and (most_said is None or most_said >= 1)
        self.lock: AbstractContextManager[Any] = (
            own_threads.RLock()
        )  # a garbage collection inside it can end an abandoned stream's span
        self.watch = watch or Watch(others=True)
        self._filter = content_filter
        self._processor = tracer.span_processor
        self._sampler: Sampler | None = None if tracer.sampler is DEFAULT_ON else tracer.sampler
        self._ids = tracer.id_generator
        self._plain_ids = type(tracer.id_generator) is RandomIdGenerator
        self._root_flags = SAMPLED | (_RANDOM if self._ids_are_random() else 0)
        self._ledger = recorder.ledger
        self.began: Callable[[ReadableSpan], object] = recorder.began
        self.take: Callable[[OwnSpan], None] = recorder.take

    @property
    def resource(self) -> Resource:
        """The provider's resource (a fork changes it)."""
        return self._tracer.resource

    def _ids_are_random(self) -> bool:
        known: Any = getattr(self._ids, "is_trace_id_random", None)
        return bool(known and known())

    def start(  # noqa: C901, PLR0917 - calls and keywords cost the hot path a tenth of a microsecond
        self,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any],
        context: Context,
        links: Sequence[Link] = (),
        start_ns: int | None = None,
    ) -> OwnSpan:
        """Start a span below the current one of `context`; `attributes` belongs to it from now on."""
        began = time.time_ns() if start_ns is None else start_ns
        weight, is_remote, long = 0, False, self.long
        for key, value in attributes.items():
            scalar: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
            if scalar is str:
                if len(value) > long:
                    attributes[key] = value[: self.longest_value]
                    weight += len(value)
            elif scalar is not bool and scalar is not int and scalar is not float:
                attributes[key] = kept = clean(value, self.longest_value)
                weight += weight_of(kept)
        if self._filter is not None and (self._sampler is not None or self.watch.others):
            name, attributes = self._allowed(self._filter, name, attributes)
            links = self._allowed_links(self._filter, links)
        parent: Any = context.get(SPAN_KEY)
        span_id = bits(64) if self._plain_ids else self._ids.generate_span_id()
        if type(parent) is OwnSpan:
            span = OwnSpan(
                self, name, kind, attributes, parent.trace_id, span_id, parent.span_id, parent.flags, began
            )  # fmt: skip
            if parent.trace_state is not None:
                span.trace_state, span.plain = parent.trace_state, False
        else:
            span = self._below_foreign(parent, OwnSpan(self, name, kind, attributes, 0, span_id, 0, 0, began))
            is_remote = span.foreign_parent is not None and span.foreign_parent.is_remote
        if weight:
            span.weight = weight
        if links or self._sampler is not None or not span.flags & SAMPLED or len(attributes) > self.most_attributes:
            self._settle(span, context, links)
        self._ledger.slots[STARTED] += 1
        if is_remote:
            self.began(span)
        if self.watch.others and not span.measured_only:
            span.is_watched = True
            with _FOREIGN_PROCESSOR:
                self._processor.on_start(span, parent_context=context)  # type: ignore[arg-type]  # it has what theirs has
        return span

    def start_lazily(self, name: str, kind: SpanKind, attributes: dict[str, Any], context: Context) -> LazySpan:
        """Start a span that is recorded once something is below it, or `announce` is called."""
        if self._filter is not None:
            name, attributes = self._allowed(self._filter, name, attributes)
        ids = bits(64) if self._plain_ids else self._ids.generate_span_id()
        span = LazySpan(self, name, kind, attributes, 0, ids, 0, 0, time.time_ns())
        self._below_foreign(context.get(SPAN_KEY), span)
        self._settle(span, context, ())
        return span

    def count_start(self) -> None:
        """Count a span that was started lazily."""
        self._ledger.slots[STARTED] += 1

    @staticmethod
    def _allowed(content_filter: ContentFilter, name: str, attributes: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return what may be recorded of a name and attributes, before a sampler or a processor of others sees them.

        Where there is neither, the recorder sees to it in its own thread.
        """
        with _FILTERING:  # a name that is no text costs its span the detail, not the host
            return content_filter.text(name), cast("dict[str, Any]", content_filter.attributes(attributes))
        return WITHHELD, {}

    @staticmethod
    def _allowed_links(content_filter: ContentFilter, links: Sequence[Link]) -> Sequence[Link]:
        with _FILTERING:
            return [content_filter.link(one) for one in links]
        return ()

    def _below_foreign(self, parent: Any, span: OwnSpan) -> OwnSpan:
        """Give a span the identity of a root, or of a child of a span that is not ours or is lazy."""
        if isinstance(parent, LazySpan):
            parent.announce()
            if not parent.is_elsewhere:
                span.trace_id, span.parent_id, span.flags = parent.trace_id, parent.span_id, parent.flags
                return span
        above: SpanContext | None = parent.get_span_context() if parent is not None else None
        if above is None or not above.is_valid:
            span.trace_id = bits(128) if self._plain_ids else self._ids.generate_trace_id()
            span.flags = self._root_flags
        else:
            span.trace_id, span.parent_id, span.flags = above.trace_id, above.span_id, int(above.trace_flags)
            span.foreign_parent, span.plain = above, False
            span.trace_state = above.trace_state or None
        return span

    def _settle(self, span: OwnSpan, context: Context, links: Sequence[Link]) -> None:
        """Do what few spans need: limits, the sampler's word, links."""
        if self._sampler is not None:
            self._sample(self._sampler, span, context, links)
        else:
            span.measured_only = not span.flags & SAMPLED
        span.keep(self.most_attributes)
        for link in links:
            if type(link) is OwnLink and link.context.is_valid:
                span.add_own_link(link)
            else:
                span.add_link(link.context, link.attributes)

    def _sample(self, sampler: Sampler, span: OwnSpan, context: Context, links: Sequence[Link]) -> None:
        """Let the sampler decide; one that fails is taken to want the span."""
        with _SAMPLING:
            result: Any = sampler.should_sample(
                context, span.trace_id, span.name, span.kind, dict(span.attributes), links
            )
            state, decision, attributes = result.trace_state, result.decision, dict(result.attributes)
            if state:
                span.trace_state, span.plain = state, False
            span.flags = (span.flags & ~SAMPLED) | (SAMPLED if decision is Decision.RECORD_AND_SAMPLE else 0)
            span.measured_only = decision is Decision.DROP
            if decision is not Decision.DROP:
                span.set_attributes(attributes)

    def before_end(self, span: OwnSpan) -> None:
        """Take out of a span what may not be recorded, before processors of others see it."""
        if self._filter is not None and not span.measured_only:
            self._filter.before_end(span)

    def announce_end(self, span: OwnSpan) -> None:
        """Show processors of others a span that has ended."""
        if not span.measured_only:
            with _FOREIGN_PROCESSOR:
                self._processor.on_end(span)


def _least(limit: int | None) -> int:
    return LONGEST if limit is None else min(limit, LONGEST)
