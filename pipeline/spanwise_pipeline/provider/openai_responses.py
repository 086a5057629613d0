"""POST /v1/responses: the answer in OpenAI's shapes, whole or as the events that its client puts together."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanwise_pipeline.provider import tools
from spanwise_pipeline.provider.fields import optional_flag
from spanwise_pipeline.provider.reply import reply
from spanwise_pipeline.provider.responses_input import read_prompt
from spanwise_pipeline.provider.tokens import compact, slices
from spanwise_pipeline.provider.work import CREATED, Reply, digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_pipeline.provider.fields import JsonObject
    from spanwise_pipeline.provider.prompt import ToolCall


@dataclass(frozen=True, slots=True)
class ResponseReply(Reply):
    """A response's request and its answer."""

    body: JsonObject
    """The request, whose settings a response repeats."""

    def whole(self, cached: int) -> JsonObject:
        """Return the response as one JSON body."""
        status = "incomplete" if self.answer.finish_reason == "length" else "completed"
        return self._response(status, self._output(status), self._usage(cached))

    def chunks(self, cached: int, ends: Sequence[int]) -> list[bytes]:
        """Return the server-sent events, one piece for each of `ends`."""
        writer = _Events()
        opened = self._response("in_progress", [], None)
        start = writer.write("response.created", response=opened) + writer.write(
            "response.in_progress", response=opened
        )
        pieces = self._call_events(writer, ends) if self.answer.tool_calls else self._text_events(writer, ends)
        final = self.whole(cached)
        pieces[0] = start + pieces[0]
        pieces[-1] += writer.write(f"response.{final['status']}", response=final)
        return pieces

    def _text_events(self, writer: _Events, ends: Sequence[int]) -> list[bytes]:
        item_id = f"msg_{self.digest}"
        place = {"item_id": item_id, "output_index": 0, "content_index": 0}
        opened: JsonObject = {
            "id": item_id,
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        head = writer.write("response.output_item.added", output_index=0, item=opened)
        head += writer.write("response.content_part.added", **place, part=_part(""))
        pieces = [
            writer.write("response.output_text.delta", **place, delta=text, logprobs=[]) if text else b""
            for text in slices(self.answer.text, list(ends))
        ]
        text = self.answer.text
        done = self._output("incomplete" if self.answer.finish_reason == "length" else "completed")[0]
        pieces[-1] += writer.write("response.output_text.done", **place, text=text, logprobs=[])
        pieces[-1] += writer.write("response.content_part.done", **place, part=_part(text))
        pieces[-1] += writer.write("response.output_item.done", output_index=0, item=done)
        return [head + pieces[0], *pieces[1:]]

    def _call_events(self, writer: _Events, ends: Sequence[int]) -> list[bytes]:
        groups = tools.calls_by_end(self.answer, ends)
        return [b"".join(self._one_call(writer, position) for position in group) for group in groups]

    def _one_call(self, writer: _Events, position: int) -> bytes:
        done = self._call_item(position, self.answer.tool_calls[position])
        place = {"item_id": done["id"], "output_index": position}
        opened = done | {"status": "in_progress", "arguments": ""}
        return (
            writer.write("response.output_item.added", output_index=position, item=opened)
            + writer.write("response.function_call_arguments.delta", **place, delta=done["arguments"])
            + writer.write("response.function_call_arguments.done", **place, arguments=done["arguments"])
            + writer.write("response.output_item.done", output_index=position, item=done)
        )

    def _output(self, status: str) -> list[JsonObject]:
        if self.answer.tool_calls:
            return [self._call_item(i, call) for i, call in enumerate(self.answer.tool_calls)]
        return [
            {
                "id": f"msg_{self.digest}",
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": [_part(self.answer.text)],
            }
        ]

    def _call_item(self, position: int, call: ToolCall) -> JsonObject:
        return {
            "id": f"fc_{self.digest}_{position}",
            "type": "function_call",
            "status": "completed",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
        }

    def _response(self, status: str, output: list[JsonObject], usage: JsonObject | None) -> JsonObject:
        def asked(name: str, default: object) -> object:
            value = self.body.get(name)
            return default if value is None else value

        return {
            "id": f"resp_{self.digest}",
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": asked("instructions", None),
            "max_output_tokens": asked("max_output_tokens", None),
            "model": self.model,
            "output": output,
            "parallel_tool_calls": self.prompt.parallel_tool_calls,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": False,
            "temperature": asked("temperature", 1.0),
            "text": asked("text", {"format": {"type": "text"}}),
            "tool_choice": asked("tool_choice", "auto"),
            "tools": asked("tools", []),
            "top_p": asked("top_p", 1.0),
            "truncation": "disabled",
            "usage": usage,
            "user": None,
            "metadata": asked("metadata", {}),
        }

    def _usage(self, cached: int) -> JsonObject:
        return {
            "input_tokens": self.prompt_tokens,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": self.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


class _Events:
    """Writes one stream's events, numbered."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def write(self, kind: str, **fields: object) -> bytes:
        data = {"type": kind, **fields, "sequence_number": next(self._numbers)}
        return f"event: {kind}\ndata: {compact(data)}\n\n".encode()


def _part(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def read(body: JsonObject, *, strict: bool) -> ResponseReply:
    """Return the work that a request body asks for; raises 400 in OpenAI's form."""
    prompt = read_prompt(body)
    return ResponseReply(
        prompt=prompt,
        answer=reply(prompt, strict=strict),
        digest=digest(body),
        stream=optional_flag(body, "stream"),
        body=body,
    )
