"""Calls something when a module has been loaded, and loads nothing itself.

What spanwise adds to other libraries is added as the program loads them: a program that uses none of them must not wait
for them. A finder stands first among the finders, lets the others find the module, and has its loader call back.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from spanwise.process.contained import contained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_waiting: Final[dict[str, list[Callable[[], object]]]] = {}
_CALLING: Final = contained("adding to another library")


def call(module: str, act: Callable[[], object]) -> None:
    """Call `act` once: now where `module` is loaded, else when it has been; what it raises is contained."""
    if module in sys.modules and module not in _waiting:
        with _CALLING:
            act()
        return
    _waiting.setdefault(module, []).append(act)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def forget(act: Callable[[], object]) -> None:
    """Do not call `act` any more."""
    for module, acts in list(_waiting.items()):
        _waiting[module] = [one for one in acts if one is not act]


class _Finder:
    """Finds the modules that something waits for, by asking the other finders."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the others' finding of a module that is waited for, with a loader that calls back."""
        acts = _waiting.pop(name, None)
        if not acts:
            return None
        spec = _found_by_others(name, path, target)
        if spec is None or spec.loader is None:
            _waiting[name] = acts
            return None
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            with _CALLING:
                del loader.exec_module
            execute(module)
            for act in acts:
                with _CALLING:
                    act()

        with _CALLING:  # a loader that takes no attribute
            loader.exec_module = exec_module
        return spec


def _found_by_others(name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    for finder in tuple(sys.meta_path):
        if finder is not _finder and hasattr(finder, "find_spec") and (spec := finder.find_spec(name, path, target)):
            return spec
    return None


_finder: Final = _Finder()
