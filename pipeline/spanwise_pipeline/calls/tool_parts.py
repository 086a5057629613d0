"""Tool calls put together from the parts of a stream.

OpenAI numbers the calls, names each once and then sends pieces of its arguments. Other providers and gateways repeat
id and name in each part, change the id from part to part, number all calls 0 or none at all, send arguments as an
object, or send the whole call again at the end. What two parts have in common decides whether they are one call. The
table of forms is in `tests/unit/test_pipeline_chunks.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from spanwise_pipeline.calls.errors import IncompleteReplyError
from spanwise_pipeline.calls.json_values import JsonObject, is_object, list_of, object_of, text_of
from spanwise_pipeline.tools import ToolCall

_decode: Final = json.JSONDecoder().raw_decode


@dataclass(slots=True)
class _Growing:
    """A call as far as it is known."""

    index: Any
    id: str = ""
    name: str = ""
    arguments: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are complete JSON, so that another piece cannot belong to it."""
        try:
            json.loads(self.arguments)
        except ValueError:
            return False
        return True

    def add(self, identity: str, name: str, arguments: Any) -> None:
        self.id = self.id or identity
        if not self.name or name.startswith(self.name):
            self.name = name or self.name  # the first part, the same name again, or more of it than before
        elif name and not self.arguments:
            self.name += name
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        if not isinstance(arguments, str) or (self.arguments and arguments == self.arguments and self.is_whole):
            return
        self.arguments += arguments


class ToolParts:
    """The tool calls of one answer."""

    def __init__(self) -> None:
        self._calls: list[_Growing] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, parts: Any) -> None:
        """Take the `tool_calls` of one delta; what is no call is left out."""
        entries = list_of(parts)
        for position, part in enumerate(entries):
            if is_object(part):
                self._add(part, position if len(entries) > 1 else None)

    def add_function(self, function: Any) -> None:
        """Take the `function_call` of one delta, the form before `tool_calls`."""
        if is_object(function):
            self._add({"index": "function_call", "function": function}, None)

    def _add(self, part: JsonObject, position: int | None) -> None:
        function = object_of(part.get("function"))
        identity, name = text_of(part.get("id")), text_of(function.get("name"))
        index = part["index"] if part.get("index") is not None else position
        self._call_of(index, identity, name).add(identity, name, function.get("arguments"))

    def _call_of(self, index: Any, identity: str, name: str) -> _Growing:
        """Return the call that a part belongs to, a new one where it belongs to none."""
        known = next((call for call in self._calls if identity and call.id == identity), None)
        if known is None or (name and index is not None and known.index != index):
            same = [call for call in self._calls if index is None or call.index == index]
            known = same[-1] if same else None
        if known is None or _begins_another(known, identity, name):
            known = _Growing(index)
            self._calls.append(known)
        return known

    def finish(self) -> tuple[ToolCall, ...]:
        """Return the calls.

        Raises:
            json.JSONDecodeError: the arguments of one are broken.
            IncompleteReplyError: the arguments of one are no object.
        """
        found: list[ToolCall] = []
        for call in self._calls:
            for arguments in _objects(call.arguments):
                number = len(found)
                repeated = any(one.id == call.id for one in found)
                found.append(ToolCall(f"call_{number}" if repeated or not call.id else call.id, call.name, arguments))
        return tuple(found)


def _begins_another(call: _Growing, identity: str, name: str) -> bool:
    """Whether a part with this id and name is of another call than the last one in its place."""
    if not name:
        return False  # a piece of arguments, whatever id it has
    another_id = bool(identity and call.id and identity != call.id)
    if not call.arguments:
        return another_id and name != call.name
    return call.is_whole and (another_id or not identity)


def _objects(text: str) -> list[JsonObject]:
    """Return the objects that `text` holds one after another: more than one where a gateway merged several calls."""
    found: list[Any] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = _decode(text, at)
        found.append(value)
    if any(value is not None and not is_object(value) for value in found):
        raise IncompleteReplyError(f"the arguments of a tool call are no object: {text[:200]}")
    real: list[JsonObject] = [value for value in found if value]
    return [value for position, value in enumerate(real) if value not in real[:position]] or [{}]
