"""Which headers of a trace a model's provider gets: none by default, and never what could say more than ids."""

from __future__ import annotations

from typing import Any

import pytest

import spanwise
from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, ModelClient
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.profile import Model, Profile


class Overheard:
    """The provider's application, which notes the headers of what it is asked."""

    def __init__(self) -> None:
        model = Model(time_to_first_token_s=1.0, time_per_token_s=0.1)
        self._app = create_app(Profile("test", default_model=model))
        self.headers: list[set[str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers.append({name.decode() for name, _ in scope["headers"]})
        await self._app(scope, receive, send)


@pytest.mark.parametrize(("hosts", "carried"), [([], set()), (["in-process"], {"traceparent"})])
@pytest.mark.usefixtures("isolated_provider")
def test_a_provider_on_the_list_gets_the_trace_and_never_baggage(hosts: list[str], carried: set[str]) -> None:
    spanwise.configure(propagate_to=hosts)
    provider = Overheard()

    async def main() -> None:
        client = ModelClient(
            base_url="http://in-process/v1", api_key="k", clock=Clock(1.0), transport=InProcessTransport(provider)
        )
        with spanwise.workflow("desk"), spanwise.agent("news"):
            await client.chat(model="m", messages=[{"role": "user", "content": "a = 1\nState a."}])
        await client.close()

    run_virtual(main)
    spanwise.shutdown()
    [headers] = provider.headers
    assert headers & {"traceparent", "tracestate", "baggage"} == carried
