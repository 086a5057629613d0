"""Matches five registrations with replies made directly, and prints each one that is reported as done.

    python -m support.matching_job FOLDER PRESET [fill]

To be killed in the middle. With `fill`, the first report fills the disk that FOLDER is on.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from support.systems import DirectContext, Spoiling

from spanwise_pipeline import Clock, Resources
from spanwise_pipeline.systems.matching import SYSTEM

SPEED = 40.0


async def main(folder: Path, preset: str, *, fill: bool) -> None:
    clock = Clock(SPEED)
    flags = replace(SYSTEM.presets[preset], registrations=5)

    def publish(agent: str, text: str) -> None:
        if agent != "registrations":
            return
        sys.stdout.write(f"{text.partition(':')[0]}\n")
        sys.stdout.flush()
        if fill:
            fill_disk(folder)

    async with Resources("matching", SYSTEM.needs(flags), clock=clock, keep=folder) as resources:
        context = DirectContext(
            base_url="", api_key="", clock=clock, seed=1, label_requests=True, publish=publish, resources=resources,
            spoiling=Spoiling(),
        )  # fmt: skip
        await SYSTEM.run(context, flags)


def fill_disk(folder: Path) -> None:
    with (folder / "filler").open("ab", buffering=0) as filler:
        try:
            while filler.write(b"\0" * 4096):
                pass
        except OSError:
            return


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2], fill="fill" in sys.argv))
    except ExceptionGroup as group:
        sys.exit("\n".join(str(error) for error in group.exceptions))
