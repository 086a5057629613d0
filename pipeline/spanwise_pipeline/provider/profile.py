"""How the simulated provider behaves: everything that is not the reply's text, in frozen dataclasses.

All seconds are system seconds: `--speed` divides them when they are waited for. A value that cannot be raises
ValueError with the key and what it may be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping  # noqa: TC003 - whoever loads a profile resolves its type hints
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

_Record = TypeVar("_Record")
_MAX_DIMENSION: Final = 4096


def _not_negative(where: str, **values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"{where}: {name} is 0 or more, not {value}")


@dataclass(frozen=True, slots=True)
class Failures:
    """How often a request fails, by the kind of failure; the rates add up to at most 1."""

    error_500: float = 0.0
    """Share answered with 500 at the time of the first token."""
    stall: float = 0.0
    """Share that gets nothing for `stall_s` and then a closed connection."""
    drop: float = 0.0
    """Share whose connection is closed in the middle of the answer."""
    malformed: float = 0.0
    """Share whose answer breaks off inside its JSON."""
    stall_s: float = 60.0
    """System seconds until a stalled request's connection is closed."""

    def __post_init__(self) -> None:
        rates = (self.error_500, self.stall, self.drop, self.malformed)
        if any(not 0 <= rate <= 1 for rate in rates) or sum(rates) > 1:
            raise ValueError(
                "failures: error_500, stall, drop and malformed are shares from 0 to 1, together at most 1"
            )
        _not_negative("failures", stall_s=self.stall_s)


@dataclass(frozen=True, slots=True)
class Model:
    """Latency, limits and failures of one model."""

    time_to_first_token_s: float = 0.4
    """Median system seconds from request to first token, besides prefill."""
    time_per_token_s: float = 0.02
    """Median system seconds for each completion token."""
    prefill_s_per_1k_tokens: float = 0.0
    """Median system seconds for 1,000 prompt tokens that are not cached."""
    cached_prefill_share: float = 0.1
    """What a cached prompt token costs of an uncached one's prefill, from 0 to 1."""
    sigma: float = 0.0
    """Spread of the noise: one lognormal factor with median 1 multiplies a request's whole latency."""
    requests_per_minute: float | None = None
    """Limit in system time; none when left out."""
    tokens_per_minute: float | None = None
    """Limit in system time on prompt + max_tokens; none when left out."""
    failures: Failures = Failures()

    def __post_init__(self) -> None:
        _not_negative(
            "model", time_to_first_token_s=self.time_to_first_token_s, time_per_token_s=self.time_per_token_s,
            prefill_s_per_1k_tokens=self.prefill_s_per_1k_tokens, sigma=self.sigma,
        )  # fmt: skip
        if not 0 <= self.cached_prefill_share <= 1:
            raise ValueError(f"model: cached_prefill_share is from 0 to 1, not {self.cached_prefill_share}")
        for name in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"model: {name} is above 0, not {value}; leave it out for no limit")


@dataclass(frozen=True, slots=True)
class PromptCache:
    """The provider's own cache of prompt beginnings."""

    enabled: bool = False
    min_tokens: int = 1024
    """Shorter beginnings are never cached."""

    def __post_init__(self) -> None:
        _not_negative("prompt_cache", min_tokens=self.min_tokens)


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything about one simulated provider."""

    name: str
    """Shown at GET /simulation."""
    default_model: Model = Model()
    """For models that `models` does not name."""
    models: Mapping[str, Model] = field(default_factory=dict[str, Model])
    strict_models: bool = False
    """Refuse models that `models` does not name (404, model_not_found)."""
    strict_instructions: bool = True
    """Refuse a line that almost is an instruction (400) in place of reading it as text."""
    connection_setup_s: float = 0.0
    """Median system seconds that opening a connection takes (TCP and TLS handshakes of a remote provider)."""
    api_key: str | None = None
    """The only key that is let in; any when left out."""
    default_max_tokens: int = 1024
    """What a request without max_tokens is charged for its answer."""
    embedding_dimension: int = 256
    prompt_cache: PromptCache = PromptCache()

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name: a profile needs a name")
        if self.strict_models and not self.models:
            raise ValueError("strict_models: true needs at least one entry under models")
        if not 1 <= self.embedding_dimension <= _MAX_DIMENSION:
            raise ValueError(f"embedding_dimension: from 1 to {_MAX_DIMENSION}, not {self.embedding_dimension}")
        _not_negative("profile", connection_setup_s=self.connection_setup_s)
        if self.default_max_tokens < 1:
            raise ValueError(f"default_max_tokens: at least 1, not {self.default_max_tokens}")
        # A plain dict, whatever the mapping was: dataclasses.asdict cannot copy a read-only view.
        object.__setattr__(self, "models", dict(self.models))

    def model(self, name: str) -> Model | None:
        """Return the settings of the model, or None where the profile refuses it."""
        return self.models.get(name, None if self.strict_models else self.default_model)


def from_dict(data: Any) -> Profile:
    """Return the profile that `dataclasses.asdict` turned into `data`; raises ValueError naming an unknown key."""
    values = dict(_object(data, "profile"))
    if "default_model" in values:
        values["default_model"] = _model(values["default_model"], "default_model")
    models = _object(values.get("models", {}), "models")
    values["models"] = {name: _model(model, f"models.{name}") for name, model in models.items()}
    if "prompt_cache" in values:
        values["prompt_cache"] = _record(PromptCache, values["prompt_cache"], "prompt_cache")
    return _record(Profile, values, "profile")


def _model(data: Any, where: str) -> Model:
    values = dict(_object(data, where))
    if "failures" in values:
        values["failures"] = _record(Failures, values["failures"], f"{where}.failures")
    return _record(Model, values, where)


def _object(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"{where}: an object is needed")  # noqa: TRY004 - one kind of error for a bad profile
    return cast("dict[str, Any]", data)


def _record(schema: type[_Record], data: Any, where: str) -> _Record:
    values = _object(data, where)
    allowed = {item.name for item in dataclasses.fields(cast("Any", schema))}
    if unknown := sorted(values.keys() - allowed):
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; allowed: {', '.join(sorted(allowed))}")
    try:
        return schema(**values)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None
