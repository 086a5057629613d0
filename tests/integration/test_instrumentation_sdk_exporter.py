"""`OTEL_TRACES_EXPORTER=otlp,spanwise` under OpenTelemetry's own set-up, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from support.otlp_receiver import receiving
from support.pages import ROOT

import spanwise
from spanwise.journal import ledger as ledgers
from spanwise.journal import reader
from spanwise.journal.ledger import Counts
from spanwise.launch.traces_exporter import JournalExporter

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("isolated_provider")]
GROUP = "opentelemetry_traces_exporter"

# What `opentelemetry-instrument` does: the configurator of the SDK reads the variables, then the program runs.
SET_UP = """
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
_OTelSDKConfigurator()._configure(auto_instrumentation_version="0")
"""
PROGRAM = """
from opentelemetry import trace
tracer = trace.get_tracer("app")
for number in range({number}):
    with tracer.start_as_current_span(str(number)):
        pass
"""


def declared() -> str:
    """Return what pyproject.toml names as the exporter, installed or not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["entry-points"][GROUP]["spanwise"])


def run(folder: Path, program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program under the SDK's set-up, with an entry point as an installation makes it."""
    about = folder / "spanwise_entry-0.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: spanwise-entry\nVersion: 0\n")
    if not entry_points(group=GROUP, name="spanwise"):
        (about / "entry_points.txt").write_text(f"[{GROUP}]\nspanwise = {declared()}\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    environment |= {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", **variables}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-c", SET_UP + program], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_the_entry_point_names_the_exporter() -> None:
    assert declared() == f"{JournalExporter.__module__}:{JournalExporter.__qualname__}"


def test_a_program_that_knows_nothing_of_spanwise_is_journaled(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM.format(number=3), OTEL_TRACES_EXPORTER="spanwise", OTEL_SERVICE_NAME="app")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    spans = list(reader.read(tmp_path / ".spanwise"))
    assert [(span.name, span.resource["service.name"]) for span in spans] == [("0", "app"), ("1", "app"), ("2", "app")]
    assert ledgers.read(tmp_path / ".spanwise") == Counts(started=3, journaled=3)


def test_beside_the_exporter_of_otlp_nothing_is_sent_twice(tmp_path: Path) -> None:
    with receiving() as receiver:
        done = run(
            tmp_path, PROGRAM.format(number=3), OTEL_TRACES_EXPORTER="otlp,spanwise",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            SPANWISE_JOURNAL_DIR="j",
        )  # fmt: skip
    assert (done.returncode, done.stderr, receiver.spans) == (0, "", ["0", "1", "2"])
    assert ledgers.read(tmp_path / "j") == Counts(started=3, journaled=3)


def test_an_endpoint_of_spanwises_own_is_sent_to(tmp_path: Path) -> None:
    with receiving() as receiver:
        done = run(
            tmp_path, PROGRAM.format(number=3), OTEL_TRACES_EXPORTER="spanwise", SPANWISE_ENDPOINT=receiver.address
        )
    assert (done.returncode, done.stderr, receiver.spans) == (0, "", ["0", "1", "2"])


def test_a_burst_that_the_sdks_processor_drops_from_is_journaled_whole(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM.format(number=20_000), OTEL_TRACES_EXPORTER="spanwise")
    assert (done.returncode, done.stderr) == (0, "")
    assert ledgers.read(tmp_path / ".spanwise") == Counts(started=20_000, journaled=20_000)


def test_what_the_helpers_record_is_in_the_same_journal(tmp_path: Path) -> None:
    program = "import spanwise\nwith spanwise.workflow('desk'):\n    pass\n"
    done = run(tmp_path, program, OTEL_TRACES_EXPORTER="spanwise")
    assert (done.returncode, done.stderr) == (0, "")
    assert [span.name for span in reader.read(tmp_path / ".spanwise")] == ["invoke_workflow desk"]


def test_a_program_that_configures_spanwise_itself_is_recorded_once(tmp_path: Path) -> None:
    program = "import spanwise\nspanwise.configure(journal_dir='own')\n" + PROGRAM.format(number=3)
    done = run(tmp_path, program, OTEL_TRACES_EXPORTER="spanwise")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(reader.read(tmp_path / "own"))) == 3
    assert list(reader.read(tmp_path / ".spanwise")) == []


def test_before_there_is_a_provider_it_writes_what_it_is_given(tmp_path: Path) -> None:
    exporter = JournalExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("t").start_span("by hand").end()
    assert exporter.force_flush(5_000)
    exporter.shutdown()
    assert [span.name for span in reader.read(tmp_path / ".spanwise")] == ["by hand"]
    assert ledgers.read(tmp_path / ".spanwise") == Counts(started=1, journaled=1)


def test_after_configure_it_does_nothing(tmp_path: Path) -> None:
    spanwise.configure(journal_dir=tmp_path / "own")
    exporter = JournalExporter()
    assert exporter.force_flush(1_000)
    exporter.shutdown()
    with spanwise.step("s"):
        pass
    spanwise.shutdown()
    assert [span.name for span in reader.read(tmp_path / "own")] == ["step s"]
    assert not (tmp_path / ".spanwise").exists()
