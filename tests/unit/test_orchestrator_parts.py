"""The orchestrator's parts: documents and their index, the tool catalogue, the executor, and the blocking session."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support.orchestrator import shipped_profile

from spanwise.errors import InputError
from spanwise.testing import run_virtual
from spanwise_pipeline import Clock, PlanReader, ThreadPool
from spanwise_pipeline.in_process import InProcessTransport
from spanwise_pipeline.provider.app import create_app
from spanwise_pipeline.provider.embeddings import vector
from spanwise_pipeline.systems.orchestrator import DATA, request
from spanwise_pipeline.systems.orchestrator.catalogue import REGISTRY_SECONDS, Catalogue
from spanwise_pipeline.systems.orchestrator.executor import levels
from spanwise_pipeline.systems.orchestrator.library import READ_SECONDS, Library, passages
from spanwise_pipeline.systems.orchestrator.planner import playbook
from spanwise_pipeline.systems.orchestrator.prompts import FOLDER, Template
from spanwise_pipeline.systems.orchestrator.session import Session
from spanwise_pipeline.systems.orchestrator.vectors import VectorIndex

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

TOOLS = ["analyze_content", "create_report", "read_file", "search_files"]


class CountingEmbedder:
    """The provider's vectors, and what was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append(list(texts))
        return [vector(text, 64) for text in texts]


def with_library(folder: Path, use: Callable[[Library], Awaitable[Any]]) -> tuple[Any, list[list[str]], float]:
    """What `use` returns, the texts that were embedded by call, and the virtual seconds."""
    embedder = CountingEmbedder()

    async def main() -> Any:
        pool = ThreadPool("drive", 4)
        try:
            return await use(Library(folder, embedder, pool, Clock()))  # type: ignore[arg-type]  # has what it needs
        finally:
            await pool.close()

    found, seconds = run_virtual(main)
    return found, embedder.asked, seconds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"a/rain": "# Rain\n\nIt rains.\n\nWater falls.", "a/sun": "# Sun\n\nThe sun shines."}.items():
        path = tmp_path / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_passages_are_paragraphs_and_the_first_has_the_title_in_front() -> None:
    assert passages("# Rain\n\nIt rains.\n\n\nWater\nfalls.\n") == ["# Rain\nIt rains.", "Water\nfalls."]
    assert passages("No title.\n\nMore.") == ["No title.", "More."]
    assert passages("# Only a title") == ["# Only a title"]
    assert passages(" \n\n") == []


def test_the_index_gives_the_nearest_first_and_survives_being_saved(tmp_path: Path) -> None:
    index = VectorIndex()
    index.add([3, 5, 8], [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    index.save(tmp_path / "x")

    for found in (index, VectorIndex.load(tmp_path / "x")):
        assert [number for number, _ in found.nearest([0.0, 2.0])] == [8, 5, 3]
        assert [distance for _, distance in found.nearest([0.0, 2.0])] == pytest.approx([0.0, 0.2, 1.0], abs=1e-6)


def test_an_empty_index_finds_nothing_and_another_dimension_is_refused(tmp_path: Path) -> None:
    index = VectorIndex.load(tmp_path / "none")
    assert (len(index), index.nearest([1.0])) == (0, [])
    index.add([], [])
    index.save(tmp_path / "none")
    assert not (tmp_path / "none").exists()

    index.add([1], [[1.0, 0.0]])
    with pytest.raises(ValueError, match="the index holds vectors of 2 numbers, not 3"):
        index.add([2], [[1.0, 0.0, 0.0]])


def test_a_search_embeds_what_is_new_with_the_query_and_only_that(folder: Path) -> None:
    async def use(library: Library) -> list[list[str]]:
        first = await library.search("rains", "a", 2)
        (folder / "a" / "sun.md").write_text("# Sun\n\nThe sun shines.\n\nIt rains elsewhere.", encoding="utf-8")
        return [first, await library.search("water", "a", 1)]

    found, asked, _ = with_library(folder, use)

    assert found == [["a/rain.md", "a/sun.md"], ["a/rain.md"]]
    assert asked == [
        ["rains", "# Rain\nIt rains.", "Water falls.", "# Sun\nThe sun shines."],
        ["water", "It rains elsewhere."],
    ]


def test_searches_of_one_folder_at_the_same_time_embed_its_documents_once(folder: Path) -> None:
    async def use(library: Library) -> list[list[str]]:
        searches = (library.search("water", "a", 1), library.search("the sun shines", "a", 1))
        return list(await asyncio.gather(*searches))

    found, asked, _ = with_library(folder, use)

    assert found == [["a/rain.md"], ["a/sun.md"]]
    assert sorted(len(texts) for texts in asked) == [1, 4]


def test_an_index_that_was_kept_costs_nothing_the_next_time(folder: Path) -> None:
    async def keep(library: Library) -> None:
        await library.search("water", "a", 1)
        await library.save()

    async def again(library: Library) -> list[str]:
        await library.open()
        return await library.search("the sun shines", "a", 1)

    with_library(folder, keep)
    found, asked, _ = with_library(folder, again)

    assert (found, asked) == (["a/sun.md"], [["the sun shines"]])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("passages.json", "{"),
        ("passages.json", '{"model": "orchestrator-embed", "passages": {"Water falls.": 0}}'),
        ("passages.json", '{"model": "another", "passages": {}}'),
        ("passages.json", "[]"),
        ("passages.voyager", "no index"),
    ],
)
def test_an_index_that_cannot_be_used_is_made_anew(folder: Path, name: str, text: str) -> None:
    async def keep(library: Library) -> None:
        await library.search("water", "a", 1)
        await library.save()

    async def again(library: Library) -> list[str]:
        await library.open()
        return await library.search("the sun shines", "a", 1)

    with_library(folder, keep)
    (folder / ".index" / name).write_text(text, encoding="utf-8")
    found, asked, _ = with_library(folder, again)

    assert (found, [len(texts) for texts in asked]) == (["a/sun.md"], [4])


def test_a_document_is_read_once_a_task_and_takes_the_drive_s_time(folder: Path) -> None:
    async def use(library: Library) -> list[str]:
        texts = [(await library.read("a/sun.md")).text]
        (folder / "a" / "sun.md").write_text("changed", encoding="utf-8")
        texts.append((await library.read("a/sun.md")).text)
        changed = await library.changed()
        library.begin()
        return [*texts, *changed, (await library.read("a/sun.md")).text, *await library.changed()]

    found, _, seconds = with_library(folder, use)

    assert found == ["# Sun\n\nThe sun shines.", "# Sun\n\nThe sun shines.", "a/sun.md", "changed"]
    assert seconds == pytest.approx(2 * READ_SECONDS)


def test_a_document_that_is_removed_has_changed(folder: Path) -> None:
    async def use(library: Library) -> list[str]:
        await library.read("a/sun.md")
        (folder / "a" / "sun.md").unlink()
        return await library.changed()

    assert with_library(folder, use)[0] == ["a/sun.md"]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (("read", "a/son.md"), r"a/son.md: no such document of the user; did you mean 'a/sun.md'\?"),
        (("read", "../secret.md"), r"\.\./secret.md: leads out of the user's folder; give a path below it"),
        (("read", "/etc/passwd"), "/etc/passwd: leads out of the user's folder"),
        (("write", "../out.md", "text"), r"\.\./out.md: leads out of the user's folder"),
        (("search", "sun", "b", 1), r"b: no such folder of the user; "),
        (("search", "sun", "..", 1), r"\.\.: leads out of the user's folder"),
    ],
)
def test_what_is_not_in_the_user_s_folder_is_refused(folder: Path, call: tuple[Any, ...], problem: str) -> None:
    async def use(library: Library) -> None:
        await getattr(library, call[0])(*call[1:])

    with pytest.raises(InputError, match=problem):
        with_library(folder, use)


def with_catalogue(folder: Path, use: Callable[[Catalogue], Awaitable[Any]], *, cached: bool) -> tuple[Any, float]:
    async def main() -> Any:
        pool = ThreadPool("registry", 2)
        try:
            return await use(Catalogue(folder, pool, Clock(), cached=cached))
        finally:
            await pool.close()

    return run_virtual(main)


@pytest.mark.parametrize(("cached", "asked"), [(False, 3), (True, 1)])
def test_the_registry_is_asked_at_each_use_or_once_for_each_content(asked: int, *, cached: bool) -> None:
    async def use(catalogue: Catalogue) -> list[str]:
        await asyncio.gather(catalogue.tool("read_file"), catalogue.tool("search_files"))
        return sorted(await catalogue.tools())

    found, seconds = with_catalogue(DATA / "tools", use, cached=cached)

    assert found == TOOLS
    # The two that ask at the same time wait for the same seconds.
    assert seconds == pytest.approx((asked - 1 if asked > 1 else 1) * REGISTRY_SECONDS)


def test_a_manifest_that_changes_is_seen_at_the_next_use_in_spite_of_the_cache(tmp_path: Path) -> None:
    shutil.copytree(DATA / "tools", tmp_path / "tools")
    manifest = tmp_path / "tools" / "read_file.json"

    async def use(catalogue: Catalogue) -> list[str]:
        first = (await catalogue.tool("read_file")).paragraph()
        manifest.write_text(manifest.read_text(encoding="utf-8").replace('"path"', '"address"'), encoding="utf-8")
        return [first, (await catalogue.tool("read_file")).paragraph()]

    found, seconds = with_catalogue(tmp_path / "tools", use, cached=True)

    assert [text.splitlines()[1] for text in found] == ["read_file = path", "read_file = address"]
    assert seconds == pytest.approx(2 * REGISTRY_SECONDS)


def test_a_manifest_that_is_none_is_refused_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text('{"name": "odd"}', encoding="utf-8")

    with pytest.raises(InputError, match=r"odd.json: no manifest of a tool \(.*\); it has name, server, description"):
        with_catalogue(tmp_path, lambda catalogue: catalogue.tools(), cached=False)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"path": 7}, "step 4: read_file takes path: 7 is not of type 'string'"),
        ({}, "step 4: read_file takes path: 'path' is a required property"),
        ({"path": "a", "lines": 3}, r"step 4: read_file takes path: .*'lines' was unexpected"),
    ],
)
def test_parameters_that_a_tool_does_not_take_are_refused_with_the_step(
    arguments: dict[str, Any], problem: str
) -> None:
    async def use(catalogue: Catalogue) -> None:
        (await catalogue.tool("read_file")).check("4", arguments)

    with pytest.raises(InputError, match=problem):
        with_catalogue(DATA / "tools", use, cached=True)


def test_a_step_s_level_is_one_below_the_lowest_that_it_depends_on_in_either_way() -> None:
    reader = PlanReader(TOOLS)
    reader.feed(
        json.dumps([
            {"id": 1, "action": "search_files", "dependencies": []},
            {"id": 2, "action": "read_file", "parameters": {"path": "$step1.files.0"}, "dependencies": []},
            {"id": 3, "action": "search_files", "dependencies": []},
            {"id": 4, "action": "analyze_content", "dependencies": [3]},
            {"id": 5, "action": "create_report", "dependencies": [4], "parameters": {"texts": ["$step2"]}},
        ])
    )  # fmt: skip

    assert [[step.id for step in level] for level in levels(reader.close())] == [["1", "3"], ["2", "4"], ["5"]]


def test_the_plan_that_the_planner_knows_has_explicit_and_implicit_dependencies() -> None:
    reader = PlanReader(TOOLS)
    reader.feed(playbook())
    steps = reader.close()
    listed = {str(step["id"]): {str(other) for other in step["dependencies"]} for step in json.loads(playbook())}

    assert len(steps) == 23
    assert [len(level) for level in levels(steps)] == [5, 11, 5, 1, 1]
    assert {step.id for step in steps if set(step.dependencies) > listed[step.id]} == {"13", "17", "21"}


def test_a_concise_prompt_asks_for_a_third_of_the_words_and_no_fewer_than_a_fact_needs() -> None:
    asked = [Template("t", f"Use about {words} words for each fact.").concise().text for words in (130, 20)]

    assert asked == ["Use about 43 words for each fact.", "Use about 12 words for each fact."]


@pytest.mark.slow
def test_a_program_that_is_not_async_asks_twice_over_the_same_connections_and_index(tmp_path: Path) -> None:
    shutil.copytree(DATA / "documents", tmp_path, dirs_exist_ok=True)
    shutil.copytree(DATA / "tools", tmp_path / "tools")
    speed = 2000.0
    made: list[bool] = []
    profile = shipped_profile()
    app = create_app(dataclasses.replace(profile, connection_setup_s=0.0), speed=speed)

    def transport(pooled: bool) -> InProcessTransport:  # noqa: FBT001 - how a context calls it
        made.append(pooled)
        return InProcessTransport(app, pooled=pooled)

    with Session(
        tmp_path, base_url="http://in-process/v1", api_key="k", performance=FOLDER / "performance.yaml",
        clock=Clock(speed), transport=transport,
    ) as session:  # fmt: skip
        first, second = session.answer(request()), session.answer(request())

    assert made == [True]
    assert (first.faults, second.faults) == ((), ())
    assert "decision = move" in first.sections["Decision"]
    assert second.sections["Decision"] == first.sections["Decision"]
    with pytest.raises(RuntimeError, match="the event loop is not open"):
        session.answer(request())
