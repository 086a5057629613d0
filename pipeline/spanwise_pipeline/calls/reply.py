"""What a model answered, in one form whatever provider sent it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from spanwise_pipeline.tools import ToolCall  # noqa: TC001 - codecs ask for the fields' types

Message = dict[str, Any]
"""A message of a conversation in OpenAI's form."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    input_tokens: int
    """Tokens of the prompt; 0 where the provider reports no usage."""
    output_tokens: int
    cached_tokens: int = 0
    """How many of `input_tokens` the provider read from its prompt cache."""
    reasoning: str = ""
    """What a reasoning model shows of its reasoning."""
    refusal: str = ""
    """Why the model refused to answer, where it says so."""
    model: str = ""
    """The model that answered, as the provider names it."""
    fallback: bool = False
    """Whether it stands in for the model that was asked: another model's answer, or one that was kept."""

    def as_message(self) -> Message:
        """Return the answer as a message of the conversation."""
        message: Message = {"role": "assistant", "content": self.text or None}
        if self.tool_calls:
            message["tool_calls"] = self.requested()
        return message

    def requested(self) -> list[Message]:
        """Return the tool calls in OpenAI's form."""
        return [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
            }
            for call in self.tool_calls
        ]
