"""Compiles `_steps.c` as spanwise is built. Where that cannot be done, Python does the same work, only slower."""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "spanwise.causality._steps"
FOLDER = "instrumentation"
PURE_PYTHON = "SPANWISE_PURE_PYTHON"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the compiled module into the wheel, or beside its source where the checkout itself is installed."""

    _made: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, before the files of a wheel are collected."""
        has_gil = platform.python_implementation() == "CPython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
        if self.target_name != "wheel" or not has_gil or os.environ.get(PURE_PYTHON):
            return
        self._made = tempfile.TemporaryDirectory()
        try:
            compiled = self._compiled(Path(self._made.name))
        except Exception as error:  # noqa: BLE001 - the compiler may be missing or wrong in any way
            self.app.display_warning(f"{NAME} was not compiled, so spanwise does without it: {error}")
            return
        package = NAME.rpartition(".")[0].replace(".", "/")
        if version == "editable":
            target = Path(self.root, FOLDER, package, compiled.name)
            beside = target.with_name(f"{target.name}.tmp")
            shutil.copy(compiled, beside)
            beside.replace(target)  # to write over it would end the processes that have loaded it
            return
        build_data["force_include"][str(compiled)] = f"{package}/{compiled.name}"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was compiled, once it is in the wheel."""
        if self._made is not None:
            self._made.cleanup()

    def _compiled(self, folder: Path) -> Path:
        from setuptools import Distribution, Extension  # noqa: PLC0415 - only where something is compiled
        from setuptools.command.build_ext import build_ext  # noqa: PLC0415

        source = Path(self.root, FOLDER, *NAME.split(".")).with_suffix(".c")
        command = build_ext(Distribution({"name": "spanwise", "ext_modules": [Extension(NAME, [str(source)])]}))
        command.build_lib = command.build_temp = str(folder)
        command.ensure_finalized()
        command.run()
        return Path(command.get_ext_fullpath(NAME))
