"""Tool definitions, choices and calls as chat completions spell them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanwise_pipeline.provider.errors import bad_request
from spanwise_pipeline.provider.fields import as_list, as_object, optional_object, required_text
from spanwise_pipeline.provider.prompt import Tool
from spanwise_pipeline.provider.tokens import json_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanwise_pipeline.provider.fields import JsonObject
    from spanwise_pipeline.provider.prompt import Answer


def read_tools(value: Any, *, nested: bool = True) -> tuple[Tool, ...]:
    """Return the functions among the tool definitions; other kinds of tools are counted but never called.

    Chat completions nest a function's name and parameters under `function`; responses do not.
    """
    found: list[Tool] = []
    for i, definition in enumerate([] if value is None else as_list(value, "tools")):
        where = f"tools[{i}]"
        tool = as_object(definition, where)
        if required_text(tool, "type", f"{where}.type") == "function":
            function = as_object(tool.get("function"), f"{where}.function") if nested else tool
            name = required_text(function, "name", f"{where}.function.name" if nested else f"{where}.name")
            found.append(Tool(name, optional_object(function, "parameters")))
    return tuple(found)


def read_choice(value: Any, offered: Sequence[Tool], *, nested: bool = True) -> str:
    """Return a tool choice as `auto`, `none`, `required` or `=NAME`."""
    if value is None:
        return "auto"
    if value in ("auto", "none", "required"):
        return str(value)
    choice = as_object(value, "tool_choice")
    name = (optional_object(choice, "function") if nested else choice).get("name")
    if choice.get("type") != "function" or name not in [tool.name for tool in offered]:
        raise bad_request(f"Tool choice {name!r} is not a function in 'tools'.", "tool_choice", "invalid_value")
    return f"={name}"


def read_calls(value: Any, where: str) -> tuple[JsonObject, ...]:
    """Return an assistant message's tool calls."""
    calls = [] if value is None else as_list(value, where)
    found = tuple(as_object(call, f"{where}[{i}]") for i, call in enumerate(calls))
    for i, call in enumerate(found):
        required_text(call, "id", f"{where}[{i}].id")
        function = as_object(call.get("function"), f"{where}[{i}].function")
        required_text(function, "name", f"{where}[{i}].function.name")
    return found


def calls_by_end(answer: Answer, ends: Sequence[int]) -> list[list[int]]:
    """Return for each of `ends` the positions of the calls whose tokens are over by then; the last takes the rest."""
    groups: list[list[int]] = [[] for _ in ends]
    for position in range(len(answer.tool_calls)):
        due = json_tokens([call.as_chat() for call in answer.tool_calls[: position + 1]])
        slot = next((i for i, end in enumerate(ends) if end >= due), len(ends) - 1)
        groups[slot].append(position)
    return groups
