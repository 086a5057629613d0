"""The ASGI application: OpenAI's routes, and one of our own that says how the simulation is set."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from spanwise_pipeline.provider import embeddings, openai_chat, openai_responses
from spanwise_pipeline.provider.errors import ApiError, model_not_found
from spanwise_pipeline.provider.exchange import Endpoint, Simulation, check_key
from spanwise_pipeline.provider.work import CREATED

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from spanwise_pipeline.provider.fields import JsonObject
    from spanwise_pipeline.provider.profile import Profile


def create_app(profile: Profile, *, speed: float = 1.0) -> Starlette:
    """Return the provider as an ASGI application; `speed` divides every simulated wait.

    It tells time by the event loop's clock only, so it also runs in process on a loop with a virtual clock.
    """
    if not 0 < speed < float("inf"):
        raise ValueError(f"speed is a number above 0, not {speed}")
    simulation = Simulation(profile, speed)
    strict = profile.strict_instructions
    read_embeddings = partial(embeddings.read, largest=profile.embedding_dimension)
    info = _Info(simulation)
    routes = [
        Route("/v1/chat/completions", Endpoint(simulation, partial(openai_chat.read, strict=strict)), methods=["POST"]),
        Route("/v1/responses", Endpoint(simulation, partial(openai_responses.read, strict=strict)), methods=["POST"]),
        Route("/v1/embeddings", Endpoint(simulation, read_embeddings), methods=["POST"]),
        Route("/v1/models", info.models, methods=["GET"]),
        Route("/v1/models/{model:path}", info.model, methods=["GET"]),
        Route("/simulation", info.simulation, methods=["GET"]),
    ]
    handlers = {ApiError: _api_error, HTTPException: _http_error, Exception: _fault}
    return Starlette(routes=routes, exception_handlers=handlers)


class _Info:
    """The routes that only tell."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def models(self, request: Request) -> Response:
        """List the profile's models."""
        check_key(self._simulation.profile, request.scope)
        data = [_model(name) for name in self._simulation.profile.models]
        return JSONResponse({"object": "list", "data": data})

    async def model(self, request: Request) -> Response:
        """Describe one model."""
        check_key(self._simulation.profile, request.scope)
        name = request.path_params["model"]
        if self._simulation.profile.model(name) is None:
            raise model_not_found(name)
        return JSONResponse(_model(name))

    async def simulation(self, _request: Request) -> Response:
        """Say how the simulation is set; needs no key."""
        return JSONResponse(
            {
                "speed": self._simulation.speed,
                "profile": self._simulation.profile.name,
                "seed_field": "seed",
                "version": 1,
                "requests": self._simulation.requests,
            }
        )


def _model(name: str) -> JsonObject:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "simulated"}


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), error.status, headers=dict(error.headers))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path}"
    message = f"Not allowed: {what}." if error.status_code == 405 else f"Invalid URL ({what})"  # noqa: PLR2004
    return JSONResponse(ApiError(error.status_code, message).body(), error.status_code, headers=error.headers)


async def _fault(_request: Request, error: Exception) -> Response:
    message = f"The simulated provider has a fault of its own, please report it: {type(error).__name__}: {error}"
    return JSONResponse(ApiError(500, message, "server_error").body(), 500)
