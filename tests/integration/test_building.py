"""The wheel where nothing can be compiled, or nothing shall be: it is for every Python, and says what it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.compiling import can_compile
from support.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
NOT_COMPILED = "C was not compiled, so spanwise does without it"


def built(folder: Path, **variables: str) -> tuple[Path, str]:
    """Return the wheel that is built under these environment variables, and what was said."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=120, check=True
    )
    [wheel] = folder.glob("*.whl")
    return wheel, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "told"), [("CC", "false", [NOT_COMPILED]), ("SPANWISE_PURE_PYTHON", "1", [])]
)
def test_without_c_the_wheel_is_for_every_python(variable: str, value: str, told: list[str], tmp_path: Path) -> None:
    wheel, said = built(tmp_path, **{variable: value})
    assert wheel.name.endswith("-py3-none-any.whl")
    assert [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")] == []
    assert [what for what in (NOT_COMPILED,) if what in said] == told


@pytest.mark.skipif(not can_compile(), reason="there is no compiler here")
def test_with_c_the_wheel_is_for_this_python(tmp_path: Path) -> None:
    wheel, said = built(tmp_path)
    assert not wheel.name.endswith("-py3-none-any.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    assert (len(names), NOT_COMPILED in said) == (1, False)
