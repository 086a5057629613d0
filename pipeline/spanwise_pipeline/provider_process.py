"""A simulated provider of one's own: started in a process, and ended with whoever started it.

Each run gets a new one, so that nothing that a provider remembers (limits, prompt cache, counts) is shared.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from spanwise.errors import UnavailableError

if TYPE_CHECKING:
    from types import TracebackType

    from spanwise_pipeline.provider.profile import Profile

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0


class ProviderProcess:
    """`async with ProviderProcess(profile, speed) as provider: provider.base_url`."""

    def __init__(self, profile: Profile, speed: float) -> None:
        self._profile = profile
        self._speed = speed
        self._process: asyncio.subprocess.Process | None = None
        self.base_url = ""

    @property
    def exit_code(self) -> int | None:
        """The exit code of a provider that ended; none while it serves."""
        return self._process.returncode if self._process is not None else None

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid if self._process is not None else None

    async def __aenter__(self) -> Self:
        """Start the provider and wait until it answers.

        Raises:
            UnavailableError: it did not start; carries what it said.
        """
        with tempfile.TemporaryDirectory(prefix="spanwise-") as folder:
            path = Path(folder) / "profile.json"
            path.write_text(json.dumps(dataclasses.asdict(self._profile)), encoding="utf-8")
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "spanwise_pipeline.provider", "--profile-json", str(path),
                "--speed", str(self._speed),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is ours to handle: the provider ends when its standard input closes
            )  # fmt: skip
            try:
                self.base_url = await self._address(self._process)
            except BaseException:
                await self._stop()
                raise
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """End the provider and wait for it."""
        await self._stop()

    async def _address(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        except TimeoutError:
            raise UnavailableError(
                "the simulated provider did not start in 30 s; try again on a quieter machine"
            ) from None
        if not line:
            said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
            raise UnavailableError(f"the simulated provider did not start: {said[-1] if said else 'it said nothing'}")
        return str(json.loads(line)["base_url"])

    async def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
