"""A journal on a disk that is full, read-only or fills up in the middle, on a real small file system.

A mount namespace gives an ordinary user a tmpfs of a few pages. Where the kernel refuses one, a user's tests are
skipped with the reason, and CI fails, since nothing else proves this.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

FILLS_UP = """
import json, pathlib, spanwise
from spanwise.journal import ledger
folder = pathlib.Path("disk/journal")
telemetry = spanwise.configure(journal_dir=folder)
for batch in range(40):
    for number in range(50):
        with spanwise.step(f"{batch}.{number}"):
            pass
    telemetry.flush()
spanwise.shutdown()
counts = telemetry.ledger()
lines = [json.loads(line) for path in folder.glob("*.otlp.jsonl") for line in path.read_text().splitlines()]
names = [s["name"] for line in lines for r in line["resourceSpans"] for g in r["scopeSpans"] for s in g["spans"]]
print(json.dumps({
    "counts": ledger.as_document(counts), "on_disk": ledger.as_document(ledger.read(folder)),
    "errno": telemetry.write_error.errno, "names": names, "files": sorted(p.suffix for p in folder.iterdir()),
}))
"""

CANNOT_START = """
import spanwise
try:
    spanwise.configure(journal_dir="disk/journal")
except spanwise.UnavailableError as error:
    print(error)
"""


def on_small_disk(folder: Path, program: str, *, size: str = "256k", before: str = "true") -> str:
    """Run `program` with a tmpfs of `size` at `folder`/disk; `before` is run after mounting. Returns its output."""
    unshare = shutil.which("unshare")
    reason = "there is no unshare program here"
    if unshare is not None:
        probe = subprocess.run([unshare, "-rm", "true"], capture_output=True, text=True, check=False)
        reason = probe.stderr.strip()
    if unshare is None or reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"a mount namespace is needed: {reason}")
        pytest.skip(f"a mount namespace is needed: {reason}")
    (folder / "disk").mkdir()
    script = (
        f"mount -t tmpfs -o size={size} spanwise-test disk && {before}; "
        f"{shlex.quote(sys.executable)} -W error -c {shlex.quote(program)}"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    done = subprocess.run(
        [unshare, "-rm", "sh", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_disk_that_fills_up_in_the_middle_keeps_what_was_written_and_counts_the_rest(tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(on_small_disk(tmp_path, FILLS_UP))
    counts = found["counts"]
    assert found["errno"] == errno.ENOSPC
    assert counts == {
        "started": 2000,
        "open": 0,
        "buffered": 0,
        "journaled": len(found["names"]),
        "dropped": {"disk_full": 2000 - len(found["names"])},
        "destinations": {},
    }
    assert 0 < counts["journaled"] < 2000
    assert found["on_disk"] == counts
    assert len(set(found["names"])) == counts["journaled"]
    assert found["files"] == ["", ".json", ".jsonl"]


MESSAGE = (
    "disk/journal: runs cannot be recorded here ({}); free or unlock the disk, or name another folder with "
    "--journal or SPANWISE_JOURNAL_DIR\n"
)


def test_a_full_disk_is_one_error_at_the_start(tmp_path: Path) -> None:
    said = on_small_disk(
        tmp_path, CANNOT_START, before="mkdir disk/journal; head -c 1M /dev/zero >disk/fill 2>/dev/null"
    )
    assert said == MESSAGE.format("No space left on device")


def test_a_read_only_folder_is_one_error_at_the_start(tmp_path: Path) -> None:
    said = on_small_disk(tmp_path, CANNOT_START, before="mount -o remount,ro disk")
    assert said == MESSAGE.format("Read-only file system")
