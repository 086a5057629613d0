"""A streamed answer as it grows, from whatever form of chunk a provider or gateway sends.

Only what is there and of the right type is taken: a chunk without `choices`, a choice without `delta`, an empty id or a
usage of nothing leave what was known before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanwise_pipeline.calls.errors import IncompleteReplyError
from spanwise_pipeline.calls.json_values import JsonObject, list_of, object_of, text_of
from spanwise_pipeline.calls.reply import Reply
from spanwise_pipeline.calls.tool_parts import ToolParts

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Usage:
    """Tokens of a call; a count that a provider raises from chunk to chunk is taken as it stands last."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0
    reported: bool = False

    def add(self, told: Any) -> None:
        """Take the usage of one chunk."""
        usage = object_of(told)
        sent = _count(usage, "prompt_tokens", "input_tokens")
        received = _count(usage, "completion_tokens", "output_tokens")
        if sent is None and received is None:
            return
        details = object_of(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
        cached = _count(details, "cached_tokens")
        if cached is None:
            cached = _count(usage, "cached_tokens", "prompt_cache_hit_tokens")
        self.input, self.output = max(self.input, sent or 0), max(self.output, received or 0)
        self.cached = max(self.cached, cached or 0)
        written = _count(details, "cache_write_tokens", "cache_creation_tokens")
        self.cache_written = max(self.cache_written, written or 0)
        made = object_of(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
        self.reasoning = max(self.reasoning, _count(made, "reasoning_tokens") or 0)
        self.reported = True


@dataclass(slots=True)
class Draft:
    """One answer, chunk by chunk."""

    text: list[str] = field(default_factory=list[str])
    reasoning: list[str] = field(default_factory=list[str])
    refusal: list[str] = field(default_factory=list[str])
    calls: ToolParts = field(default_factory=ToolParts)
    usage: Usage = field(default_factory=Usage)
    finish_reason: str = ""
    id: str = ""
    model: str = ""
    ended: bool = False
    """Whether a chunk of usage without choices came, which is the last one by the API's rules."""
    _choice: Any = None
    """Number of the choice that is read; some gateways do not begin at 0."""

    def add(self, chunk: Any) -> str:
        """Take one chunk and return the text that it brought."""
        told = object_of(chunk)
        self.id = self.id or text_of(told.get("id"))
        self.model = self.model or text_of(told.get("model"))
        self.usage.add(told.get("usage") or object_of(told.get("x_groq")).get("usage"))
        choices = list(self._choices(told.get("choices")))
        if not choices and self.usage.reported and told.get("usage"):
            self.ended = True
        return "".join([self._take(choice) for choice in choices])

    def _choices(self, choices: Any) -> Iterator[JsonObject]:
        for entry in list_of(choices):
            choice = object_of(entry)
            number = choice.get("index") or 0
            if self._choice is None:
                self._choice = number
            if number == self._choice:
                yield choice

    def _take(self, choice: JsonObject) -> str:
        delta = object_of(choice.get("delta") or choice.get("message"))
        if not choice.get("delta") and isinstance(choice.get("text"), str):
            delta = {"content": choice["text"]}
        text = content_text(delta.get("content"))
        if text:
            self.text.append(text)
        self.reasoning.append(text_of(delta.get("reasoning_content") or delta.get("reasoning")))
        self.refusal.append(text_of(delta.get("refusal")))
        self.calls.add(delta.get("tool_calls"))
        self.calls.add_function(delta.get("function_call"))
        self.finish_reason = text_of(choice.get("finish_reason")) or self.finish_reason
        self.usage.add(choice.get("usage"))
        return text

    def finish(self, requested_model: str, *, done: bool) -> Reply:
        """Return the answer.

        Args:
            requested_model: named in errors.
            done: the provider said that nothing more comes.

        Raises:
            IncompleteReplyError: the stream broke off.
            json.JSONDecodeError: the arguments of a tool call are broken.
        """
        if not self.finish_reason:
            if not (done or self.ended) or not (self.text or self.calls):
                raise IncompleteReplyError(f"the stream of {requested_model} ended without a finish reason")
            self.finish_reason = "tool_calls" if self.calls else "stop"  # some gateways leave it out
        if self.finish_reason == "error":
            raise IncompleteReplyError(f"the stream of {requested_model} ended with an error of the provider")
        return Reply(
            "".join(self.text),
            self.calls.finish(),
            self.finish_reason,
            self.usage.input,
            self.usage.output,
            cached_tokens=self.usage.cached,
            reasoning="".join(self.reasoning),
            refusal="".join(self.refusal),
            model=self.model or requested_model,
        )


def content_text(content: Any) -> str:
    """Return the text of a delta's content: a text, or a list of parts of which the text parts count."""
    if isinstance(content, str):
        return content
    parts = [object_of(part) for part in list_of(content)]
    return "".join(text_of(part.get("text")) for part in parts if part.get("type") in (None, "text", "output_text"))


def _count(fields: JsonObject, *names: str) -> int | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return int(value)
    return None
