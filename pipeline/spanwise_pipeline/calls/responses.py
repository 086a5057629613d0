"""The Responses API: its request from messages, and a reply from the response that its last event carries."""

from __future__ import annotations

from typing import Any, Final

from spanwise_pipeline.calls.draft import Usage
from spanwise_pipeline.calls.errors import IncompleteReplyError
from spanwise_pipeline.calls.json_values import JsonObject, list_of, object_of, text_of
from spanwise_pipeline.calls.reply import Reply
from spanwise_pipeline.calls.tool_parts import ToolParts

_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponseDraft:
    """A streamed response; the last event carries it whole."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.id = ""
        self._response: JsonObject | None = None

    def add(self, event: Any) -> str:
        """Take one event and return the text that it brought."""
        told = object_of(event)
        kind = told.get("type")
        if kind in _LAST or told.get("object") == "response":  # the latter: one document in place of a stream
            self._response = object_of(told.get("response")) or told
            self.id = text_of(self._response.get("id"))
            self.usage.add(self._response.get("usage"))
        return text_of(told.get("delta")) if kind == "response.output_text.delta" else ""

    def finish(self, requested_model: str, *, done: bool) -> Reply:
        """Return the answer; a response says itself whether it is whole, whatever `done` says.

        Raises:
            IncompleteReplyError: the stream broke off, or the response failed.
        """
        del done
        response = self._response
        if response is None:
            raise IncompleteReplyError(f"the stream of {requested_model} ended without a whole response")
        if response.get("status") == "failed":
            message = text_of(object_of(response.get("error")).get("message")) or "no reason given"
            raise IncompleteReplyError(f"the response of {requested_model} failed: {message}")
        text, refusal, calls = _output(response)
        cut = object_of(response.get("incomplete_details")).get("reason") == "max_output_tokens"
        reason = "length" if cut else "tool_calls" if calls else "stop"
        return Reply(
            text, calls.finish(), reason, self.usage.input, self.usage.output, cached_tokens=self.usage.cached,
            refusal=refusal, model=text_of(response.get("model")) or requested_model,
        )  # fmt: skip


def _output(response: JsonObject) -> tuple[str, str, ToolParts]:
    texts: list[str] = []
    refusals: list[str] = []
    calls = ToolParts()
    for item in map(object_of, list_of(response.get("output"))):
        if item.get("type") == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            calls.add([{"id": item.get("call_id"), "function": function}])
        for part in map(object_of, list_of(item.get("content"))):
            texts.append(text_of(part.get("text")) if part.get("type") == "output_text" else "")
            refusals.append(text_of(part.get("refusal")))
    return "".join(texts), "".join(refusals), calls


def request_of(chat: JsonObject) -> JsonObject:
    """Return a request of the Responses API for one of chat completions, without `response_format`."""
    request: JsonObject = {"model": chat["model"], "input": [one for m in chat["messages"] for one in _items(m)]}
    if "max_tokens" in chat:
        request["max_output_tokens"] = chat["max_tokens"]
    if "metadata" in chat:
        request["metadata"] = chat["metadata"]
    if "tools" in chat:
        request["tools"] = [{"type": "function", **object_of(tool.get("function"))} for tool in chat["tools"]]
    return request


def _items(message: JsonObject) -> list[JsonObject]:
    """Return the input items of a message: a tool's result and the calls of an answer are items of their own."""
    if message.get("role") == "tool":
        output = {"call_id": message.get("tool_call_id"), "output": message.get("content") or ""}
        return [{"type": "function_call_output", **output}]
    items: list[JsonObject] = []
    if message.get("content"):
        items.append({"role": message["role"], "content": message["content"]})
    for call in map(object_of, list_of(message.get("tool_calls"))):
        function = object_of(call.get("function"))
        named = {"call_id": call.get("id"), "name": function.get("name"), "arguments": function.get("arguments")}
        items.append({"type": "function_call", **named})
    return items
