"""The tests of what is in C once more, with all of it in Python, as where there was no C compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spanwise.causality import steps
from spanwise.process import native

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.skipif(steps.compiled is None, reason="they ran so already")
def test_all_is_the_same_without_c() -> None:
    files = sorted(map(str, HERE.glob("test_causality*.py")))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    environment = os.environ | {native.PURE_PYTHON: "1"}
    done = subprocess.run(
        command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
