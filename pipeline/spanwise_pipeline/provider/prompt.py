"""What the reply depends on: one shape for a chat completion's request and a response's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from spanwise_pipeline.provider.tokens import MESSAGE_OVERHEAD, PROMPT_OVERHEAD, compact, json_tokens, tokens

if TYPE_CHECKING:
    from spanwise_pipeline.provider.fields import JsonObject

Role = Literal["system", "developer", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation."""

    role: Role
    text: str
    tool_calls: tuple[JsonObject, ...] = ()
    """An assistant's calls in the form of chat completions."""
    tool_call_id: str | None = None
    """On a tool's result: the call it answers."""

    @property
    def tokens(self) -> int:
        """Tokens of the message, with its share of framing."""
        return MESSAGE_OVERHEAD + tokens(self.text) + json_tokens(self.tool_calls)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the request offers."""

    name: str
    parameters: JsonObject
    """JSON schema of the arguments."""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The wanted form of the reply's text."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    schema: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything that a reply is a function of."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_definitions: tuple[Any, ...] = ()
    """The tools as the request spelled them, for counting."""
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or `=NAME` for one named function."""
    parallel_tool_calls: bool = True
    output: OutputFormat = OutputFormat()
    max_tokens: int | None = None

    @property
    def tokens(self) -> int:
        """Prompt tokens: framing, messages and tool definitions."""
        return PROMPT_OVERHEAD + sum(m.tokens for m in self.messages) + json_tokens(self.tool_definitions)

    def prefixes(self) -> tuple[tuple[bytes, int], ...]:
        """Return (hash, tokens) of the first message, of the first two, and so on; tools and model are part of each."""
        digest = hashlib.sha256(compact([self.model, self.tool_definitions]).encode())
        total = PROMPT_OVERHEAD + json_tokens(self.tool_definitions)
        found: list[tuple[bytes, int]] = []
        for message in self.messages:
            digest.update(compact([message.role, message.text, message.tool_calls, message.tool_call_id]).encode())
            total += message.tokens
            found.append((digest.digest(), total))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the reply asks for."""

    id: str
    name: str
    arguments: str
    """JSON text."""

    def as_chat(self) -> JsonObject:
        """Return the call in the form of chat completions."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply: text, or calls, and why it ended."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: Literal["stop", "length", "tool_calls"] = "stop"

    @property
    def tokens(self) -> int:
        """Completion tokens."""
        return tokens(self.text) + json_tokens([call.as_chat() for call in self.tool_calls])
