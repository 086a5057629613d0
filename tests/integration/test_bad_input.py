"""What goes wrong, goes wrong in one line: place, problem and remedy, the exit code that is documented, no traceback.

Each through the program as people start it. What was recorded before is kept, and no process outlives the command.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support import provider_process
from support.command import PROGRAM, environment, running_for, spanwise, start
from support.servers import eventually

from spanwise.journal import reader
from spanwise_pipeline.provider.profile import Profile
from spanwise_pipeline.systems import NAMES
from spanwise_profiling.load import load_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord

pytestmark = pytest.mark.slow

FLAGS = (
    "async_fetch, batch_tools, cached_reports, compress_prompts, concise_prompts, concurrent_aggregation, "
    "concurrent_debate, concurrent_risk, market_cache, parallel_analysts, pooled_connections"
)
SYSTEMS = ", ".join(sorted(NAMES))
RUN = ("systems", "run", "trading")
TWO_RUNS = (*RUN, "--preset", "optimized", "--runs", "2", "--speed", "200")
NO_SUCH_OPTION = (
    "systems run: No such option: --sped (Possible options: --seed, --set, --speed) (see: spanwise systems run --help)"
)
ABOVE_ZERO = "must be a number above 0; 1 is real time, 20 is twenty times faster"


def refusal(folder: Path, *arguments: str, code: int, extra: Mapping[str, str] | None = None) -> str:
    """Run a command that must fail with `code`, and return its one line on standard error."""
    done = spanwise(*arguments, folder=folder, extra=extra)
    return one_line(folder, done, code=code)


def one_line(folder: Path, done: subprocess.CompletedProcess[str], *, code: int) -> str:
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (code, 1), done.stderr
    assert "Traceback" not in done.stdout
    assert running_for(folder) == []
    return lines[0].removeprefix("spanwise: ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("systems", "run", "tradng"), f"unknown system 'tradng'; did you mean 'trading'? Allowed: {SYSTEMS}"),
        (("systems", "tradng"), f"unknown system 'tradng'; did you mean 'trading'? Allowed: {SYSTEMS}"),
        (
            (*RUN, "--preset", "optimzed"),
            "unknown preset 'optimzed' of trading; did you mean 'optimized'? Allowed: baseline, optimized, published",
        ),
        (
            (*RUN, "--set", "batch_tool=on"),
            f"--set batch_tool=on: unknown flag 'batch_tool' of trading; did you mean 'batch_tools'? Allowed: {FLAGS}",
        ),
        ((*RUN, "--set", "batch_tools=2"), "--set batch_tools=2: batch_tools is true or false; write batch_tools=true"),
        ((*RUN, "--set", "batch_tools"), "--set batch_tools: batch_tools is true or false; write batch_tools=true"),
        ((*RUN, "--speed", "0"), f"--speed 0: {ABOVE_ZERO}"),
        ((*RUN, "--speed", "nan"), f"--speed nan: {ABOVE_ZERO}"),
        ((*RUN, "--speed", "inf"), f"--speed inf: {ABOVE_ZERO}"),
        (("provider", "--speed", "0"), f"--speed 0: {ABOVE_ZERO}"),
        (
            (*RUN, "--base-url", "desk"),
            "--base-url 'desk': give an address such as http://127.0.0.1:8400/v1",
        ),
        ((*RUN, "--sped", "20"), NO_SUCH_OPTION),
        (("rums",), "No such command 'rums'. Did you mean 'runs'? (see: spanwise --help)"),
        (("systems", "run"), "systems run: Missing argument 'SYSTEM' (see: spanwise systems run --help)"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, tuple) else "",
)
def test_a_name_or_value_that_does_not_exist(tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    assert refusal(tmp_path, *arguments, code=2) == line
    assert list(tmp_path.iterdir()) == []


PROFILES = {
    "unknown key": ("name: slow\nmodels:\n  m: {sigmaa: 0.1}\n", "3: models.m: unknown key 'sigmaa'; did you mean"),
    "wrong type": ("name: slow\nembedding_dimension: many\n", "2: embedding_dimension: "),
    "duplicate key": ("name: slow\n\nname: fast\n", "3: duplicate key 'name' (first on line 1); remove one of the two"),
}
BUDGETS = {
    "unknown key": ("version: 1\ndefault:\n  duratoin: {p95: 1}\n", "3: default: unknown key 'duratoin'; did you mean"),
    "wrong type": ("version: 1\ndefault:\n  duration: {p95: long}\n", "3: default.duration.p95: "),
    "duplicate key": (
        "version: 1\nversion: 1\n",
        "2: duplicate key 'version' (first on line 1); remove one of the two",
    ),
}


@pytest.mark.parametrize("fault", PROFILES)
def test_a_profile_that_cannot_be_meant(tmp_path: Path, fault: str) -> None:
    text, line = PROFILES[fault]
    (tmp_path / "profile.yaml").write_text(text)

    said = refusal(tmp_path, "provider", "--profile", "profile.yaml", "--port", "0", code=2)

    assert said.startswith(f"profile.yaml:{line}")


@pytest.mark.parametrize("fault", BUDGETS)
def test_budgets_that_cannot_be_meant(tmp_path: Path, fault: str) -> None:
    text, line = BUDGETS[fault]
    (tmp_path / "budgets.yaml").write_text(text)

    said = refusal(tmp_path, "alerts", "build", "--budgets", "budgets.yaml", "--output", "rules.yaml", code=2)

    assert said.startswith(f"budgets.yaml:{line}")
    assert not (tmp_path / "rules.yaml").exists()


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def closed_port() -> int:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        return int(other.getsockname()[1])


def test_a_provider_on_a_taken_port(tmp_path: Path) -> None:
    with taken_port() as port:
        said = refusal(tmp_path, "provider", "--port", str(port), code=4)

    assert said == (
        f"127.0.0.1:{port}: cannot listen there (Address already in use); choose another with --port, or --port 0 for "
        "a free one"
    )


def test_metrics_on_a_taken_port(tmp_path: Path) -> None:
    with taken_port() as port:
        said = refusal(tmp_path, *RUN, "--speed", "200", code=4, extra={"SPANWISE_METRICS_PORT": str(port)})

    assert said == (
        f"port {port}: metrics cannot be served there (Address already in use); free it, or set SPANWISE_METRICS_PORT "
        "to another one (0 takes a free one)"
    )


def test_an_endpoint_of_models_that_is_down(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}/v1"

    said = refusal(tmp_path, *RUN, "--base-url", url, code=4)

    assert said.startswith(f"{url}: not reachable (")
    assert said.endswith("); start it or check --base-url")


def ledger(folder: Path, journal: str = ".spanwise") -> dict[str, Any]:
    return dict(json.loads(spanwise("ledger", "--json", "--journal", journal, folder=folder).stdout))


def test_a_receiver_of_spans_that_is_down_fails_no_run_and_shows_in_the_ledger(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    extra = {"SPANWISE_ENDPOINT": endpoint, "SPANWISE_SHUTDOWN_TIMEOUT": "1"}

    done = spanwise(*RUN, "--preset", "optimized", "--speed", "200", "--json", folder=tmp_path, extra=extra)

    counts = ledger(tmp_path)
    pending = counts["journaled"]
    assert pending > 0
    assert one_line(tmp_path, done, code=0) == (
        f"warning: {endpoint}: {pending} spans were not delivered (they are kept; see: spanwise ledger); start the "
        "receiver, or mend SPANWISE_ENDPOINT (spanwise doctor says more), then: spanwise export --all --to otlp"
    )
    assert [run["error"] for run in json.loads(done.stdout)["runs"]] == [None]
    assert counts["destinations"] == {
        "otlp": {"delivered": 0, "pending": pending, "set_aside": 0, "filtered": 0, "expired": 0}
    }


def test_a_wrong_key(tmp_path: Path) -> None:
    profile = Profile("closed", api_key="right")
    with provider_process.provider(tmp_path, profile, speed=200) as url:
        arguments = (*RUN, "--preset", "optimized", "--speed", "200", "--base-url", url)
        said = refusal(tmp_path, *arguments, code=2, extra={"OPENAI_API_KEY": "wrong"})

    assert said == f"{url}: the API key was refused (401); set OPENAI_API_KEY to a valid one"
    assert "401" in {span.attributes.get("error.type") for span in recorded(tmp_path)}


def test_a_speed_that_is_not_the_providers(tmp_path: Path) -> None:
    with provider_process.provider(tmp_path, Profile("other"), speed=40) as url:
        said = refusal(tmp_path, *RUN, "--speed", "20", "--base-url", url, code=2)

    assert said == (f"--speed 20: the provider at {url} runs at speed 40; use --speed 40, or start it with --speed 20")


def recorded(folder: Path) -> list[SpanRecord]:
    """Return the spans in the journal, every line of which must be whole."""
    report = reader.ReadReport()
    spans = list(reader.read(folder / ".spanwise", report))
    assert (report.skipped, report.incomplete) == ([], 0)
    return spans


@contextlib.contextmanager
def long_run(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a run of 15 s; yields it and its provider's process id once the first spans are written."""
    with start(*RUN, "--preset", "baseline", "--speed", "20", folder=folder) as process:
        try:
            written = eventually(lambda: any(path.stat().st_size for path in folder.glob(".spanwise/*.seg")))
            assert written
            (provider,) = (pid for pid, command in running_for(folder) if "spanwise_pipeline.provider" in command)
            yield process, provider
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=30)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_a_provider_that_dies_in_the_middle_of_a_run(tmp_path: Path) -> None:
    with long_run(tmp_path) as (process, provider):
        os.kill(provider, signal.SIGKILL)
        done = ended(process)

    assert one_line(tmp_path, done, code=4) == (
        "the simulated provider ended in the middle of the run (exit code -9); what was recorded is kept; run again"
    )
    (run,) = load_runs(tmp_path / ".spanwise")
    assert run.error is not None
    assert run.totals.agents >= 1


def test_ctrl_c_keeps_what_was_recorded_and_ends_the_provider(tmp_path: Path) -> None:
    with long_run(tmp_path) as (process, _):
        os.killpg(process.pid, signal.SIGINT)
        done = ended(process)

    assert one_line(tmp_path, done, code=130) == "interrupted; what was recorded is kept"
    (run,) = load_runs(tmp_path / ".spanwise")
    assert run.error == "asyncio.exceptions.CancelledError"
    assert {span.trace_id for span in recorded(tmp_path)} == {run.trace_id}
    counts = ledger(tmp_path)
    assert (counts["open"], counts["buffered"], counts["dropped"]) == (0, 0, {})


def test_a_command_that_is_killed_leaves_no_provider(tmp_path: Path) -> None:
    with long_run(tmp_path) as (process, _):
        process.kill()
        process.wait(30)

        assert eventually(lambda: running_for(tmp_path), lambda found: not found) == []


def on_small_disk(folder: Path, *arguments: str, size: str, mode: str) -> subprocess.CompletedProcess[str]:
    """Run `spanwise` with `--journal disk/journal` on a tmpfs of `size`; then list its runs into runs.json."""
    unshare = shutil.which("unshare")
    reason = "there is no unshare program here"
    if unshare is not None:
        reason = subprocess.run([unshare, "-rm", "true"], capture_output=True, text=True, check=False).stderr.strip()
    if unshare is None or reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"a mount namespace is needed: {reason}")
        pytest.skip(f"a mount namespace is needed: {reason}")
    (folder / "disk").mkdir()
    program = shlex.join(PROGRAM)
    script = (
        f"mount -t tmpfs -o size={size} spanwise-test disk && mount -o remount,{mode},size={size} disk || exit 99\n"
        f"{program} {shlex.join(arguments)} --journal disk/journal; code=$?\n"
        f"{program} runs --json --journal disk/journal > runs.json; exit $code"
    )
    return subprocess.run(
        [unshare, "-rm", "sh", "-c", script],
        cwd=folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_a_disk_that_fills_up_keeps_what_was_written_before(tmp_path: Path) -> None:
    done = on_small_disk(tmp_path, *TWO_RUNS, size="120k", mode="rw")

    said = one_line(tmp_path, done, code=4)
    assert said.startswith("disk/journal: ")
    assert said.endswith(
        " spans were not recorded (No space left on device); what was written before is kept; free the disk or name "
        "another folder with --journal"
    )
    runs = json.loads((tmp_path / "runs.json").read_text())["runs"]
    assert [run for run in runs if run["duration_s"] > 0]


def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    done = on_small_disk(tmp_path, *RUN, "--speed", "200", size="300k", mode="ro")

    assert one_line(tmp_path, done, code=4) == (
        f"{tmp_path}/disk/journal: runs cannot be recorded here (Read-only file system); free or unlock the disk, or "
        "name another folder with --journal or SPANWISE_JOURNAL_DIR"
    )


@pytest.mark.parametrize("arguments", [("systems",), ("systems", "--json"), ("systems", "--help")])
def test_a_reader_who_goes_away_is_met_with_silence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody, start(*arguments, folder=tmp_path, stdout=nobody) as process:
        _, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (141, "")


def test_the_demo_ends_as_the_commands_do(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = [PROGRAM[0], "-W", "error", "-m", "spanwise_cli.demo"]

    with os.fdopen(writing, "w") as nobody:
        unread = subprocess.run(
            program, cwd=tmp_path, env=environment(), stdout=nobody, stderr=-1, text=True, timeout=60, check=False
        )
    unlike = environment({"SPANWISE_WAIT_THRESHOLD": "long"})
    refused = subprocess.run(program, cwd=tmp_path, env=unlike, capture_output=True, text=True, timeout=60, check=False)

    assert (unread.returncode, unread.stderr) == (141, "")
    assert one_line(tmp_path, refused, code=2) == (
        "demo: SPANWISE_WAIT_THRESHOLD: 'long' cannot be used; give a number of seconds of at least 0"
    )
