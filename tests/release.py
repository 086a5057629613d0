"""Builds what a release publishes into `dist/` and checks it: the sdist, the wheel and the notes of this version.

The wheel is built from the sdist, as pip does it, so a file that the sdist lacks is found here. Nothing is uploaded and
no tag is set; docs/releasing.md has the whole procedure.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

import smoke_wheel
from smoke_wheel import ROOT, SmokeError, expect

DIST = ROOT / "dist"


def version() -> str:
    """Return the version in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def notes_of(changelog: str, wanted: str) -> str:
    """Return what a changelog says of a version; raises `SmokeError` where it has no dated section of it."""
    heading = re.search(rf"^## \[{re.escape(wanted)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE)
    if heading is None:
        raise SmokeError(f"CHANGELOG.md has no heading `## [{wanted}] - YYYY-MM-DD`: date what is unreleased")
    notes = re.split(r"^## ", changelog[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0].strip()
    expect(notes, f"CHANGELOG.md says nothing of {wanted}")
    return notes


def tracked() -> set[str]:
    """Return every file of the commit that is checked out; raises `SmokeError` where files differ from it."""
    expect(not git("status", "--porcelain"), "there are changes that are not committed: commit them first")
    return set(git("ls-files").splitlines())


def git(*words: str) -> str:
    """Return what git answers."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def build_sdist(files: set[str]) -> Path:
    """Build the sdist; it holds exactly the files of the commit."""
    smoke_wheel.run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", DIST, cwd=ROOT)
    [sdist] = DIST.glob("spanwise-*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()} - {"PKG-INFO"}
    expect(held == files, f"the sdist differs from the commit by {sorted(held ^ files)}")
    return sdist


def build_wheel(sdist: Path, scratch: Path) -> Path:
    """Build the wheel from the unpacked sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(scratch, filter="data")
    [unpacked] = scratch.iterdir()
    smoke_wheel.run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", DIST, cwd=unpacked)
    [wheel] = DIST.glob("spanwise-*.whl")
    return wheel


def release() -> list[Path]:
    """Build and check everything; returns the files."""
    wanted = version()
    notes = notes_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), wanted)
    files = tracked()
    DIST.mkdir(exist_ok=True)
    for old in (*DIST.glob("spanwise-*"), *DIST.glob("notes-*.md")):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="spanwise-release-") as folder:
        scratch = Path(folder)
        (scratch / "sdist").mkdir()
        (scratch / "empty").mkdir()
        sdist = build_sdist(files)
        wheel = build_wheel(sdist, scratch / "sdist")
        smoke_wheel.check_contents(wheel)
        smoke_wheel.check_use(smoke_wheel.install(wheel, scratch / "venv"), scratch / "empty")
    text = DIST / f"notes-{wanted}.md"
    text.write_text(notes + "\n", encoding="utf-8")
    return [sdist, wheel, text]


def main() -> int:
    """Return 0 when everything is built and works, else say what is wrong and return 1."""
    try:
        made = release()
    except SmokeError as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    for path in made:
        sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024 or 1} KiB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
