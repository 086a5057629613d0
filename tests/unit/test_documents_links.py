"""Pages lead where they say, all of them can be found, and nothing names the machine that it was written on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.pages import ROOT, anchors, files, links, named, pages

KNOWN_HOSTS = {
    "127.0.0.1", "api.openai.com", "api.smith.langchain.com", "arize-ai.github.io", "arize.com", "docs.langchain.com",
    "go.dev", "json-schema.org", "keepachangelog.com", "langfuse.com", "openai.com", "openai.github.io",
    "opentelemetry.io", "perfetto.dev", "platform.claude.com", "pydantic.dev", "semver.org", "smith.langchain.com",
    "ui.perfetto.dev", "www.apache.org", "www.jaegertracing.io", "www.speedscope.app", "www.w3.org",
}  # fmt: skip
"""Public sites that files may name. A package index or a mirror is none of them: whoever installs has an own one."""
_HOST = re.compile(r"https?://(?:[^/@\s\"'`]*@)?([A-Za-z0-9.-]+\.[A-Za-z0-9-]+)")
_RESERVED = (".example", ".example.com", ".invalid", ".internal", ".test")


def target_of(page: Path, link: str) -> Path:
    return (page.parent / link.partition("#")[0]).resolve() if not link.startswith("#") else page


def relative_links(page: Path) -> list[str]:
    return [link for link in links(page.read_text(encoding="utf-8")) if "://" not in link]


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_relative_link_of_a_page_leads_to_a_file_and_heading(page: Path) -> None:
    broken: list[str] = []
    for link in relative_links(page):
        target, anchor = target_of(page, link), link.partition("#")[2]
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    to_read = [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in relative_links(page):
            target = target_of(page, link)
            target = target / "README.md" if target.is_dir() else target
            if target.suffix == ".md" and target.exists():
                to_read.append(target)
    assert [named(page) for page in pages() if page not in reached] == []


def texts() -> list[tuple[str, str]]:
    return [(named(path), path.read_text(encoding="utf-8", errors="replace")) for path in files()]


def test_files_name_no_package_index_and_no_mirror() -> None:
    strange = [
        (name, host)
        for name, text in texts()
        for host in _HOST.findall(text)
        if host not in KNOWN_HOSTS and not f".{host}".endswith(_RESERVED)
    ]
    assert strange == []


def test_requirements_name_no_source_of_packages() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        assert re.findall(r"^-.*|.*://.*", path.read_text(encoding="utf-8"), re.MULTILINE) == []


def test_files_name_no_folder_of_this_machine() -> None:
    here = "|".join(re.escape(str(folder)) for folder in {ROOT, Path.home()} if len(folder.parts) > 1)
    pattern = re.compile(rf"(?<![\w./-])(?:{here})/")
    assert [name for name, text in texts() if pattern.search(text)] == []
