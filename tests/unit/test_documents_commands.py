"""Every command that a page tells people to type exists: targets of make, and commands and options of spanwise."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from support.pages import ROOT, blocks, named, pages, section

from spanwise_cli.main import build_app

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)
"""What `make help` lists, by its own pattern."""
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines(text: str) -> list[str]:
    """Command lines of a page's shell blocks, without prompts and comments."""
    found = [body for language, body in blocks(text) if language in ("sh", "console", "bash")]
    joined = "\n".join(found).replace("\\\n", " ")
    return [re.sub(r"^\$ ", "", line).partition("  #")[0].strip() for line in joined.splitlines()]


def spanwise_lines(page: Path) -> list[list[str]]:
    lines = [re.search(r"(?:^|/| )spanwise (.*)", line) for line in shell_lines(page.read_text(encoding="utf-8"))]
    words = [shlex.split(match[1], comments=True) for match in lines if match is not None]
    return [line for line in words if line and "=" not in line[0]]


def test_the_two_commands_of_the_readme_are_demo_and_test() -> None:
    part = README.partition("## Two commands\n")[2].partition("\n## ")[0]
    assert [line for line in shell_lines(part) if line.startswith("make")] == ["make demo", "make test"]


def test_every_target_that_a_page_names_is_one_that_help_lists() -> None:
    named_targets: set[str] = set()
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for code in re.findall(r"`([^`\n]+)`", text) + shell_lines(text):
            named_targets |= set(re.findall(r"(?:^|&& )make (?:\w+=\S+ )?([a-z-]+)", code))
    assert {"demo", "test", "unit"} <= named_targets
    assert named_targets <= set(TARGETS)


def test_contributing_explains_every_target_that_help_lists() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`make .*?) \|", page, re.MULTILINE)
    explained = {target for row in rows for target in re.findall(r"make ([a-z-]+)", row)}
    assert explained == set(TARGETS)


def test_every_target_that_is_no_file_is_listed_by_help() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert sorted(phony.split()) == sorted(TARGETS)


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_spanwise_command_that_a_page_tells_to_type_exists(page: Path) -> None:
    assert [problem for line in spanwise_lines(page) if (problem := unknown(line))] == []


def unknown(words: list[str]) -> str | None:
    """What of a command line does not exist, if anything."""
    root: Any = typer.main.get_command(build_app())
    here, options = root, options_of(root) | {"--help"}
    for word in words:
        if word in ("|", "&&", ";", ">", "&"):
            return None
        commands = getattr(here, "commands", {})
        if word.startswith("-") and word != "-" and word.partition("=")[0] not in options:
            return f"{here.name} has no {word}"
        if word in commands:
            here = commands[word]
            options |= options_of(here)
        elif here is root and not word.startswith("-"):
            return f"no command {word}"
    return None


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def test_an_unknown_command_or_option_would_be_found() -> None:
    assert unknown(["shwo", "last"]) == "no command shwo"
    assert unknown(["show", "--al"]) == "show has no --al"
    assert unknown(["show", "last:trading", "--all"]) is None


def test_the_markers_of_what_is_rendered_are_in_the_readme() -> None:
    assert all(section(README, name) for name in ("figures", "timeline", "screen", "example"))
