"""Journals that were written are read for ever: the files in `tests/golden/journal` stay as they are."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

from support import golden_journal
from support.golden_journal import STREAM, WAITS

from spanwise.journal import packing
from spanwise.journal.reader import Attributes, EventRecord, LinkRecord, ReadReport, SpanRecord, read, read_file

GOLDEN = Path(__file__).parents[1] / "golden" / "journal"
TRACE = "80000000000000000000000000000005"
BEGIN = 1_790_000_000_000_000_000
RESOURCE: Attributes = {"service.name": "desk", "spanwise.time.scale": 20.0}


def found(number: int, name: str, start: int, end: int, parent: int | None) -> SpanRecord:
    parent_id = f"{parent:016x}" if parent else None
    return SpanRecord(
        TRACE, f"{number:016x}", parent_id, name, 1, BEGIN + start, BEGIN + end if end else 0, {},
        resource=RESOURCE, scope_name="spanwise", scope_version="0.1.0",
    )  # fmt: skip


def test_the_golden_journal_reads_as_what_was_written() -> None:
    report = ReadReport()
    earlier, chat, agent, tool, run, *later = read(GOLDEN, report)
    assert (earlier.name, earlier.trace_id, earlier.state) == ("invoke_workflow earlier", TRACE[:-1] + "6", "ended")
    assert agent == found(2, "invoke_agent größe", 1, 9, 1)
    assert tool == found(4, "execute_tool prices", 3, 4, 2)
    assert (run.name, run.start_ns, run.end_ns, run.state) == ("invoke_workflow desk", BEGIN, 0, "interrupted")
    assert run.attributes["spanwise.run.id"] == "r-1"
    assert (chat.kind, chat.start_ns, chat.end_ns, chat.status_code, chat.status_message) == (
        3, BEGIN + 2, BEGIN + 7, 2, "too many",
    )  # fmt: skip
    assert chat.events == (EventRecord(BEGIN + 3, "first", {"n": 1}),)
    assert chat.links == (LinkRecord(TRACE, "0000000000000001", {"spanwise.link.reason": "waits_on"}),)
    values = dict(chat.attributes)
    assert math.isnan(float(str(values.pop("nan"))))
    assert values == {"text": '"quoted"\n', "yes": True, "number": 2**63 - 1, "float": 0.5, "list": (1, 2)}
    assert (report.files, report.spans, report.unknown, report.incomplete) == (5, 9, 1, 0)
    assert len(later) == 4
    assert [str(one) for one in report.skipped] == [
        f"{GOLDEN / (STREAM + '-000003.seg')}: 463 bytes from 675 skipped: cut off in the middle of a record"
    ]


def wait(number: int, kind: str, resource: str, **more: str) -> SpanRecord:
    about: Attributes = {"spanwise.wait.kind": kind, "spanwise.wait.resource": resource, **more}
    return replace(found(number, f"wait {resource}", number, number + 1, 2), attributes=about)


def test_the_golden_waits_say_who_released_them_or_that_it_is_not_known() -> None:
    *waits, tool = read_file(GOLDEN / f"{WAITS}-000001.seg")
    link = LinkRecord(TRACE, f"{4:016x}", {"spanwise.link.reason": "waits_on"})
    assert waits == [
        replace(wait(6, "task", "gather"), links=(link,)),
        wait(7, "lock", "Lock", **{"spanwise.wait.released_by": "task Task-7 (größen)"}),
        wait(8, "timer", "sleep", **{"spanwise.wait.released_by": "unknown"}),
    ]
    assert tool == found(9, "execute_tool orders", 6, 9, 2)
    assert [record.is_wait for record in (*waits, tool)] == [True, True, True, False]


def test_what_is_written_today_is_the_golden_journal_byte_for_byte(tmp_path: Path) -> None:
    golden_journal.write(tmp_path)
    for name in (f"{STREAM}-000001.seg", f"{STREAM}-000003.seg", f"{WAITS}-000001.seg"):
        assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()
    # What the compressor makes of a block is its version's business; where the blocks lie and what they hold is ours.
    name = f"{STREAM}-000002.seg.zst"
    with (tmp_path / name).open("rb") as new, (GOLDEN / name).open("rb") as golden:
        assert list(packing.pieces(new, 0)) == list(packing.pieces(golden, 0))
        assert packing.length_of(new) == packing.length_of(golden)


def test_the_golden_files_are_those_of_the_first_release() -> None:
    digest = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in sorted(GOLDEN.iterdir())}
    assert digest == {
        "20260921T133300-6-000000001.ledger.json": "9e56a3fa05ee9d87",
        "20260921T133300-6-000000001.otlp.jsonl": "eb6f4f5b97ae8c72",
        f"{STREAM}-000001.seg": "722ca36d12d9a4d4",
        f"{STREAM}-000002.seg.zst": "0a08c2fb5c98477e",
        f"{STREAM}-000003.seg": "e8723ef3dca9bf46",
        f"{WAITS}-000001.seg": "3ea4ca8e49b95c0a",
    }
