"""Modules in C: used wherever they could be compiled, unless a variable or an older source of theirs says no."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.compiling import can_compile

from spanwise.causality import steps
from spanwise.process import native
from spanwise_cli import health

MODULES = ("spanwise.causality._steps",)
SHOW = "from spanwise.causality import steps; print(steps.compiled)"


def shown(code: str, **variables: str) -> list[str]:
    environment = os.environ | variables
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_they_are_used_wherever_they_can_be_compiled() -> None:
    assert (steps.compiled is not None) == (can_compile() and not os.environ.get(native.PURE_PYTHON))


def test_a_variable_keeps_to_python() -> None:
    assert shown(SHOW, **{native.PURE_PYTHON: "1"}) == ["None"]


def test_what_was_compiled_of_an_older_source_is_not_used() -> None:
    old = "".join(f"sys.modules[{name!r}] = types.ModuleType('old')\n" for name in MODULES)
    assert shown(f"import sys, types\n{old}{SHOW}") == ["None"]


@pytest.mark.parametrize(
    ("compiled", "variable", "said"),
    [
        (object(), "", "is compiled from C"),
        (None, "1", "runs in Python, as SPANWISE_PURE_PYTHON is set"),
        (None, "", "install spanwise again"),
    ],
)
def test_doctor_says_whether_they_are(
    compiled: object, variable: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "compiled", compiled)
    monkeypatch.setenv(native.PURE_PYTHON, variable)
    [line] = health._native()
    assert line.status == "ok"
    assert said in line.detail
