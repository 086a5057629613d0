"""`spanwise ledger` and `spanwise doctor`: what they say, and that secrets stay out of it."""

from __future__ import annotations

import json
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from support.deliveries import payload

from spanwise.config.settings import declarations, default_of
from spanwise.errors import InputError, UnavailableError
from spanwise.journal.cursor import open_cursor
from spanwise.journal.ledger import Counts
from spanwise.journal.stream import Stream
from spanwise_cli import endpoint, health
from spanwise_cli.commands import doctor, ledger
from spanwise_cli.commands.ledger import verdict
from spanwise_cli.endpoint import Answer
from spanwise_cli.health import Line, examine
from spanwise_cli.options import DEFAULT_JOURNAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanwise.destinations import otlp

pytestmark = pytest.mark.usefixtures("isolated_provider", "nothing_runs")


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "running", lambda: None)
    monkeypatch.setenv("COLUMNS", "240")


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    app = typer.Typer()
    ledger.register(app)
    doctor.register(app)
    with pytest.raises(SystemExit) as stopped:
        app(arguments, prog_name="spanwise")
    return int(stopped.value.code or 0), capsys.readouterr().out


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[str]:
    """What a process that still records has written, whose receiver stopped taking spans; the name of its stream."""
    with Stream(tmp_path) as stream:
        stream.add(payload(["s"] * 1230), 1230)
        stream.ledger.arrive(4)
        stream.ledger.drop("disk_full", 4)
        stream.ledger.start()
        stream.ledger.publish()
        held = open_cursor(tmp_path, "otlp", stream.name)
        assert held is not None
        held.save(delivered=1200, set_aside=1, problem="HTTP 503")
        held.close()
        yield stream.name


def test_the_ledger_as_a_document(tmp_path: Path, recorded: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(["ledger", "--json", "--journal", str(tmp_path)], capsys)
    counts = {
        "started": 1235,
        "open": 1,
        "buffered": 0,
        "journaled": 1230,
        "dropped": {"disk_full": 4},
        "destinations": {"otlp": {"delivered": 1200, "pending": 29, "set_aside": 1, "filtered": 0, "expired": 0}},
    }
    assert (code, json.loads(out)) == (
        0,
        {
            "schema": "spanwise.ledger/1",
            "folder": str(tmp_path),
            **counts,
            "problems": {"otlp": "HTTP 503"},
            "processes": [{"stream": recorded, **counts}],
        },
    )


@pytest.mark.usefixtures("recorded")
def test_the_ledger_for_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "480")
    _, out = run(["ledger", "--journal", str(tmp_path)], capsys)
    assert [line.rstrip() for line in out.splitlines()] == [
        "spans               number",
        "started              1,235",
        "open                     1",
        "buffered                 0",
        "journaled            1,230",
        "dropped: disk_full       4",
        "destination  delivered  pending  set_aside  filtered  expired",
        "otlp             1,200       29          1         0        0",
        (
            "4 of 1,235 spans were lost (disk_full 4); `spanwise doctor` checks the disk. otlp is behind by 29 spans "
            "(HTTP 503); `spanwise export --all --to otlp` sends them. otlp refused 1 span, kept in "
            f"{tmp_path}/set-aside/otlp: `spanwise export FILE --to otlp` sends them again. 1 span not written yet: a "
            "process is still recording."
        ),
    ]


def test_what_was_deleted_before_a_destination_took_it_is_warned_about(tmp_path: Path) -> None:
    fates = {"delivered": 1, "pending": 0, "set_aside": 0, "filtered": 0, "expired": 2}
    counts = Counts(started=3, journaled=3, destinations={"otlp": fates})
    assert list(verdict(counts, {}, tmp_path)) == [
        "2 spans had been deleted before otlp took them (journal_size, journal_age)."
    ]


def test_an_empty_ledger_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ledger"], capsys) == (0, ".spanwise: nothing is recorded here.\n")
    assert not (tmp_path / ".spanwise").exists()


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(started=2, journaled=2), ["Nothing was lost."]),
        (
            Counts(started=2, journaled=2, destinations={"otlp": {"delivered": 2, "pending": 0, "set_aside": 0}}),
            ["Nothing was lost, and every destination has everything."],
        ),
        (
            Counts(started=3, open=1, buffered=1, journaled=1),
            ["Nothing was lost.", "2 spans not written yet: a process is still recording."],
        ),
    ],
)
def test_one_sentence_says_whether_anything_was_lost_or_is_behind(counts: Counts, said: list[str]) -> None:
    assert list(verdict(counts, {}, Path("j"))) == said


def lines(journal: Path | None = None) -> dict[str, Line]:
    found = examine(journal, DEFAULT_JOURNAL)
    return {line.check: line for line in found.lines}


def test_a_sound_installation_is_ok_throughout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(["doctor", "--json"], capsys)
    document: dict[str, Any] = json.loads(out)
    assert (code, document["schema"]) == (0, "spanwise.doctor/1")
    checks = {one["check"]: (one["status"], one["detail"]) for one in document["checks"]}
    assert {"python", "spanwise", "opentelemetry", "recording", "journal", "disk", "endpoint", "stack"} <= checks.keys()
    assert checks["recording"] == ("ok", "on")
    assert checks["journal"] == ("ok", ".spanwise (made with the first run)")
    assert checks["endpoint"] == ("ok", "none configured; runs stay on this machine")
    assert document["settings"] == [
        {"name": name, "value": shown(default_of(name)), "source": "default"} for name in declarations()
    ]
    assert list(tmp_path.iterdir()) == []


def shown(value: object) -> object:
    return (", ".join(value) or "none") if isinstance(value, tuple) else value


def test_each_setting_is_shown_with_its_source_and_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(endpoint, "probe", lambda settings: Answer(0.0123, 0.4))
    monkeypatch.setenv("SPANWISE_ENDPOINT", "https://me:hunter2@collector:4318/?key=hunter2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=hunter2,x-team=hunter2")
    people, document = run(["doctor"], capsys), run(["doctor", "--json"], capsys)
    assert (people[0], document[0]) == (0, 0)
    assert "hunter2" not in people[1] + document[1]
    settings = {one["name"]: (one["value"], one["source"]) for one in json.loads(document[1])["settings"]}
    assert settings["otlp.endpoint"] == ("https://me:***@collector:4318/?***", "SPANWISE_ENDPOINT")
    assert settings["headers"] == ("x-api-key=***,x-team=***", "OTEL_EXPORTER_OTLP_HEADERS")
    assert lines()["endpoint"] == Line(
        "endpoint", "ok", "https://me:***@collector:4318/?*** takes spans (http/protobuf, 12 ms)"
    )
    assert lines()["clock"] == Line("clock", "ok", "agrees with the endpoint's")


@pytest.mark.parametrize(
    ("ahead", "detail"),
    [
        (61.0, "61 s ahead of the endpoint's; set it, or traces of both do not line up"),
        (-5.0, "5 s behind the endpoint's; set it, or traces of both do not line up"),
    ],
)
def test_a_clock_that_is_off_is_a_warning(ahead: float, detail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "probe", lambda settings: Answer(0.1, ahead))
    monkeypatch.setenv("SPANWISE_ENDPOINT", "http://collector:4318")
    assert lines()["clock"] == Line("clock", "warning", detail)


def test_an_endpoint_that_does_not_work_is_exit_code_four(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def down(settings: otlp.Settings) -> Answer:
        raise UnavailableError("http://collector:4318: not reachable")

    monkeypatch.setattr(endpoint, "probe", down)
    monkeypatch.setenv("SPANWISE_ENDPOINT", "http://collector:4318")
    code, out = run(["doctor"], capsys)
    assert code == 4
    assert "failed" in next(line for line in out.splitlines() if "not reachable" in line)


def test_a_bad_setting_is_one_line_and_the_rest_is_still_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPANWISE_METRICS_PORT", "many")
    assert lines()["settings"] == Line(
        "settings", "failed", "SPANWISE_METRICS_PORT: 'many' cannot be used; give a port from 0 to 65535"
    )
    assert "disk" in lines()
    assert run(["doctor"], capsys)[0] == 4


def test_recording_that_is_switched_off_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert lines()["recording"].status == "warning"


def test_the_journal_folder_is_tried_and_its_openness_told(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir(mode=0o700)
    assert lines(folder)["journal"] == Line("journal", "ok", f"{folder} is writable")
    folder.chmod(0o755)
    assert lines(folder)["journal"].status == "warning"
    (tmp_path / "file").write_text("")
    for taken in (tmp_path / "file", tmp_path / "file" / "journal"):
        assert lines(taken)["journal"].status == "failed"


def test_little_room_on_the_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - the shape of shutil.disk_usage's answer
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(2**40, 0, 2**29))
    assert lines()["disk"] == Line("disk", "warning", "0.5 GiB free; make room")


def test_an_extra_that_is_missing_is_a_warning_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_installed", lambda name: name != "grpcio" and "proto-grpc" not in name)
    assert lines()["extra grpc"] == Line(
        "extra grpc",
        "warning",
        "without opentelemetry-exporter-otlp-proto-grpc; to have it: pip install 'spanwise[grpc]'",
    )
    assert lines()["extra pipeline"].status == "ok"


def test_a_stack_that_cannot_be_read_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> None:
        raise InputError("state.json: not readable; remove it")

    monkeypatch.setattr(health, "running", unreadable)
    assert lines()["stack"] == Line("stack", "warning", "state.json: not readable; remove it")


def test_what_is_recorded_of_content_is_shown_and_redaction_that_is_off_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lines()["content"] == Line("content", "ok", "recorded: none; secrets and personal data are redacted")
    monkeypatch.setenv("SPANWISE_CAPTURE_CONTENT", "prompts,tool_results")
    monkeypatch.setenv("SPANWISE_REDACT", "false")
    detail = "redaction is off, so that secrets are written as they are: unset SPANWISE_REDACT"
    assert lines()["content"] == Line("content", "warning", f"recorded: prompts, tool_results; {detail}")
