"""What the linter for imports cannot say: systems are what a user could write, and rules stand in one place."""

from __future__ import annotations

import ast
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import spanwise_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

PIPELINE = Path(str(files("spanwise_pipeline")))
SYSTEMS = PIPELINE / "systems"
PROVIDER = PIPELINE / "provider"
TELEMETRY = re.compile(
    r"\b(spans?|trace[rs]?|tracing|telemetry|opentelemetry|otel|metrics?|journal|recorder)\b", re.IGNORECASE
)


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PIPELINE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """(module, name) of each import, `name` only for `from module import name`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)


def ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0].startswith("spanwise")


def may_import(system: str, module: str, name: str | None) -> bool:
    """Whether a module of the package `system` may import this: public names, its own package, settings and errors."""
    if module == "spanwise_pipeline":
        return name in spanwise_pipeline.__all__
    if module.startswith(system):
        return True
    return module in {"spanwise.errors", "spanwise.config.strict_yaml"} or (module, name) == (
        "spanwise.config", "strict_yaml",
    )  # fmt: skip


def test_there_is_something_to_look_at() -> None:
    assert len(modules(SYSTEMS)) >= 10
    assert len(modules(PROVIDER)) >= 15


@pytest.mark.parametrize("path", [path for path in modules(SYSTEMS) if path.parent != SYSTEMS], ids=module_name)
def test_a_system_imports_only_what_a_user_may_import(path: Path) -> None:
    system = ".".join(module_name(path).split(".")[:3])

    forbidden = [(m, n) for m, n in imports(path) if ours(m) and not may_import(system, m, n)]
    assert forbidden == []


def test_the_registry_of_systems_imports_only_what_a_user_may_import_or_the_system_type() -> None:
    allowed = {
        ("spanwise.errors", "InputError"),
        ("spanwise.errors", "nearest"),
        ("spanwise_pipeline.system", "System"),
    }

    assert {found for found in imports(SYSTEMS / "__init__.py") if ours(found[0])} <= allowed


@pytest.mark.parametrize("path", modules(SYSTEMS), ids=module_name)
def test_a_system_does_not_mention_telemetry(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()

    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if TELEMETRY.search(line)] == []


@pytest.mark.parametrize("path", modules(PROVIDER), ids=module_name)
def test_the_provider_imports_nothing_of_ours_but_itself(path: Path) -> None:
    assert [m for m, _ in imports(path) if ours(m) and not m.startswith("spanwise_pipeline.provider")] == []


@pytest.mark.parametrize("path", modules(PROVIDER), ids=module_name)
def test_the_provider_knows_no_system_s_name(path: Path) -> None:
    names = [folder.name for folder in SYSTEMS.iterdir() if folder.is_dir() and (folder / "__init__.py").exists()]

    text = path.read_text(encoding="utf-8")
    assert [name for name in names if re.search(rf"\b{name}\b", text)] == []


def counts_bytes(node: ast.AST) -> bool:
    """Whether a node divides a length: the beginning of a second token rule."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.FloorDiv | ast.Div)
        and any(
            isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id == "len"
            for inner in ast.walk(node.left)
        )
        and isinstance(node.right, ast.Constant | ast.Name)
        and (not isinstance(node.right, ast.Constant) or node.right.value == 4)
        and (not isinstance(node.right, ast.Name) or "TOKEN" in node.right.id)
    )


def test_the_token_rule_is_spelled_in_one_module() -> None:
    spelled = {
        module_name(path)
        for path in modules(PIPELINE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if counts_bytes(node)
    }

    # What a limit reserves is an estimate for any provider, and no part of the simulation.
    assert spelled == {"spanwise_pipeline.provider.tokens", "spanwise_pipeline.limits.reserving"}


def test_the_public_names_are_all_there_and_listed_in_order() -> None:
    assert sorted(spanwise_pipeline.__all__, key=str) == spanwise_pipeline.__all__
    assert all(getattr(spanwise_pipeline, name) is not None for name in spanwise_pipeline.__all__)
    with pytest.raises(AttributeError, match="module 'spanwise_pipeline' has no attribute 'Flwo'"):
        getattr(spanwise_pipeline, "Flwo")  # noqa: B009 - the name is wrong on purpose
