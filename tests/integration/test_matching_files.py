"""What `matching` reported as done is on disk: after `kill -9` at any moment, and when the disk fills in the middle."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spanwise_pipeline import Writer
from spanwise_pipeline.systems.matching.rubric import expected_documents
from spanwise_pipeline.systems.matching.storage import CAPACITY, match_file, order_file

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parents[1]
JOB = [sys.executable, "-m", "support.matching_job"]


def documents_after(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The run's folder once the next start has carried out what a log has left, and its capacity."""
    [run] = [path for path in folder.iterdir() if path.is_dir()]

    async def start() -> None:
        async with Writer(run):
            pass

    asyncio.run(start())
    return run, json.loads((run / CAPACITY).read_text(encoding="utf-8"))


def check_reported(folder: Path, reported: list[str]) -> None:
    run, capacity = documents_after(folder)
    expected = expected_documents(5)
    for name in reported:
        for file in (match_file(name), order_file(name)):
            assert json.loads((run / file).read_text(encoding="utf-8")).items() >= expected[file].items()
    before = expected_documents(0)[CAPACITY]
    for offer, places in before.items():
        taken = sum(expected[match_file(name)]["offer"] == offer for name in reported)
        assert expected[CAPACITY][offer] <= capacity[offer] <= places - taken


@pytest.mark.parametrize("preset", ["baseline", "optimized"])
def test_kills_lose_nothing_that_was_reported_as_done(tmp_path: Path, preset: str) -> None:
    chance = random.Random(f"{preset} 2026")
    counts: list[int] = []
    for number in range(5):
        folder = tmp_path / str(number)
        wanted = chance.randint(1, 5)
        with subprocess.Popen([*JOB, str(folder), preset], cwd=TESTS, stdout=subprocess.PIPE, text=True) as job:
            assert job.stdout is not None
            reported = [job.stdout.readline().strip() for _ in range(wanted)]
            job.kill()
            reported += job.stdout.read().split()
        check_reported(folder, reported)
        counts.append(len(reported))
    assert min(counts) >= 1


@pytest.mark.parametrize("preset", ["baseline", "published"])
def test_a_disk_that_fills_ends_the_run_with_a_clear_error_and_keeps_what_was_reported(
    tmp_path: Path, preset: str
) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("a mount namespace is needed")
        pytest.skip("a mount namespace is needed")
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=256k spanwise-test {shlex.quote(str(disk))} && "
        f"{shlex.join([*JOB, str(disk), preset, 'fill'])}; status=$?; "
        f"rm -f {shlex.quote(str(disk / 'filler'))}; cp -r {shlex.quote(str(disk))} {shlex.quote(str(kept))}; "
        "exit $status"
    )

    done = subprocess.run(
        [unshare, "-rm", "sh", "-c", script], cwd=TESTS, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout.split()) == (1, ["R-1001"])
    assert "not written (No space left on device); mend that, and write it again" in done.stderr
    assert str(disk) in done.stderr
    check_reported(kept, ["R-1001"])
