"""Starts the benchmark of the HTML report, which is html_report.py.

The folder of a script comes first on Python's path, so this name would hide the standard library's `html` from the
scripts here: to whom imports it, this file hands over that one.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATH = list(sys.path)

sys.path[:] = [folder for folder in PATH if Path(folder).resolve() != HERE]
if __name__ == "__main__":
    runpy.run_path(str(HERE / "html_report.py"), run_name="__main__")
else:
    del sys.modules[__name__]
    importlib.import_module(__name__)
    sys.path[:] = PATH
