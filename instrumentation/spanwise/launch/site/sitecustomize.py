"""Python loads this as it starts, where `spanwise run` put its folder on PYTHONPATH.

The folder is taken from `sys.path` again, and the `sitecustomize` that would have been loaded without it is loaded.
A Python that has no spanwise, which a recorded program may start, runs as if nothing were here.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib takes time, in every process
_NAME = "sitecustomize"


def _load_the_other() -> None:
    this = sys.modules.pop(_NAME)
    try:
        __import__(_NAME)
    except ModuleNotFoundError as error:
        if error.name != _NAME:
            raise
    finally:
        sys.modules.setdefault(_NAME, this)


def _begin() -> None:
    try:
        from spanwise.launch import script  # noqa: PLC0415 - there may be none
    except ModuleNotFoundError as error:
        if error.name != "spanwise":
            raise
    else:
        script.begin()


sys.path[:] = [one for one in sys.path if os.path.abspath(one) != _HERE]  # noqa: PTH100
try:
    _load_the_other()
finally:
    _begin()
