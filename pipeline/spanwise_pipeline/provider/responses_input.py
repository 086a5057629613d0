"""Reading POST /v1/responses: its items and tools as the messages and functions that a reply is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise_pipeline.provider.fields import JsonObject
    from spanwise_pipeline.provider.prompt import Role


def read_prompt(body: JsonObject) -> Prompt:
    """Return the prompt of a response's request; raises 400 that names the field at fault."""
    model = required_text(body, "model")
    for name in ("previous_response_id", "conversation", "background"):
        if body.get(name):
            raise bad_request(f"'{name}' is not simulated: nothing is stored.", name, "unsupported_parameter")
    if body.get("input") is None:
        raise missing("input")
    offered = tools.read_tools(body.get("tools"), nested=False)
    return Prompt(
        model=model,
        messages=tuple(_messages(body)),
        tools=offered,
        tool_definitions=tuple(body.get("tools") or ()),
        tool_choice=tools.read_choice(body.get("tool_choice"), offered, nested=False),
        parallel_tool_calls=optional_flag(body, "parallel_tool_calls", default=True),
        output=_output(optional_object(optional_object(body, "text"), "format")),
        max_tokens=optional_count(body, "max_output_tokens"),
    )


def _messages(body: JsonObject) -> Iterator[Message]:
    if body.get("instructions"):
        yield Message("system", content_text(body["instructions"], "instructions"))
    if isinstance(body["input"], str):
        yield Message("user", body["input"])
        return
    calls: list[JsonObject] = []
    for i, entry in enumerate(as_list(body["input"], "input")):
        item = as_object(entry, f"input[{i}]")
        if item.get("type") == "function_call":
            calls.append(_call(item, f"input[{i}]"))
            continue
        # Calls that stand together were one assistant's message.
        if calls:
            yield Message("assistant", "", tuple(calls))
            calls = []
        yield from _item(item, f"input[{i}]")
    if calls:
        yield Message("assistant", "", tuple(calls))


def _call(item: JsonObject, where: str) -> JsonObject:
    call_id = required_text(item, "call_id", f"{where}.call_id")
    function = {"name": required_text(item, "name", f"{where}.name"), "arguments": item.get("arguments", "")}
    return {"id": call_id, "type": "function", "function": function}


def _item(item: JsonObject, where: str) -> Iterator[Message]:
    kind = item.get("type", "message")
    if kind == "function_call_output":
        call_id = required_text(item, "call_id", f"{where}.call_id")
        yield Message("tool", content_text(item.get("output"), f"{where}.output"), tool_call_id=call_id)
    elif kind == "message":
        yield Message(_role(item, where), content_text(item.get("content"), f"{where}.content"))
    elif kind != "reasoning":
        raise bad_request(f"Items of type '{kind}' are not simulated.", f"{where}.type", "unsupported_value")


def _role(item: JsonObject, where: str) -> Role:
    role: Any = required_text(item, "role", f"{where}.role")
    if role not in ROLES or role == "tool":
        raise bad_request(f"Invalid value: '{role}'.", f"{where}.role", "invalid_value")
    return cast("Role", role)


def _output(form: JsonObject) -> OutputFormat:
    kind = form.get("type", "text")
    if kind in ("text", "json_object"):
        return OutputFormat(kind)
    if kind != "json_schema":
        raise bad_request(f"Invalid value: '{kind}'.", "text.format.type", "invalid_value")
    return OutputFormat("json_schema", as_object(form.get("schema"), "text.format.schema"))
