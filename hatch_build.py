"""Compiles what is in C as spanwise is built. Where that cannot be done, Python does the same work, only slower."""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "instrumentation"
MODULES = ("spanwise.causality._steps",)
PURE_PYTHON = "SPANWISE_PURE_PYTHON"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the compiled modules into the wheel, or beside their sources where the checkout itself is installed."""

    _made: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, before the files of a wheel are collected."""
        has_gil = platform.python_implementation() == "CPython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
        if self.target_name != "wheel" or not has_gil or os.environ.get(PURE_PYTHON):
            return
        self._made = tempfile.TemporaryDirectory()
        try:
            compiled = list(self._compiled(Path(self._made.name)))
        except Exception as error:  # noqa: BLE001 - the compiler may be missing or wrong in any way
            self.app.display_warning(f"C was not compiled, so spanwise does without it: {error}")
            return
        for path, place in compiled:
            if version == "editable":
                _put(path, Path(self.root, FOLDER, place))
            else:
                build_data["force_include"][str(path)] = place
        if version != "editable":
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was compiled, once it is in the wheel."""
        if self._made is not None:
            self._made.cleanup()

    def _compiled(self, folder: Path) -> Iterator[tuple[Path, str]]:
        """Compile into a folder; yields each file with its place in the package."""
        from setuptools import Distribution, Extension  # noqa: PLC0415 - only where something is compiled
        from setuptools.command.build_ext import build_ext  # noqa: PLC0415

        sources = {name: Path(self.root, FOLDER, *name.split(".")).with_suffix(".c") for name in MODULES}
        modules = [Extension(name, [str(source)]) for name, source in sources.items()]
        command = build_ext(Distribution({"name": "spanwise", "ext_modules": modules}))
        command.build_lib = command.build_temp = str(folder)
        command.ensure_finalized()
        command.run()
        for name in MODULES:
            path = Path(command.get_ext_fullpath(name))
            yield path, path.relative_to(folder).as_posix()


def _put(path: Path, target: Path) -> None:
    beside = target.with_name(f"{target.name}.tmp")
    shutil.copy(path, beside)
    beside.replace(target)  # to write over it would end the processes that have loaded it
