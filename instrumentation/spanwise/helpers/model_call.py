"""The span of a model call: what is asked, the answer as it streams in, tokens.

Most of it runs between two calls of a client whose own work leaves nothing of it in the processor's caches: the less of
the program it touches, the faster it is. So it is written out here in places where a call would be shorter.
"""

from __future__ import annotations

import operator
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

from opentelemetry.context import Context

from spanwise import conventions as c
from spanwise.content import fingerprints
from spanwise.content import messages as forms
from spanwise.helpers.attempts import Attempt, Attempts
from spanwise.helpers.base import TELLING, harmless
from spanwise.helpers.returning import Returning
from spanwise.helpers.streams import AsyncStream, Stream
from spanwise.otel.context import SPAN_KEY
from spanwise.otel.values import MOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence

    from spanwise.helpers.base import AttributeValue

T = TypeVar("T")
_SETTINGS: Final = (c.REQUEST_MODEL, c.REQUEST_SEED, c.REQUEST_TEMPERATURE, c.REQUEST_MAX_TOKENS)


class ModelCall(Returning):
    """A span of a model call; a stream's chunks are told to it one by one, or it reads the stream itself."""

    chunks = 0
    """How many were read so far."""
    _input_tokens = 0
    _output_tokens = 0
    _counted = False
    """Whether its tokens were added to agent and workflow."""
    _first_ns = 0
    _streamed = False
    _instructions = ""
    _attempts: Attempts | None = None

    def start(self) -> Self:
        """Start the span without making it current; end it with `end`, or let its stream do so."""
        super().start()
        self._started_ns = time.perf_counter_ns()
        return self

    def _inside(self, context: Context) -> Context:
        self._started_ns = time.perf_counter_ns()  # after the start: no chunk may seem to come after the end
        return Context({**context, SPAN_KEY: self._span})

    @harmless
    def instructions(self, text: str) -> None:
        """Record instructions that are sent beside the messages, where they are allowed; before `input`."""
        self._instructions = text
        self.content("system_instructions", c.SYSTEM_INSTRUCTIONS, [{"type": "text", "content": text}])

    def input(self, messages: Sequence[forms.Message], *, tools: Sequence[Mapping[str, Any]] = ()) -> None:
        """Record what is sent, where prompts are allowed; instructions among the messages need their own kind.

        Hashes of it are recorded where the settings allow them (`spanwise.content.fingerprints`).

        Args:
            messages: in OpenAI's form or that of the GenAI conventions.
            tools: definitions of the tools on offer.
        """
        allowed = self._filter
        if self._hashes or (allowed is not None and allowed.kinds):
            self._tell_input(messages, tools)

    @harmless
    def _tell_input(self, messages: Sequence[forms.Message], tools: Sequence[Mapping[str, Any]]) -> None:
        # a sequence of the host may be endless, and a message an object of its client
        messages = [forms.as_mapping(one) or {"content": repr(one)} for one in islice(messages, MOST)]
        if self._hashes and self._span.is_recording():
            self._compared(messages, tools)
        if tools:
            self.content("tool_definitions", c.TOOL_DEFINITIONS, tools)
        if not self.records("prompts"):
            return
        whole = self.records("system_instructions")
        sent = [one for one in messages if whole or one.get("role") not in forms.INSTRUCTING]
        self.content("prompts", c.INPUT_MESSAGES, forms.in_convention(sent))

    def _compared(self, messages: Sequence[forms.Message], tools: Sequence[Mapping[str, Any]]) -> None:
        told = [{"role": "system", "content": self._instructions}] if self._instructions else []
        settings = {name: self._attributes.get(name) for name in _SETTINGS}
        request = fingerprints.of_request(settings, [*told, *messages], tools)
        if request is None:
            return
        self.set(c.REQUEST_HASH, request.hash)
        if request.prefixes:
            self.set(c.REQUEST_PREFIX_HASHES, " ".join(request.prefixes))
        if (usage := self._above.usage) is not None:
            self.set(c.REQUEST_SOURCES, " ".join(usage.texts.read(request.texts)))

    def output(self, text: str, *, tool_calls: Sequence[forms.Message] = (), finish_reason: str = "") -> None:
        """Record the answer, where completions are allowed; `tool_calls` are in OpenAI's form."""
        allowed = self._filter
        if self._hashes or (allowed is not None and allowed.kinds):
            self._tell_output(text, tool_calls, finish_reason)

    @harmless
    def _tell_output(self, text: str, tool_calls: Sequence[forms.Message], finish_reason: str) -> None:
        tool_calls = list(islice(tool_calls, MOST))
        if self._hashes:
            self._returned(text, *tool_calls)
        if self.records("completions"):
            self.content("completions", c.OUTPUT_MESSAGES, forms.of_answer(text, tool_calls, finish_reason))

    def chunk(self) -> None:
        """Count a chunk of the stream; the first one fixes the time to first chunk."""
        if not self.chunks:
            self._first_ns = time.perf_counter_ns()
        self.chunks += 1

    def yielded(self) -> None:
        """Count a value of a decorated generator as a chunk."""
        self._streamed = True
        self.chunk()

    def usage(
        self,
        input_tokens: int | None,
        output_tokens: int | None,
        *,
        cached_tokens: int | None = None,
        cache_written_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """Record the tokens of the call and add them to agent and workflow.

        It may be told several times, as some streams do: the last counts hold. `None` is a count that is not known.

        Args:
            input_tokens: all that was sent, cached tokens included.
            output_tokens: all that was written, reasoning included.
            cached_tokens: of the input, read from the provider's prompt cache.
            cache_written_tokens: of the input, written into that cache.
            reasoning_tokens: of the output, spent on reasoning.
        """
        told: dict[str, Any] = {}
        with TELLING:  # `harmless` by hand, here and below: it is one more call
            if input_tokens is not None:
                told[c.USAGE_INPUT_TOKENS] = input_tokens
            if output_tokens is not None:
                told[c.USAGE_OUTPUT_TOKENS] = output_tokens
            if cached_tokens:
                told[c.USAGE_CACHE_READ_INPUT_TOKENS] = cached_tokens
            if cache_written_tokens:
                told[c.USAGE_CACHE_WRITE_INPUT_TOKENS] = cache_written_tokens
            if reasoning_tokens:
                told[c.USAGE_REASONING_OUTPUT_TOKENS] = reasoning_tokens
            self._span.set_attributes(told)
            sent, made = _count(input_tokens, self._input_tokens), _count(output_tokens, self._output_tokens)
            if (usage := self._above.usage) is not None:
                usage.add(sent - self._input_tokens, made - self._output_tokens, calls=0 if self._counted else 1)
            self._input_tokens, self._output_tokens, self._counted = sent, made, True

    @overload
    def stream(self, source: Iterable[T], on_chunk: Callable[[T], object] | None = None) -> Stream[T]: ...

    @overload
    def stream(self, source: AsyncIterable[T], on_chunk: Callable[[T], object] | None = None) -> AsyncStream[T]: ...

    def stream(
        self, source: Iterable[T] | AsyncIterable[T], on_chunk: Callable[[T], object] | None = None
    ) -> Stream[T] | AsyncStream[T]:
        """Return `source` with its chunks counted and its first one timed; it is read as it was.

        Inside `with`, the block ends the span. A call that was begun with `start` is ended by its stream: exhausted,
        closed, collected, cancelled or failed, with what is known by then.

        Args:
            source: what the provider's client returned; its other attributes can still be reached.
            on_chunk: called with each chunk before the reader gets it: the place to call `usage` and `response`.
        """
        self._streamed = True
        end = None if self._token is not None else self.end
        if hasattr(type(source), "__aiter__"):  # what `AsyncIterable` asks, too, from Python
            return AsyncStream(source, self, end, on_chunk)
        return Stream(source, self, end, on_chunk)

    def response(self, *, id: str, model: str, finish_reasons: Sequence[str] = ()) -> None:  # noqa: A002 - its name
        """Record what the provider said of its answer."""
        told: dict[str, AttributeValue] = {c.RESPONSE_ID: id, c.RESPONSE_MODEL: model}
        with TELLING:
            if finish_reasons:
                told[c.RESPONSE_FINISH_REASONS] = tuple(islice(finish_reasons, MOST))
            self._span.set_attributes(told)

    def attempt(self, *, beside: bool = False) -> Attempt:
        """Return a block for one request of this call, where it may take several (see `spanwise.helpers.attempts`).

        Args:
            beside: the request is sent while another one is still open, and the first answer is taken.
        """
        if self._attempts is None:
            self._attempts = Attempts(self)
        return Attempt(self._attempts, beside=beside)

    def streams(self) -> None:
        """Note that the answer is streamed."""
        self._streamed = True

    def answered_by(self, chunks: int, first_ns: int) -> None:
        """Take over how many chunks a request had, and when the first one came (performance counter)."""
        self.chunks, self._first_ns = chunks, first_ns

    def _before_end(self) -> None:
        if self._attempts is not None:
            self._attempts.end()
        if not self.chunks:
            return
        told: dict[str, AttributeValue] = {
            c.RESPONSE_TIME_TO_FIRST_CHUNK: (self._first_ns - self._started_ns) / 1e9,
            c.STREAM_CHUNKS: self.chunks,
        }
        if self._streamed and self._output_tokens:
            seconds = (time.perf_counter_ns() - self._started_ns) / 1e9
            told[c.STREAM_TOKENS_PER_SECOND] = self._output_tokens / seconds
        self._span.set_attributes(told)


def _count(told: object, before: int) -> int:
    """Return a count of tokens as an integer; `before` where it is unknown, or no number."""
    if type(told) is int:
        return told
    with TELLING:
        return before if told is None else operator.index(told)  # type: ignore[arg-type]  # what is no integer raises
    return before
