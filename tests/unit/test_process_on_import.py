"""What waits for a module is called once it is loaded, and imports are otherwise as they were."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

from spanwise.process import contained, on_import

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "library_x").mkdir()
    (tmp_path / "library_x" / "__init__.py").write_text("loaded = []\n")
    (tmp_path / "library_x" / "part.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    on_import._waiting.clear()
    if on_import._finder in sys.meta_path:
        sys.meta_path.remove(on_import._finder)
    for name in [one for one in sys.modules if one.startswith("library_x")]:
        del sys.modules[name]


def test_it_is_called_when_the_module_has_been_loaded_and_not_before() -> None:
    seen: list[int] = []
    on_import.call("library_x.part", lambda: seen.append(sys.modules["library_x.part"].value))

    importlib.import_module("library_x")
    assert seen == []
    part = importlib.import_module("library_x.part")

    assert seen == [1]
    assert "exec_module" not in vars(part.__loader__)


def test_it_is_called_at_once_where_the_module_is_loaded() -> None:
    importlib.import_module("library_x")
    seen: list[str] = []

    on_import.call("library_x", lambda: seen.append("called"))

    assert seen == ["called"]


def test_a_failure_stays_inside_and_the_others_are_called() -> None:
    seen: list[str] = []
    on_import.call("library_x", lambda: 1 / 0)
    on_import.call("library_x", lambda: seen.append("called"))
    before = contained.failures["adding to another library"]

    importlib.import_module("library_x")

    assert seen == ["called"]
    assert contained.failures["adding to another library"] == before + 1


def test_what_is_forgotten_is_not_called() -> None:
    seen: list[str] = []

    def act() -> None:
        seen.append("called")

    on_import.call("library_x", act)
    on_import.forget(act)
    importlib.import_module("library_x")

    assert seen == []


def test_a_module_that_does_not_exist_is_missed_as_ever() -> None:
    on_import.call("library_y", lambda: None)

    with pytest.raises(ModuleNotFoundError, match="No module named 'library_y'"):
        importlib.import_module("library_y")
