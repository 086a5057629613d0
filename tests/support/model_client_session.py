"""Model calls on a virtual clock, run as a script so that any version of the official client can be below them."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import openai

from spanwise.testing.virtual_clock import run_virtual
from spanwise_pipeline import Clock, ModelClient, Retries
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Failures, Model, Profile

TEXT = [{"role": "user", "content": "a = 1\nState a.\nUse about 60 words for each fact."}]
TOOL = {"type": "function", "function": {"name": "price", "parameters": {"type": "object", "properties": {}}}}
ASK = [{"role": "user", "content": "a = 1\nCall the tools price."}]


def failing(**rates: float) -> Profile:
    return Profile("test", default_model=Model(failures=Failures(stall_s=1000.0, **rates)))


def client(profile: Profile) -> ModelClient:
    return ModelClient(
        base_url="http://in-process/v1", api_key="k", clock=Clock(), retries=Retries(attempts=2), timeout=60.0,
        transport=InProcessTransport(create_app(profile)),
    )  # fmt: skip


async def good() -> dict[str, Any]:
    models = client(failing())
    reply = await models.chat(model="m", messages=TEXT)
    calls = await models.chat(model="m", messages=ASK, tools=[TOOL])
    await models.close()
    return {"text": reply.text.splitlines()[0], "tools": [call.name for call in calls.tool_calls]}


async def fails(kind: str) -> bool:
    models = client(failing(**{kind: 1.0}))
    try:
        await models.chat(model="m", messages=TEXT)
    except Exception as error:  # noqa: BLE001 - which type it is differs between versions of the client
        return isinstance(error, openai.APITimeoutError) or kind != "stall"
    finally:
        await models.close()
    return False


def main() -> None:
    kinds = ("error_500", "drop", "malformed", "stall")
    result = {kind: run_virtual(partial(fails, kind))[0] for kind in kinds}
    json.dump({"version": openai.__version__.split(".")[0], **run_virtual(good)[0], **result}, sys.stdout)


if __name__ == "__main__":
    main()
