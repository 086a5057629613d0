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

READS = """
def found():
    report = reader.ReadReport()
    names = [span.name for span in reader.read(folder, report)]
    return {
        "counts": ledger.as_document(telemetry.ledger()), "on_disk": ledger.as_document(ledger.read(folder)),
        "errno": telemetry.write_error.errno, "names": names, "damage": len(report.skipped) + report.incomplete,
        "files": sorted({p.suffix for p in folder.iterdir() if p.is_file()}),
    }
"""

FILLS_UP = (
    """
import json, pathlib, spanwise
from spanwise.journal import ledger
from spanwise.journal import reader
folder = pathlib.Path("disk/journal")
telemetry = spanwise.configure(journal_dir=folder)
with spanwise.step("all"):
    for batch in range(40):
        for number in range(50):
            with spanwise.step(f"{batch}.{number}"):
                pass
        telemetry.flush()
spanwise.shutdown()
"""
    + READS
    + "print(json.dumps(found()))"
)

BECOMES_READ_ONLY = (
    """
import json, pathlib, subprocess, spanwise
from spanwise.journal import ledger
from spanwise.journal import reader
folder = pathlib.Path("disk/journal")
telemetry = spanwise.configure(journal_dir=folder)
def record(name):
    with spanwise.step("all"):
        for number in range(50):
            with spanwise.step(f"{name}.{number}"):
                pass
    telemetry.flush()
record("before")
# A file that is open for writing forbids to mount its disk read-only, so one is mounted over it.
subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "over", str(folder)], check=True)
telemetry.processor._stream.segments.rotate()
record("meanwhile")
subprocess.run(["umount", str(folder)], check=True)
record("after")
spanwise.shutdown()
"""
    + READS
    + "print(json.dumps(found()))"
)

CANNOT_START = """
import spanwise  # noqa: PLC0415 - the other kind is not to load it
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
    assert (found["errno"], found["damage"]) == (errno.ENOSPC, 0)
    assert counts == {
        "started": 2001,
        "open": 0,
        "buffered": 0,
        "journaled": len(found["names"]),
        "dropped": {"disk_full": 2001 - len(found["names"])},
        "destinations": {},
    }
    assert 0 < counts["journaled"] < 2001
    assert found["on_disk"] == counts
    assert len(set(found["names"])) == counts["journaled"]
    assert found["files"] == ["", ".counts", ".seg"]


def test_a_disk_that_is_read_only_for_a_while_costs_what_ends_meanwhile(tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(on_small_disk(tmp_path, BECOMES_READ_ONLY, size="4m"))
    assert (found["errno"], found["damage"]) == (errno.EROFS, 0)
    assert {name.partition(".")[0] for name in found["names"]} == {"step all", "step before", "step after"}
    assert found["counts"] == found["on_disk"]
    assert found["counts"] == {
        "started": 153, "open": 0, "buffered": 0, "journaled": 102, "dropped": {"disk_full": 51}, "destinations": {},
    }  # fmt: skip


MESSAGE = (
    "{}/disk/journal: runs cannot be recorded here ({}); free or unlock the disk, or name another folder with "
    "--journal or SPANWISE_JOURNAL_DIR\n"
)


def test_a_full_disk_is_one_error_at_the_start(tmp_path: Path) -> None:
    said = on_small_disk(
        tmp_path, CANNOT_START, before="mkdir disk/journal; head -c 1M /dev/zero >disk/fill 2>/dev/null"
    )
    assert said == MESSAGE.format(tmp_path, "No space left on device")


def test_a_read_only_folder_is_one_error_at_the_start(tmp_path: Path) -> None:
    said = on_small_disk(tmp_path, CANNOT_START, before="mount -o remount,ro disk")
    assert said == MESSAGE.format(tmp_path, "Read-only file system")
