"""What only a fresh process shows: what importing loads, several processes on one folder, the end of a program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support import journal_files

from spanwise.journal import ledger
from spanwise.journal.ledger import Counts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def program(text: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", text],
        cwd=folder, env=inherited | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def output(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    return out


def names(folder: Path) -> Counter[str]:
    return Counter(journal_files.names(folder))


LOADED = """
import sys, spanwise
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
HEAVY = {
    "numpy", "openai", "starlette", "uvicorn", "rich", "typer", "prometheus_client", "yaml", "requests", "urllib3",
    "google", "grpc", "httpx", "tenacity", "cachetools", "spanwise_cli", "spanwise_pipeline", "spanwise_profiling",
}  # fmt: skip


def test_importing_loads_nothing_but_opentelemetry(tmp_path: Path) -> None:
    loaded = set(output(program(LOADED, tmp_path)).split())
    assert "spanwise" in loaded
    assert loaded & (HEAVY | {"msgspec"}) == set()


RECORDING = """
import sys, spanwise
spanwise.configure(journal_dir="journal")
with spanwise.step("a"):
    pass
spanwise.shutdown()
print(*sorted(sys.modules))
"""


def test_recording_loads_nothing_that_reads_compresses_or_parses(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "desk"\ndependencies = ["spanwise"]\n')
    loaded = set(output(program(RECORDING, tmp_path)).split())
    assert {"msgspec", "spanwise.otlp.json_encoder"} <= loaded
    assert {name.partition(".")[0] for name in loaded} & (HEAVY | {"asyncio", "backports", "tomllib"}) == set()
    assert loaded & {f"spanwise.journal.{name}" for name in ("bounds", "cursor", "packing", "past", "scan")} == set()


RECORDS = """
import spanwise  # noqa: PLC0415 - the other kind is not to load it
spanwise.configure(service_name="p", journal_dir="journal")
for number in range(3000):
    with spanwise.step(str(number)):
        pass
"""


def test_two_processes_record_into_one_folder_at_once(tmp_path: Path) -> None:
    for process in [program(RECORDS, tmp_path), program(RECORDS, tmp_path)]:
        output(process)
    folder = tmp_path / "journal"
    assert names(folder) == Counter({f"step {number}": 2 for number in range(3000)})
    assert ledger.read(folder) == Counts(started=6000, journaled=6000)
    assert len(ledger.processes(folder)) == 2


FAILS = """
import spanwise  # noqa: PLC0415 - the other kind is not to load it
spanwise.configure(journal_dir="journal")
with spanwise.workflow("desk"), spanwise.agent("risk"):
    raise KeyError("ticker")
"""


def test_a_program_that_fails_prints_its_own_traceback_and_its_spans_are_kept(tmp_path: Path) -> None:
    process = program(FAILS, tmp_path)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.splitlines()[0] == "Traceback (most recent call last):"
    assert error.splitlines()[-1] == "KeyError: 'ticker'"
    assert "spanwise" not in error.replace("import spanwise", "")
    assert names(tmp_path / "journal") == Counter({"invoke_workflow desk": 1, "invoke_agent risk": 1})


DISABLED = """
import spanwise  # noqa: PLC0415 - the other kind is not to load it
spanwise.configure(journal_dir="journal", metrics_port=0, endpoint="http://127.0.0.1:1")
with spanwise.workflow("desk"):
    pass
"""


def test_opentelemetrys_switch_turns_everything_off(tmp_path: Path) -> None:
    output(program(DISABLED, tmp_path, OTEL_SDK_DISABLED="true"))
    assert list(tmp_path.iterdir()) == []


SERVES = """
import urllib.request, spanwise
telemetry = spanwise.configure(metrics_port=0, time_scale=20)
with spanwise.agent("risk"):
    pass
request = urllib.request.Request(
    f"http://127.0.0.1:{telemetry.metrics_port}/metrics", headers={"Accept": "application/openmetrics-text"}
)
with urllib.request.urlopen(request, timeout=10) as answer:
    print(answer.read().decode())
"""


def test_metrics_are_served_with_exemplars_on_request(tmp_path: Path) -> None:
    text = output(program(SERVES, tmp_path))
    assert 'gen_ai_invoke_agent_duration_seconds_count{error_type="",gen_ai_agent_name="risk"' in text
    assert 'trace_id="' in text
    assert text.rstrip().endswith("# EOF")
