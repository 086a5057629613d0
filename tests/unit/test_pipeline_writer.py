"""The write-behind writer: batches, receipts, a bounded queue, and a log that is carried out again."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

import spanwise
from spanwise.testing import capture, run_virtual
from spanwise_pipeline import WriteError, Writer
from spanwise_pipeline.writer import LOG, _framed

if TYPE_CHECKING:
    from pathlib import Path


def test_writes_of_a_moment_are_one_batch_and_the_last_content_wins(tmp_path: Path) -> None:
    async def main() -> tuple[int, int]:
        async with Writer(tmp_path, interval=0.5) as writer:
            receipts = [await writer.write("a/match.json", {"n": n}) for n in range(3)]
            receipts.append(await writer.append("log.txt", "one"))
            assert not any(receipt.done() for receipt in receipts)
            await receipts[0]
            assert all(receipt.done() for receipt in receipts)
        return writer.statistics().batches, writer.statistics().written

    assert run_virtual(main) == ((1, 4), 0.5)
    assert (tmp_path / "a" / "match.json").read_text() == '{\n "n": 2\n}\n'
    assert (tmp_path / "log.txt").read_text() == "one\n"
    assert (tmp_path / LOG).read_bytes() == b""


def test_a_full_batch_does_not_wait_and_the_block_writes_the_rest(tmp_path: Path) -> None:
    async def main() -> int:
        async with Writer(tmp_path, interval=60, most=2) as writer:
            receipts = [await writer.append("log.txt", str(n)) for n in range(5)]
            await receipts[0]
            assert asyncio.get_running_loop().time() == 0.0
        return writer.statistics().written

    assert run_virtual(main) == (5, 0.0)
    assert (tmp_path / "log.txt").read_text() == "0\n1\n2\n3\n4\n"


def test_a_receipt_is_given_after_the_log_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        events.append("fsync")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)

    async def main() -> None:
        async with Writer(tmp_path) as writer:
            events.clear()
            await (await writer.write("match.json", {}))
            events.append("done")

    run_virtual(main)
    assert events[:2] == ["fsync", "done"]


def test_a_full_queue_makes_the_next_write_wait_and_the_wait_is_recorded(tmp_path: Path) -> None:
    async def main() -> tuple[int, float]:
        async with Writer(tmp_path, queue=2, interval=3) as writer:
            with spanwise.workflow("desk"):
                for n in range(3):
                    await writer.append("log.txt", str(n))
            return writer.statistics().waits, asyncio.get_running_loop().time()

    with capture() as spans:
        assert run_virtual(main)[0] == (1, 3.0)
    assert "wait writer" in {span["name"] for span in spans()}


@pytest.mark.parametrize("torn", [0, 1, 9])
def test_what_a_process_that_ended_left_is_carried_out_up_to_a_torn_record(tmp_path: Path, torn: int) -> None:
    whole: list[dict[str, Any]] = [
        {"do": "write", "path": "match.json", "text": "new"},
        {"do": "append", "path": "log.txt", "text": "b\n", "at": 2},
    ]
    (tmp_path / "log.txt").write_text("a\nb\n")
    (tmp_path / LOG).write_bytes(b"".join(map(_framed, whole)) + _framed(whole[0])[:torn])

    async def main() -> int:
        async with Writer(tmp_path) as writer:
            return writer.statistics().replayed

    assert run_virtual(main)[0] == 2
    assert ((tmp_path / "match.json").read_text(), (tmp_path / "log.txt").read_text()) == ("new", "a\nb\n")


def test_a_disk_that_is_full_fails_the_write_and_later_ones_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> str:
        async with Writer(tmp_path) as writer:
            await (await writer.append("log.txt", "before"))
            with monkeypatch.context() as patch:
                patch.setattr(os, "pwrite", full)
                with pytest.raises(WriteError) as caught:
                    await (await writer.append("log.txt", "lost"))
            await (await writer.append("log.txt", "after"))
            return str(caught.value)

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    message = run_virtual(main)[0]
    assert message == f"{tmp_path / 'log.txt'}: not written (No space left on device); mend that, and write it again"
    assert (tmp_path / "log.txt").read_text() == "before\nafter\n"


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../out.json", "a/../../out", LOG])
def test_a_path_out_of_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with Writer(tmp_path) as writer:
            await writer.write(path, {})

    with pytest.raises(ValueError, match="give a relative path without"):
        run_virtual(main)


def test_a_cancelled_block_still_writes_what_was_queued(tmp_path: Path) -> None:
    async def block() -> None:
        async with Writer(tmp_path, interval=60) as writer:
            await writer.write("match.json", "kept")
            await asyncio.sleep(3600)

    async def main() -> None:
        task = asyncio.create_task(block())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main)
    assert (tmp_path / "match.json").read_text() == "kept"


def test_a_batch_is_a_span_below_the_step_that_waits_for_it_and_else_below_the_run(tmp_path: Path) -> None:
    async def main() -> None:
        with spanwise.workflow("batch"):
            async with Writer(tmp_path, append_seconds=0.5) as writer:
                with spanwise.step("behind"):
                    receipts = [await writer.write(f"{n}.json", n) for n in range(3)]
                await asyncio.sleep(5.0)
                assert all(receipt.done() for receipt in receipts)
                with spanwise.step("awaited"):
                    await (await writer.write("4.json", 4))
                with spanwise.step("flushed"):
                    await writer.write("5.json", 5)
                    await writer.flush()

    with capture() as spans:
        run_virtual(main)
    names = {span["span_id"]: span["name"] for span in spans()}
    writes = [
        (names[span["parent_id"]], span["attributes"]["spanwise.write.files"])
        for span in spans()
        if span["name"] == "step write" and span["parent_id"] is not None
    ]

    assert sorted(writes) == [("invoke_workflow batch", 3), ("step awaited", 1), ("step flushed", 1)]
