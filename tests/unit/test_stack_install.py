"""The installer's logic; no tool is started. What it builds is tested by everything that uses the real servers."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spanwise.config.folders import cache_folder
from spanwise.errors import InputError, UnavailableError
from spanwise_cli.stack import cache, catalogue, debian, golang
from spanwise_cli.stack import install as installer
from spanwise_cli.stack.catalogue import Item, Program
from spanwise_cli.stack.workshop import Workshop, workshop

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANWISE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing-here"))
    monkeypatch.delenv("CI", raising=False)


def an_item(build: Callable[[Workshop], None], name: str = "thing") -> Item:
    return Item(name, "1.0", (Program("tool", ("tool",)),), build, (1, 0), "1 s", "get a tool")


def builds_tool(shop: Workshop) -> None:
    (shop.bin / "tool").write_text("#!/bin/sh\n")


def fails(shop: Workshop) -> None:
    (shop.bin / "tool").write_text("half")
    raise UnavailableError("no network")


def test_a_server_is_built_once_and_found_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    item = an_item(builds_tool)
    monkeypatch.setattr(catalogue, "CATALOGUE", (item,))

    states = [installer.install((item,))[0].state for _ in range(2)]

    assert states == ["built", "found"]
    assert catalogue.require("tool") == cache.servers_folder() / "thing-1.0" / "bin" / "tool"


def test_a_build_that_fails_is_reported_leaves_nothing_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Item("other", "1.0", (Program("gadget", ()),), fails, (1, 0), "1 s", "get a gadget")
    item = an_item(builds_tool)
    monkeypatch.setattr(catalogue, "CATALOGUE", (other, item))

    outcomes = installer.install((other, item))

    assert [outcome.state for outcome in outcomes] == ["unavailable", "built"]
    assert outcomes[0].detail == "no network; get a gadget"
    assert sorted(path.name for path in cache.servers_folder().iterdir()) == [".lock", "logs", "thing-1.0"]


def test_a_build_without_its_program_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    item = an_item(lambda shop: None)
    monkeypatch.setattr(catalogue, "CATALOGUE", (item,))

    assert installer.install((item,))[0].detail == "the build of thing made no tool; get a tool"


def test_what_an_interrupted_build_left_is_not_taken_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    item = an_item(builds_tool)
    monkeypatch.setattr(catalogue, "CATALOGUE", (item,))
    leftover = cache.servers_folder() / ".building-thing-1.0" / "bin"
    leftover.mkdir(parents=True)
    (leftover / "tool").write_text("half")

    assert catalogue.find("tool") is None
    assert installer.install((item,))[0].state == "built"
    assert not leftover.exists()


@pytest.mark.parametrize(("ci", "code"), [("true", 4), ("", 0)])
def test_a_missing_server_fails_the_installer_only_under_ci(
    ci: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(catalogue, "CATALOGUE", (an_item(fails),))

    assert installer.main(["--only", "thing"]) == code
    assert "thing: unavailable, no network; get a tool" in capsys.readouterr().err


def test_an_unknown_name_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert installer.main(["--only", "jager"]) == 2
    assert "--only jager: no such server; did you mean 'jaeger'?" in capsys.readouterr().err


def test_what_is_required_and_missing_comes_with_its_remedy() -> None:
    with pytest.raises(UnavailableError, match=r"redis-server is not on this machine; run: .* --only redis \(install"):
        catalogue.require("redis-server")


def test_an_unknown_program_is_bad_input() -> None:
    with pytest.raises(InputError, match="no server program is called 'promtol'; did you mean 'promtool'"):
        catalogue.find("promtol")


@pytest.mark.parametrize(("version", "usable"), [((3, 15, 0), True), ((2, 53), False), ((), False)])
def test_a_program_on_path_is_taken_when_it_is_new_enough(
    version: tuple[int, ...], *, usable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(catalogue, "version_of", lambda path, arguments: version)

    assert catalogue.find("prometheus") == (Path("/usr/bin/prometheus") if usable else None)


def test_the_cache_follows_the_users_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPANWISE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/spanwise")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/.cache/spanwise")


def test_a_cache_that_cannot_be_made_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPANWISE_CACHE_DIR", str(tmp_path / "file"))

    with pytest.raises(UnavailableError, match=r"cannot be created .*; set SPANWISE_CACHE_DIR to a folder"):
        installer.install(())


@dataclass(frozen=True, slots=True)
class RecordingShop(Workshop):
    """Stands for the tools: remembers each command, answers from `answers` by a word in it."""

    answers: dict[str, str] = field(default_factory=dict[str, str])
    commands: list[str] = field(default_factory=list[str])
    effects: dict[str, Callable[[], Any]] = field(default_factory=dict[str, "Callable[[], Any]"])

    def run(self, *command: str, cwd: Any = None, environment: Any = None, check: bool = True) -> str:
        line = " ".join(command)
        self.commands.append(line)
        for word, effect in self.effects.items():
            if word in line:
                effect()
        return next((answer for word, answer in self.answers.items() if word in line), "")


def a_shop(tmp_path: Path, **more: Any) -> RecordingShop:
    folder = tmp_path / "shop"
    folder.mkdir()
    return RecordingShop(folder, tmp_path / "final", tmp_path / "log", **more)


def with_go(monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(golang, "go_version", lambda go: version)


def test_jaeger_is_built_from_its_module_with_its_own_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_go(monkeypatch, (1, 26))
    (tmp_path / "go.sum").write_text("sums")
    shop = a_shop(tmp_path, answers={"download -json": json.dumps({"Dir": str(tmp_path)})})

    golang.build_jaeger(shop)

    assert (shop.folder / "module" / "go.sum").read_text() == "sums"
    assert [line.split()[1] for line in shop.commands] == ["mod", "mod", "mod", "get", "build"]
    assert "github.com/jaegertracing/jaeger/cmd/jaeger@v1.76.0" in shop.commands[3]


def test_the_collector_is_built_though_its_builder_ends_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_go(monkeypatch, (1, 27))
    shop = a_shop(tmp_path)
    shop.effects["--skip-compilation"] = (shop.folder / "otelcol").mkdir

    golang.build_collector(shop)

    assert shop.commands[-1].startswith("/usr/bin/go build -ldflags=-s -w -o ")


def test_a_builder_that_writes_nothing_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_go(monkeypatch, (1, 27))

    with pytest.raises(UnavailableError, match="builder wrote no sources"):
        golang.build_collector(a_shop(tmp_path))


def test_an_old_go_is_replaced_by_the_package_and_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_go(monkeypatch, (1, 19))
    shop = a_shop(tmp_path)

    with pytest.raises(UnavailableError, match=r"Go 1\.26 or later is needed"):
        golang.build_prometheus(shop)
    assert [line.split()[2:4] for line in shop.commands] == [["pip", "install"]]


def test_debian_packages_are_unpacked_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    uris = "'http://x/liba_1_amd64.deb' liba_1_amd64.deb 1 SHA256:0\n'http://x/tool_2_amd64.deb' tool_2_amd64.deb 1 S\n"
    shop = a_shop(tmp_path, answers={"--print-uris": uris})
    root = shop.folder / "root"

    def downloaded() -> None:
        (shop.folder / "downloads" / "tool_2_amd64.deb").touch()

    def unpacked() -> None:
        (root / "usr" / "lib" / "deep").mkdir(parents=True)
        (root / "usr" / "lib" / "deep" / "liba.so.1").touch()
        (root / "usr" / "bin").mkdir()
        (root / "usr" / "bin" / "tool").touch()

    shop.effects.update({" download liba tool": downloaded, "dpkg-deb -x": unpacked})
    debian.extract(shop, "tool", "usr/bin/tool", name="tool")

    unpacked_usr = tmp_path / "final" / "root" / "usr"
    assert (shop.folder / "bin" / "tool").read_text() == (
        f"#!/bin/sh\nLD_LIBRARY_PATH={unpacked_usr}/lib/deep${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\n"
        f'export LD_LIBRARY_PATH\nexec {unpacked_usr}/bin/tool "$@"\n'
    )
    assert not [line for line in shop.commands if " install " in line and "--print-uris" not in line]


def test_a_machine_without_apt_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no apt-get on this machine"):
        debian.extract(a_shop(tmp_path), "tool", "usr/bin/tool", name="tool")


def test_a_finished_folder_keeps_its_programs_and_none_of_the_scratch(tmp_path: Path) -> None:
    with workshop(tmp_path, "thing-1") as shop:
        builds_tool(shop)
        (shop.folder / "sources").mkdir()

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "logs", "thing-1", "thing-1/bin", "thing-1/bin/tool",
    ]  # fmt: skip


def test_a_second_install_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    told, entered = threading.Event(), threading.Event()

    def second() -> None:
        with cache.exclusive(tmp_path, waiting=told.set):
            entered.set()

    with cache.exclusive(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(timeout=10)
        assert not entered.is_set()
    thread.join(timeout=10)
    assert entered.is_set()
