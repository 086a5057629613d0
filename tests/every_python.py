"""Runs the fast tests on the newest release of every Python that spanwise supports and this machine has.

Looks on PATH and among pyenv's versions. Each Python gets an environment of its own in `.venv/pythons/`, made by the
Makefile as `.venv` itself is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASK = "import sys; print(*sys.version_info[:3], sys.implementation.name)"
Version = tuple[int, ...]


def oldest_supported() -> Version:
    """Return the version in `requires-python`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return tuple(int(part) for part in project["requires-python"].removeprefix(">=").split("."))


def candidates() -> list[Path]:
    """Return every file that may be a Python: on PATH, and of each version that pyenv has installed."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [
        *(path for folder in folders for path in sorted(folder.glob("python3.*")) if path.suffix[1:].isdigit()),
        *sorted(pyenv.glob("versions/*/bin/python3")),
    ]


def version_of(program: Path) -> Version | None:
    """Return a program's version; `None` where it is no working CPython."""
    try:
        asked = subprocess.run([program, "-c", ASK], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    *numbers, implementation = asked.stdout.split() or [""]
    if asked.returncode or implementation != "cpython":
        return None
    return tuple(map(int, numbers))


def newest_of_each(found: dict[Path, Version], oldest: Version) -> dict[str, Path]:
    """Return the newest Python of each minor version from `oldest` on, by names such as `3.12`."""
    supported = sorted((version, program) for program, version in found.items() if version >= oldest)
    return {f"{version[0]}.{version[1]}": program for version, program in supported}


def main() -> int:
    """Return 0 where the tests pass on every Python that was found."""
    found = {program: version for program in candidates() if (version := version_of(program)) is not None}
    passed: dict[str, bool] = {}
    for name, program in newest_of_each(found, oldest_supported()).items():
        sys.stdout.write(f"Python {name}: {program}\n")
        sys.stdout.flush()
        command = ["make", "--no-print-directory", f"PYTHON={program}", f"VENV=.venv/pythons/{name}", "unit"]
        passed[name] = subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    for name, good in passed.items():
        sys.stdout.write(f"Python {name}: {'passed' if good else 'FAILED'}\n")
    return 0 if passed and all(passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
