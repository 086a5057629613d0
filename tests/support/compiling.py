"""Whether C can be compiled for the Python that runs."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path


def can_compile() -> bool:
    """Return whether there is a compiler with Python's headers, for a Python that takes what it makes."""
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return (
        sys.implementation.name == "cpython"
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and shutil.which(shlex.split(compiler)[0]) is not None
        and Path(sysconfig.get_path("include"), "Python.h").exists()
    )
