from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from spanwise.config import strict_yaml
from spanwise.errors import InputError
from spanwise_pipeline.provider import profile
from spanwise_pipeline.provider.profile import Failures, Model, Profile, PromptCache

PROFILE = Profile(
    "p",
    default_model=Model(sigma=0.2, failures=Failures(stall=0.5, stall_s=3.0)),
    models={"m": Model(requests_per_minute=10)},
    api_key="k",
    prompt_cache=PromptCache(enabled=True, min_tokens=5),
)


def test_a_profile_survives_the_way_through_json() -> None:
    assert profile.from_dict(json.loads(json.dumps(dataclasses.asdict(PROFILE)))) == PROFILE


def test_a_profile_read_from_yaml_can_be_handed_on_as_json() -> None:
    read = strict_yaml.loads("name: y\nmodels:\n  m: {time_to_first_token_s: 1}\n", Profile, source="y")

    assert read == Profile("y", models={"m": Model(time_to_first_token_s=1.0)})
    assert dataclasses.asdict(read)["models"]["m"]["time_to_first_token_s"] == 1.0


def test_the_shipped_profile_is_valid() -> None:
    path = Path(profile.__file__).with_name("default.yaml")

    assert sorted(strict_yaml.load(path, Profile).models) == ["sim-large", "sim-small"]


@pytest.mark.parametrize(
    ("schema", "values", "message"),
    [
        (Failures, {"drop": 1.5}, "shares from 0 to 1"),
        (Failures, {"drop": 0.6, "stall": 0.6}, "together at most 1"),
        (Model, {"sigma": -0.1}, "sigma is 0 or more, not -0.1"),
        (Model, {"time_per_token_s": float("nan")}, "time_per_token_s is 0 or more"),
        (Model, {"requests_per_minute": 0}, "leave it out for no limit"),
        (Model, {"cached_prefill_share": 2}, "from 0 to 1"),
        (PromptCache, {"min_tokens": -1}, "min_tokens is 0 or more"),
        (Profile, {"name": ""}, "a profile needs a name"),
        (Profile, {"name": "p", "strict_models": True}, "at least one entry under models"),
        (Profile, {"name": "p", "embedding_dimension": 0}, "from 1 to 4096"),
        (Profile, {"name": "p", "default_max_tokens": 0}, "at least 1"),
    ],
)
def test_values_that_cannot_be_are_refused(schema: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schema(**values)


def test_yaml_with_such_a_value_is_refused_with_its_line() -> None:
    with pytest.raises(InputError, match=r"y:2: default_model: model: sigma is 0 or more"):
        strict_yaml.loads("name: y\ndefault_model: {sigma: -1}\n", Profile, source="y")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "profile: an object is needed"),
        ({"name": "p", "speed": 1}, "profile: unknown key 'speed'; allowed: api_key"),
        ({"name": "p", "models": {"m": {"ttft": 1}}}, "models.m: unknown key 'ttft'"),
        ({}, "profile: .*name"),
    ],
)
def test_json_that_is_no_profile_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        profile.from_dict(data)
