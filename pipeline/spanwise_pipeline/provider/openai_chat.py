"""POST /v1/chat/completions: reading the request, and the answer in OpenAI's shapes, whole or streamed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanwise_pipeline.provider import tools
from spanwise_pipeline.provider.errors import bad_request, missing
from spanwise_pipeline.provider.fields import (
    as_list,
    as_object,
    content_text,
    optional_count,
    optional_flag,
    optional_object,
    required_text,
)
from spanwise_pipeline.provider.prompt import ROLES, Message, OutputFormat, Prompt
from spanwise_pipeline.provider.reply import reply
from spanwise_pipeline.provider.tokens import compact, slices
from spanwise_pipeline.provider.work import CREATED, Reply, digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanwise_pipeline.provider.fields import JsonObject
    from spanwise_pipeline.provider.prompt import Answer

_FINGERPRINT: Final = "fp_simulated"


def read_prompt(body: JsonObject) -> Prompt:
    """Return the prompt of a chat completion's request; raises 400 that names the field at fault."""
    model = required_text(body, "model")
    if "messages" not in body:
        raise missing("messages")
    messages = as_list(body["messages"], "messages")
    if not messages:
        raise bad_request("Invalid 'messages': empty array. Expected at least one message.", "messages", "empty_array")
    if body.get("n") not in (None, 1):
        raise bad_request("Only n = 1 is simulated.", "n", "unsupported_value")
    offered = tools.read_tools(body.get("tools"))
    return Prompt(
        model=model,
        messages=tuple(_message(as_object(m, f"messages[{i}]"), f"messages[{i}]") for i, m in enumerate(messages)),
        tools=offered,
        tool_definitions=tuple(body.get("tools") or ()),
        tool_choice=tools.read_choice(body.get("tool_choice"), offered),
        parallel_tool_calls=optional_flag(body, "parallel_tool_calls", default=True),
        output=_output(optional_object(body, "response_format")),
        max_tokens=optional_count(body, "max_completion_tokens") or optional_count(body, "max_tokens"),
    )


def _message(message: JsonObject, where: str) -> Message:
    role = required_text(message, "role", f"{where}.role")
    if role not in ROLES:
        allowed = ", ".join(ROLES)
        raise bad_request(f"Invalid value: '{role}'. Supported values: {allowed}.", f"{where}.role", "invalid_value")
    call_id = required_text(message, "tool_call_id", f"{where}.tool_call_id") if role == "tool" else None
    if role != "assistant" and message.get("content") is None:
        raise missing(f"{where}.content")
    return Message(
        role=role,
        text=content_text(message.get("content"), f"{where}.content"),
        tool_calls=tools.read_calls(message.get("tool_calls"), f"{where}.tool_calls"),
        tool_call_id=call_id,
    )


def _output(form: JsonObject) -> OutputFormat:
    kind = form.get("type", "text")
    if kind in ("text", "json_object"):
        return OutputFormat(kind)
    if kind != "json_schema":
        raise bad_request(f"Invalid value: '{kind}'.", "response_format.type", "invalid_value")
    inner = as_object(form.get("json_schema"), "response_format.json_schema")
    return OutputFormat("json_schema", as_object(inner.get("schema"), "response_format.json_schema.schema"))


@dataclass(frozen=True, slots=True)
class ChatReply(Reply):
    """A chat completion's request and its answer."""

    include_usage: bool

    def whole(self, cached: int) -> JsonObject:
        """Return the completion as one JSON body."""
        message: JsonObject = {"role": "assistant", "content": self.answer.text, "refusal": None, "annotations": []}
        if self.answer.tool_calls:
            message |= {"content": None, "tool_calls": [call.as_chat() for call in self.answer.tool_calls]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.answer.finish_reason}
        return self._envelope("chat.completion", [choice]) | {"usage": self._usage(cached)}

    def chunks(self, cached: int, ends: Sequence[int]) -> list[bytes]:
        """Return the server-sent events, one piece for each of `ends`."""
        pieces = [
            b"".join(self._event(self._delta(delta)) for delta in deltas) for deltas in _deltas(self.answer, ends)
        ]
        opening = {"role": "assistant", "content": None if self.answer.tool_calls else "", "refusal": None}
        pieces[0] = self._event(self._delta(opening)) + pieces[0]
        pieces[-1] += self._event(self._delta({}, self.answer.finish_reason))
        if self.include_usage:
            pieces[-1] += self._event(self._envelope("chat.completion.chunk", []) | {"usage": self._usage(cached)})
        pieces[-1] += b"data: [DONE]\n\n"
        return pieces

    def _delta(self, delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = self._envelope("chat.completion.chunk", [choice])
        return chunk | {"usage": None} if self.include_usage else chunk

    def _envelope(self, kind: str, choices: list[Any]) -> JsonObject:
        return {
            "id": f"chatcmpl-{self.digest}",
            "object": kind,
            "created": CREATED,
            "model": self.model,
            "choices": choices,
            "service_tier": "default",
            "system_fingerprint": _FINGERPRINT,
        }

    def _event(self, data: JsonObject) -> bytes:
        return f"data: {compact(data)}\n\n".encode()

    def _usage(self, cached: int) -> JsonObject:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }


def _deltas(answer: Answer, ends: Sequence[int]) -> Iterator[list[JsonObject]]:
    if not answer.tool_calls:
        for text in slices(answer.text, list(ends)):
            yield [{"content": text}] if text else []
        return
    for group in tools.calls_by_end(answer, ends):
        yield [delta for position in group for delta in _call_deltas(answer, position)]


def _call_deltas(answer: Answer, position: int) -> Iterator[JsonObject]:
    call = answer.tool_calls[position]
    opened = call.as_chat() | {"index": position, "function": {"name": call.name, "arguments": ""}}
    yield {"tool_calls": [opened]}
    yield {"tool_calls": [{"index": position, "function": {"arguments": call.arguments}}]}


def read(body: JsonObject, *, strict: bool) -> ChatReply:
    """Return the work that a request body asks for; raises 400 in OpenAI's form."""
    prompt = read_prompt(body)
    return ChatReply(
        prompt=prompt,
        answer=reply(prompt, strict=strict),
        digest=digest(body),
        stream=optional_flag(body, "stream"),
        include_usage=optional_flag(optional_object(body, "stream_options"), "include_usage"),
    )
