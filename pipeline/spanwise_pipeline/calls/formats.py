"""Structured answers: what is asked for as `response_format`, and the check of what comes back."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import jsonschema
import openai
import pydantic

from spanwise_pipeline.calls.errors import IncompleteReplyError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FENCE: Final = "```"


class InvalidReplyError(IncompleteReplyError):
    """An answer is not the structure that was asked for; it is tried again."""


@dataclass(frozen=True, slots=True)
class Form:
    """The structure of an answer: a pydantic model, or a JSON schema of an object."""

    name: str
    schema: Mapping[str, Any]
    model: type[pydantic.BaseModel] | None = None

    def as_response_format(self) -> dict[str, Any]:
        """Return it in the words of chat completions."""
        return {"type": "json_schema", "json_schema": self._described()}

    def as_text_format(self) -> dict[str, Any]:
        """Return it in the words of the Responses API."""
        return {"format": {"type": "json_schema", **self._described()}}

    def _described(self) -> dict[str, Any]:
        return {"name": self.name, "schema": dict(self.schema), "strict": self.model is not None}

    def parse(self, text: str) -> Any:
        """Return the answer as an instance of the model, or as JSON that follows the schema.

        Raises:
            InvalidReplyError: it is no JSON, or has another structure; says where.
        """
        try:
            value = json.loads(without_fence(text))
            if self.model is not None:
                return self.model.model_validate(value)
            cast("Any", jsonschema.Draft202012Validator(self.schema)).validate(value)
        except json.JSONDecodeError as error:
            raise InvalidReplyError(f"the answer is no JSON: {error}; was max_tokens too small?") from error
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise InvalidReplyError(f"the answer is no {self.name}: {place}: {first['msg']}") from error
        except jsonschema.ValidationError as error:
            raise InvalidReplyError(f"the answer is no {self.name}: {error.json_path}: {error.message}") from error
        return value


def form_of(wanted: type[pydantic.BaseModel] | Mapping[str, Any]) -> Form:
    """Return the form of a pydantic model or a JSON schema.

    Raises:
        ValueError: the schema is none.
    """
    if isinstance(wanted, type):
        tool = cast("Any", openai.pydantic_function_tool(wanted))
        return Form(wanted.__name__, tool["function"]["parameters"], wanted)
    _check(json.dumps(dict(wanted)))
    return Form(str(wanted.get("title", "answer")), wanted)


@functools.lru_cache(maxsize=256)
def _check(schema: str) -> None:
    """Raise `ValueError` where a text is no JSON schema; 3 ms, so each is checked once."""
    try:
        jsonschema.Draft202012Validator.check_schema(json.loads(schema))
    except jsonschema.SchemaError as error:
        raise ValueError(f"response_format is no JSON schema: {error.json_path}: {error.message}") from error


def without_fence(text: str) -> str:
    """Return `text` without the Markdown fence that some models put around JSON."""
    found = text.strip()
    if not found.startswith(_FENCE):
        return found
    return found.partition("\n")[2].rstrip().removesuffix(_FENCE)
