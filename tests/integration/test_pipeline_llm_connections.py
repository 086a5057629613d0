"""How many connections model calls open to a real server, and what a closed connection does to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import openai
import pytest
import support.model_client_session
from support.provider_process import provider

from spanwise_pipeline import Clock, ModelClient, Retries
from spanwise_pipeline.provider.profile import Failures, Model, Profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow
SPEED = 50.0
ROOT = Path(__file__).parents[2]
OPENAI_2 = ROOT / ".venv" / "openai2"


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


class Relay:
    """Passes bytes on between a client and the provider, and counts the connections that it is asked for."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self.connections = 0
        self.base_url = ""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Relay]:
        tasks: set[asyncio.Task[None]] = set()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            tasks.add(asyncio.ensure_future(self._relay(reader, writer)))

        server = await asyncio.start_server(accepted, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{self._target.path}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()
            await asyncio.gather(*tasks)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(self._target.hostname, self._target.port)
        await asyncio.gather(_pump(reader, to_server), _pump(from_server, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):  # either side may reset; the other one's end is what counts
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize(("pooled", "connections"), [(True, 1), (False, 5)])
def test_pooled_calls_share_one_connection(tmp_path: Path, connections: int, *, pooled: bool) -> None:
    async def main(base_url: str) -> int:
        async with Relay(base_url).serving() as relay:
            client = ModelClient(base_url=relay.base_url, api_key="k", clock=Clock(SPEED), pooled=pooled)
            for n in range(5):
                reply = await client.chat(model="m", messages=user(f"n = {n}\nState n."))
                assert reply.text == f"n = {n}"
            await client.close()
            return relay.connections

    with provider(tmp_path, Profile("pool"), speed=SPEED) as base_url:
        assert asyncio.run(main(base_url)) == connections


def test_concurrent_calls_take_as_many_connections_as_there_are_and_keep_them(tmp_path: Path) -> None:
    async def main(base_url: str) -> int:
        async with Relay(base_url).serving() as relay:
            client = ModelClient(base_url=relay.base_url, api_key="k", clock=Clock(SPEED))
            for _ in range(3):
                await asyncio.gather(*(client.chat(model="m", messages=user(f"n = {n}\nState n.")) for n in range(4)))
            await client.close()
            return relay.connections

    with provider(tmp_path, Profile("pool"), speed=SPEED) as base_url:
        assert asyncio.run(main(base_url)) == 4


@pytest.mark.parametrize("kind", ["drop", "stall"])
def test_a_connection_that_the_server_closes_is_an_error_that_can_be_tried_again(tmp_path: Path, kind: str) -> None:
    rates: dict[str, float] = {kind: 1.0}
    profile = Profile("broken", default_model=Model(failures=Failures(stall_s=5.0, **rates)))

    async def main(base_url: str) -> None:
        client = ModelClient(
            base_url=base_url, api_key="k", clock=Clock(SPEED), retries=Retries(attempts=2, first_pause=0.1)
        )
        try:
            await client.chat(model="m", messages=user("a = 1\nState a.\nUse about 200 words for each fact."))
        finally:
            await client.close()

    with provider(tmp_path, profile, speed=SPEED) as base_url, pytest.raises(openai.APIConnectionError):
        asyncio.run(main(base_url))


def test_a_stall_on_a_real_socket_ends_at_the_timeout(tmp_path: Path) -> None:
    profile = Profile("stalled", default_model=Model(failures=Failures(stall=1.0, stall_s=6000.0)))

    async def main(base_url: str) -> float:
        client = ModelClient(
            base_url=base_url, api_key="k", clock=Clock(SPEED), retries=Retries(attempts=1), timeout=25.0
        )
        started = time.monotonic()
        with pytest.raises(openai.APITimeoutError):
            await client.chat(model="m", messages=user("Hello"))
        took = time.monotonic() - started
        await client.close()
        return took

    with provider(tmp_path, profile, speed=SPEED) as base_url:
        assert 0.5 <= asyncio.run(main(base_url)) < 20


def session(**environment: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, str(support.model_client_session.__file__)],
        capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("version", ["2", "3"])
def test_both_versions_of_the_official_client_work_below(version: str) -> None:
    if version == "2" and not (OPENAI_2 / "openai").is_dir():
        remedy = f"pip install --require-hashes --target {OPENAI_2.relative_to(ROOT)} -r requirements/openai2.txt"
        assert not os.environ.get("CI"), remedy
        pytest.skip(f"the 2.x client is not there; {remedy}")

    fails = dict.fromkeys(("error_500", "drop", "malformed", "stall"), True)
    assert session(**({"PYTHONPATH": str(OPENAI_2)} if version == "2" else {})) == {
        "version": version, "text": "a = 1", "tools": ["price"], **fails,
    }  # fmt: skip
