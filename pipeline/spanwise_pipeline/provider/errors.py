"""OpenAI's form of an error, as one exception that the routes turn into a response."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(eq=False)  # not frozen: the interpreter sets attributes of exceptions on their way
class ApiError(Exception):
    """A request that is refused: HTTP status, and the fields of OpenAI's error object."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self) -> dict[str, Any]:
        """Return the JSON body that OpenAI's clients expect."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return a 400 that names the field at fault."""
    return ApiError(400, message, param=param, code=code)


def missing(param: str) -> ApiError:
    """Return the 400 for a required field that is not there."""
    return bad_request(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def wrong_type(param: str, expected: str) -> ApiError:
    """Return the 400 for a field of the wrong JSON type."""
    return bad_request(f"Invalid type for '{param}': expected {expected}.", param, "invalid_type")


def model_not_found(model: str) -> ApiError:
    """Return the 404 for a model that the profile does not have."""
    return ApiError(
        404,
        f"The model '{model}' does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
    )
