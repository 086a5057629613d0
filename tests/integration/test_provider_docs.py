from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.provider_process import LIMIT_S, provider

from spanwise.config import strict_yaml
from spanwise_pipeline.provider import profile
from spanwise_pipeline.provider.profile import Failures, Model, Profile, PromptCache
from spanwise_pipeline.provider.prompt import Message, Prompt
from spanwise_pipeline.provider.reply import reply

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "provider.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- (\w+) -->\n```(\w+)\n(.*?)```", PAGE, re.DOTALL)
"""(mark, language, text) of every marked block of the page."""


def pairs(mark: str) -> list[Any]:
    """Blocks with this mark, each with the text of the block after it."""
    found = pairwise(BLOCKS)
    return [
        pytest.param(language, text, after, id=f"{mark}{i}")
        for i, ((kind, language, text), (_, _, after)) in enumerate(found)
        if kind == mark
    ]


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = strict_yaml.load(Path(profile.__file__).with_name("default.yaml"), Profile)
    with provider(tmp_path_factory.mktemp("provider"), settings, speed=50) as url:
        yield url


@pytest.mark.slow
@pytest.mark.parametrize(("language", "text", "expected"), pairs("run"))
def test_an_example_prints_what_the_page_says(base_url: str, language: str, text: str, expected: str) -> None:
    if language == "sh" and shutil.which("curl") is None and not os.environ.get("CI"):
        pytest.skip("curl is not installed")
    program = {"python": [sys.executable, "-c"], "sh": ["sh", "-c"]}[language]
    text = text.replace("http://127.0.0.1:8400", base_url.removesuffix("/v1"))

    done = subprocess.run([*program, text], capture_output=True, text=True, timeout=LIMIT_S, check=False)

    assert (done.stdout, done.stderr) == (expected, "")


@pytest.mark.parametrize(("language", "text", "expected"), pairs("prompt"))
def test_a_prompt_gets_the_reply_that_the_page_shows(language: str, text: str, expected: str) -> None:
    assert reply(Prompt("m", (Message("user", text),))).text + "\n" == expected


def test_the_profile_on_the_page_is_valid() -> None:
    (text,) = [text for mark, _, text in BLOCKS if mark == "profile"]

    assert strict_yaml.loads(text, Profile, source="page").models["busy"].failures == Failures(
        error_500=0.02, stall=0.01, drop=0.01, malformed=0.01, stall_s=30.0
    )


def documented() -> dict[str, str]:
    return dict(re.findall(r"^\| `([a-z0-9_.]+)` \| (.*?) \|", PAGE, re.MULTILINE))


def defaults(schema: Any, prefix: str = "") -> dict[str, str]:
    """Every key of a schema with its default as the page spells it."""
    spelled = {None: "none", False: "false", True: "true", dataclasses.MISSING: "required"}
    found: dict[str, str] = {}
    for field in dataclasses.fields(schema):
        if field.name in ("prompt_cache", "failures"):
            found |= defaults({"prompt_cache": PromptCache, "failures": Failures}[field.name], f"{field.name}.")
        else:
            value = field.default
            known = isinstance(value, bool) or value in (None, dataclasses.MISSING)
            found[prefix + field.name] = spelled[value] if known else str(value)
    return found


def test_the_page_lists_every_key_with_its_default() -> None:
    expected = defaults(Profile) | defaults(Model)
    expected |= {"default_model": "all defaults below", "models": "none", "api_key": "any"}

    assert documented() == expected
