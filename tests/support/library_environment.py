"""Environments with libraries that only a few tests need, beside what the tests themselves run in.

An environment is built once for its list of requirements, in the cache folder of the user, and finds all that is not
in it (spanwise, the OpenAI SDK) in the environment of the tests.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

LIMIT_S = 600
LANGGRAPH = ("langgraph==1.2.24", "langchain-openai==1.7.4", "langchain-core==1.8.3")
OLDEST_LANGGRAPH = ("langgraph==1.0.0", "langchain-openai==1.0.0", "langchain-core==1.0.0")
FASTAPI = ("fastapi==0.165.0",)
AGENTS = ("openai-agents==0.24.0",)


def python_with(*requirements: str) -> str:
    """Return the Python of an environment with these packages; the test is skipped where they cannot be fetched."""
    if os.environ.get("PIP_NO_INDEX"):
        pytest.skip("PIP_NO_INDEX is set: packages cannot be fetched")
    base = sysconfig.get_path("purelib")
    name = hashlib.sha256("\n".join([sys.version, base, *requirements]).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spanwise" / "libraries" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _build(folder, base, requirements)
    return str(folder / "bin" / "python")


def _build(folder: Path, base: str, requirements: tuple[str, ...]) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, timeout=LIMIT_S)
    [site] = folder.glob("lib/python*/site-packages")
    (site / "tests.pth").write_text(f"import site; site.addsitedir({base!r})\n")
    words = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*words, *requirements], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode:
        unreachable = "No matching distribution" in done.stderr or "connection" in done.stderr.lower()
        assert unreachable, done.stderr
        pytest.skip(f"these packages cannot be fetched here: {', '.join(requirements)}")
    (folder / "complete").touch()
