"""The tests of causality once more, with steps in Python, as where there was no C compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spanwise.causality import steps

HERE = Path(__file__)


@pytest.mark.slow
@pytest.mark.skipif(steps.compiled is None, reason="they ran so already")
def test_causality_is_the_same_without_c() -> None:
    files = sorted(str(path) for path in HERE.parent.glob("test_causality*.py") if path != HERE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    environment = os.environ | {steps.PURE_PYTHON: "1"}
    done = subprocess.run(
        command, cwd=HERE.parents[2], env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
