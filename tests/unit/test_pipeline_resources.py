"""What a system declares it gets, cold and by name, and it is closed whatever became of the run."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spanwise.testing import capture, run_virtual
from spanwise_pipeline import (
    Cache,
    Clock,
    Data,
    Flags,
    Flow,
    Folder,
    Limits,
    Outcome,
    PoolClosedError,
    Processes,
    Published,
    Resources,
    SharedStore,
    System,
    SystemContext,
    Threads,
    UndeclaredError,
    WriteError,
    flag,
)
from spanwise_pipeline.bound import bound_of
from spanwise_pipeline.caches.stores import LocalStore
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.runner import RunPlan, RunReport, run_once

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanwise_pipeline import Need

NEEDS: tuple[Need, ...] = (
    Folder(), Threads("tools", 2), Processes("analysis", 2, reuse=False, start_seconds=1.5), SharedStore("fund"),
    Limits("desk", concurrency=1, requests_per_minute=1, tokens_per_minute=10),
)  # fmt: skip
CLOCK = Clock()


@dataclass(frozen=True, slots=True)
class ToyFlags(Flags):
    """Of the toy system."""

    workers: int = flag("Threads for the tools.", default=2)


def needs(flags: ToyFlags) -> Iterable[Need]:
    """What the toy needs."""
    return (*NEEDS[:1], Threads("tools", flags.workers), *NEEDS[2:])


def work(seconds: float) -> float:
    """Block for so long."""
    CLOCK.sleep_in_thread(seconds)
    return seconds


def toy(run: Any) -> System:
    """A system of the one coroutine function `run`."""
    return System(
        name="toy", title="A toy", run=run, flags=ToyFlags, presets={"only": ToyFlags()}, profile=Path("none.yaml"),
        published={}, targets=Published(), needs=needs,
    )  # fmt: skip


async def use_everything(context: SystemContext, flags: ToyFlags) -> Outcome:
    """Three tools of 2 s in the pool, two analyses of 1 s, a folder, a store, limits and a background step of 10 s."""
    del flags
    tools, analysis, limits = context.pool("tools"), context.pool("analysis"), context.limits("desk")

    async def tool() -> float:
        return await tools.run(work, 2.0)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(tool())
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(analysis.run(work, 1.0))
    (context.folder / "notes.txt").write_text("kept in a folder", encoding="utf-8")
    found = []
    for name in ("first", "second"):  # the second one has an empty memory and finds the value in the store
        cache: Cache[str] = Cache("notes", capacity=1, ttl=60, clock=context.clock, store=context.store("fund"))

        async def make(name: str = name) -> str:
            await context.clock.sleep(3.0)
            return name

        found.append(await cache.get({"note": 1}, make))
    async with limits.admit({"messages": []}, "step", context.clock), Flow(background=context.background) as flow:
        flow.step("verify", lambda: context.clock.sleep(10.0), background=True)
    return Outcome({"found": found, "files": [path.name for path in context.folder.iterdir()]}, {}, "A+", 100.0)


def test_the_bound_of_a_system_that_uses_every_resource_is_exact() -> None:
    bound = bound_of(toy(use_everything), ToyFlags(), Profile("toy"), seed=1)

    assert bound.outcome.answer == {"found": ["first", "first"], "files": ["notes.txt"]}
    # Two rounds of tools in two threads, a start and an analysis side by side, a value made once; then 10 s behind it.
    assert bound.answer_s == pytest.approx(2 * 2.0 + 1.5 + 1.0 + 3.0)
    assert bound.seconds == pytest.approx(bound.answer_s + 10.0)


def test_the_flags_say_what_is_needed() -> None:
    alone = bound_of(toy(use_everything), ToyFlags(workers=1), Profile("toy"), seed=1)

    assert alone.answer_s == pytest.approx(3 * 2.0 + 1.5 + 1.0 + 3.0)


def test_more_processes_than_the_loop_has_threads_run_at_once_in_a_bound() -> None:
    async def main() -> None:
        needed = [Processes("many", 40)]
        async with Resources("toy", needed, clock=CLOCK, virtual=True) as made, asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(made.pool("many").run(work, 1.0))

    assert run_virtual(main)[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("pool", "tols", """did you mean 'tools'? Allowed: analysis, tools; add Threads("tols", ...) to them"""),
        ("store", "found", """did you mean 'fund'? Allowed: fund; add SharedStore("found") to them"""),
        ("limits", "x", """Allowed: desk; add Limits("x", ...) to them"""),
    ],
)
def test_a_name_that_was_not_declared_is_an_error_that_says_what_was(kind: str, name: str, hint: str) -> None:
    async def main() -> None:
        async with Resources("toy", NEEDS, clock=CLOCK, virtual=True) as resources:
            with pytest.raises(UndeclaredError) as caught:
                getattr(resources, kind)(name)
            assert str(caught.value) == (
                f"system 'toy' asks for the {kind} {name!r}, which its needs do not declare; {hint}"
            )

    run_virtual(main)


def test_a_system_that_declares_nothing_gets_nothing() -> None:
    with pytest.raises(UndeclaredError, match=r"asks for a folder, which its needs do not declare; add Folder\(\) to"):
        _ = Resources("toy", clock=CLOCK).folder


def test_a_name_that_is_declared_twice_is_an_error_and_closes_what_was_made() -> None:
    async def main() -> None:
        twice = Resources("toy", [Folder(), Threads("tools", 1), Processes("tools", 1)], clock=CLOCK)
        with pytest.raises(ValueError, match="system 'toy' declares 'tools' twice; give each its own name"):
            await twice.__aenter__()
        assert not twice.folder.exists()
        with pytest.raises(PoolClosedError):
            await twice.pool("tools").run(work, 0.0)

    run_virtual(main)


def test_in_a_run_limits_hold_and_without_a_redis_there_is_no_store() -> None:
    async def main() -> None:
        async with Resources("toy", NEEDS, clock=CLOCK) as real:
            limits = real.limits("desk")
            assert real.store("fund") is None
            assert limits.concurrency is not None
            assert limits.rate is not None
            assert (limits.concurrency.statistics().capacity, limits.rate.statistics().requests_per_minute) == (1, 0.9)
        async with Resources("toy", NEEDS, clock=CLOCK, virtual=True) as virtual:
            limits = virtual.limits("desk")
            assert isinstance(virtual.store("fund"), LocalStore)
            assert (limits.concurrency, limits.rate) == (None, None)

    run_virtual(main)


def make_data(folder: Path) -> None:
    """Fill a folder."""
    (folder / "rows.csv").write_text("a,b\n1,2\n", encoding="utf-8")


def test_data_are_made_once_and_again_where_they_are_not_as_they_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANWISE_CACHE_DIR", str(tmp_path))
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        make_data(folder)

    async def main() -> Path:
        async with Resources("toy", [Data("rows", make)], clock=CLOCK) as resources:
            return resources.data("rows")

    folders = [asyncio.run(main()) for _ in range(2)]
    assert (folders, len(made)) == ([tmp_path / "data" / "toy" / "rows"] * 2, 1)
    file = folders[0] / "rows.csv"
    file.write_text("a,b\n1,3\n", encoding="utf-8")

    assert (asyncio.run(main()), len(made)) == (folders[0], 2)
    assert file.read_text(encoding="utf-8") == "a,b\n1,2\n"
    assert [path.name for path in folders[0].parent.iterdir()] == ["rows"]


def test_data_that_cannot_be_made_leave_nothing_and_raise_what_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANWISE_CACHE_DIR", str(tmp_path))

    def make(folder: Path) -> None:
        make_data(folder)
        raise ValueError("no seed")

    async def main() -> None:
        with pytest.raises(ValueError, match="no seed"):
            await Resources("toy", [Data("rows", make)], clock=CLOCK).__aenter__()

    asyncio.run(main())
    assert list((tmp_path / "data" / "toy").iterdir()) == []


def test_what_a_system_opens_itself_is_closed_after_background_steps_and_before_its_pools() -> None:
    order: list[str] = []

    async def answer(context: SystemContext, _flags: Any) -> Outcome:
        async def close() -> None:
            order.append("closed")
            await context.pool("tools").run(work, 0.0)

        async def verify() -> None:
            await context.clock.sleep(1.0)
            order.append("verified")

        context.on_close(close)
        async with Flow(background=context.background) as flow:
            flow.step("verify", verify, background=True)
        order.append("answered")
        return Outcome({}, {}, "A+", 100.0)

    bound_of(toy(answer), ToyFlags(), Profile("toy"), seed=1)
    assert order == ["answered", "verified", "closed"]


class Seen:
    """What a run's context held, looked at when the run is over."""

    def __init__(self) -> None:
        self.context: SystemContext | None = None

    async def closed(self) -> bool:
        """Whether pools take nothing more and the folder is gone."""
        assert self.context is not None
        for name in ("tools", "analysis"):
            with pytest.raises(PoolClosedError):
                await self.context.pool(name).run(work, 0.0)
        return not self.context.folder.exists()


def plan(run: Any, **more: Any) -> RunPlan:
    return RunPlan(toy(run), "only,workers=2", ToyFlags(), 7, 1.0, None, base_url="http://127.0.0.1:9/v1", **more)


@pytest.mark.usefixtures("isolated_provider")
def test_a_run_that_fails_closes_what_it_was_given() -> None:
    seen = Seen()

    async def fail(context: SystemContext, _flags: Any) -> Outcome:
        seen.context = context
        (context.folder / "left.txt").write_text("left", encoding="utf-8")
        raise ValueError("broken")

    async def main() -> RunReport:
        report = await run_once(plan(fail))
        assert await seen.closed()
        return report

    report, _ = run_virtual(main)
    assert report.error is not None
    assert "ValueError: broken" in str(report.error)


def test_a_run_that_fails_with_an_error_that_names_the_remedy_reports_that_error() -> None:
    full = WriteError("/disk/a.json: not written (No space left on device); mend that, and write it again")

    async def fail(_context: SystemContext, _flags: Any) -> Outcome:
        raise ExceptionGroup("steps failed", [full])

    assert run_virtual(lambda: run_once(plan(fail)))[0].error is full


@pytest.mark.usefixtures("isolated_provider")
def test_a_run_that_is_cancelled_closes_what_it_was_given_and_its_background_steps() -> None:
    seen = Seen()
    ended: list[str] = []

    async def verify() -> None:
        try:
            await CLOCK.sleep(3600)
        finally:
            ended.append("verify")

    async def wait(context: SystemContext, _flags: Any) -> Outcome:
        seen.context = context
        async with Flow(background=context.background) as flow:
            flow.step("verify", verify, background=True)
        await context.clock.sleep(3600)
        raise AssertionError("it is cancelled before")

    async def main() -> bool:
        running = asyncio.create_task(run_once(plan(wait)))
        await asyncio.sleep(1.0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return await seen.closed()

    assert run_virtual(main) == (True, 1.0)
    assert ended == ["verify"]


def test_background_steps_end_before_the_run_and_the_answer_s_time_is_told_apart() -> None:
    async def answer(context: SystemContext, _flags: Any) -> Outcome:
        async with Flow(background=context.background) as flow:
            flow.step("verify", lambda: context.clock.sleep(0.05), background=True)
        return Outcome({}, {}, "A+", 100.0)

    with capture() as spans:
        report = asyncio.run(run_once(plan(answer)))

    root = next(span for span in spans() if span["name"] == "invoke_workflow toy")
    assert report.answer_s is not None
    assert report.answer_s < 0.05 <= (root["end_ns"] - root["start_ns"]) / 1e9


def test_a_background_step_that_fails_fails_the_run_and_keeps_the_answer() -> None:
    async def verify() -> None:
        raise ValueError("not verified")

    async def answer(context: SystemContext, _flags: Any) -> Outcome:
        async with Flow(background=context.background) as flow:
            flow.step("verify", verify, background=True)
        return Outcome({"kept": True}, {}, "A+", 100.0)

    with capture():
        report = asyncio.run(run_once(plan(answer)))

    assert report.outcome is not None
    assert report.outcome.answer == {"kept": True}
    assert "ValueError: not verified" in str(report.error)


@pytest.mark.usefixtures("isolated_provider")
def test_a_folder_is_removed_or_kept_under_a_name_that_says_which_run_it_was(tmp_path: Path) -> None:
    async def write(context: SystemContext, _flags: Any) -> Outcome:
        (context.folder / "notes.txt").write_text("notes", encoding="utf-8")
        return Outcome({"folder": str(context.folder)}, {}, "A+", 100.0)

    kept, removed = (asyncio.run(run_once(plan(write, keep=keep))).outcome for keep in (tmp_path / "runs", None))

    assert kept is not None
    assert removed is not None
    folder = Path(str(kept.answer["folder"]))
    assert folder.name.startswith("toy-only-workers=2-seed7-")
    assert (folder.parent, [path.name for path in folder.iterdir()]) == (tmp_path / "runs", ["notes.txt"])
    assert Path(str(removed.answer["folder"])).parent == Path(tempfile.gettempdir())
    assert not Path(str(removed.answer["folder"])).exists()


@pytest.mark.usefixtures("isolated_provider")
def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    report = asyncio.run(run_once(plan(use_everything, keep=tmp_path / "file")))

    assert report.outcome is None
    assert str(tmp_path / "file") in str(report.error)


def test_a_system_s_needs_are_its_own() -> None:
    system = replace(toy(use_everything), needs=lambda _flags: ())

    with pytest.raises(UndeclaredError, match="the pool 'tools'"):
        bound_of(system, ToyFlags(), Profile("toy"), seed=1)
