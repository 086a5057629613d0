"""Messages in the form of the GenAI conventions, from those of OpenAI's chat API, and JSON of anything.

Recording content must never fail the call that it is about: what cannot be expressed is left out or becomes its `repr`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, cast

from spanwise.otel.values import MOST
from spanwise.process.contained import contained

Message: TypeAlias = Mapping[str, Any]
INSTRUCTING: Final = frozenset({"system", "developer"})
"""Roles whose messages are instructions, not prompts."""


_ENCODING: Final = contained("encoding content")


def encoded(value: object) -> str | None:
    """Return `value` as JSON text; none where that cannot be had."""
    import msgspec  # noqa: PLC0415 - 6 ms, and only where there is content

    with _ENCODING:  # the host's value may be cyclic, no Unicode, or have a broken repr
        return msgspec.json.encode(value, enc_hook=repr).decode()
    with _ENCODING:
        return json.dumps(value, default=repr, skipkeys=True)
    return None


def in_convention(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages of OpenAI's form in that of the conventions: a role and parts; such ones stay as they are."""
    return [_message(message) for message in islice(messages, MOST)]


def of_answer(text: str, tool_calls: Sequence[Message] = (), finish_reason: str = "") -> list[dict[str, Any]]:
    """Return a model's answer as the output messages of the conventions.

    Args:
        text: what it wrote.
        tool_calls: what it asks for, in OpenAI's form.
        finish_reason: why it stopped.
    """
    parts = [*_content(text), *(_call(one) for one in islice(tool_calls, MOST))]
    message: dict[str, Any] = {"role": "assistant", "parts": parts}
    return [message | {"finish_reason": finish_reason} if finish_reason else message]


def as_mapping(value: object, key: str = "role") -> Message | None:
    """Return a message, or another object with `key`, as a mapping; None where it is nothing of the kind.

    Clients hand out objects of their own: models of pydantic, or objects with fields.
    """
    if isinstance(value, Mapping):
        return cast("Message", value)
    if isinstance(value, str | bytes | int | float | None):  # an endless sequence is mostly made of these
        return None
    with _ENCODING:  # the host's object may do anything
        dump = getattr(value, "model_dump", None)
        found = dump() if callable(dump) else getattr(value, "__dict__", None)
        return cast("Message", found) if isinstance(found, Mapping) and key in found else None
    return None


def _message(message: object) -> dict[str, Any]:
    known = as_mapping(message)
    return {"role": "", "parts": _content(repr(message))} if known is None else _known_message(known)


def _known_message(message: Message) -> dict[str, Any]:
    if "parts" in message:
        return dict(message)
    role = str(message.get("role", ""))
    if role == "tool":
        response = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": message.get("content")}
        return {"role": role, "parts": [response]}
    calls = cast("Sequence[object]", message.get("tool_calls") or ())
    return {"role": role, "parts": [*_content(message.get("content")), *(_call(one) for one in islice(calls, MOST))]}


def _content(content: object) -> list[dict[str, Any]]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    if not isinstance(content, Sequence):
        return [{"type": "text", "content": repr(content)}]
    return [_part(part) for part in islice(cast("Sequence[object]", content), MOST)]


def _part(part: object) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        return {"type": "text", "content": str(part)}
    known = cast("Mapping[str, Any]", part)
    if "text" in known:
        return {"type": "text", "content": known["text"]}
    return {"type": str(known.get("type", "unknown"))}  # images and sound are named, not copied


def _call(told: object) -> dict[str, Any]:
    call = as_mapping(told, "function") or {}
    function = cast("Mapping[str, Any]", call.get("function") or {})
    arguments = function.get("arguments")
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": function.get("name"),
        "arguments": _decoded(arguments) if isinstance(arguments, str) else arguments,
    }


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text  # a model's JSON can be broken, which is what one wants to see
