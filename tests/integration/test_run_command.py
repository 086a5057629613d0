"""`spanwise run`: an unchanged program runs as with plain Python, and what it did is in the journal at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from spanwise.journal import reader

if TYPE_CHECKING:
    from pathlib import Path

    from spanwise.journal.reader import SpanRecord

COMMAND = [sys.executable, "-m", "spanwise_cli"]
CALLS = """
import spanwise
with spanwise.llm_call("m") as call:
    call.usage(input_tokens=5, output_tokens=2)
"""


def environment(**variables: str) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANWISE_"))}
    return inherited | variables


def run(folder: Path, *words: str, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*COMMAND, "run", *words], cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def plainly(folder: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def recorded(folder: Path) -> dict[str, SpanRecord]:
    return {span.name: span for span in reader.read(folder / ".spanwise")}


def parents(folder: Path) -> dict[str, str | None]:
    """Return the name of each span's parent by the span's name."""
    spans = list(reader.read(folder / ".spanwise"))
    names = {span.span_id: span.name for span in spans}
    return {span.name: None if span.parent_id is None else names[span.parent_id] for span in spans}


LOOKS = """
import os, sys
print(sys.argv, __name__, __file__, sys.path, sys.flags, getattr(__spec__, "name", None), sys.excepthook.__module__)
print(sorted(set(os.environ) - {name for name in os.environ if name.startswith("SPANWISE_")} - {"PYTHONPATH"}))
sys.stderr.write("said\\n")
sys.exit(int(sys.argv[-1]))
"""


@pytest.mark.parametrize("words", [("app.py", "-v", "--", "--help", "-m", "3"), ("-m", "app", "--journal", "x", "4")])
def test_a_program_sees_what_it_sees_under_plain_python(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "app.py").write_text(LOOKS)

    assert run(tmp_path, *words) == plainly(tmp_path, *words)


FAILS = """
def fail():
    raise KeyError("x")

print("before")
fail()
"""


def test_an_exception_is_told_as_by_plain_python_and_the_run_has_failed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(FAILS)

    assert run(tmp_path, "app.py") == plainly(tmp_path, "app.py")
    span = recorded(tmp_path)["invoke_workflow app.py"]
    assert (span.status_code, span.attributes["error.type"]) == (2, "KeyError")


def test_calls_outside_of_workflows_are_one_run_named_after_the_script(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(CALLS)

    assert run(tmp_path, "app.py") == (0, "", "")
    assert parents(tmp_path) == {"invoke_workflow app.py": None, "chat m": "invoke_workflow app.py"}
    shown = subprocess.run([*COMMAND, "show", "last"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "1 LLM call" in shown.stdout


def test_a_workflow_of_the_programs_own_is_the_run(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import asyncio, spanwise\n"
        "async def main():\n    await asyncio.sleep(0.01)\n    with spanwise.workflow('desk'):\n        pass\n"
        "asyncio.run(main())\n"
    )

    assert run(tmp_path, "app.py") == (0, "", "")
    assert parents(tmp_path) == {"invoke_workflow desk": None}


def test_a_program_may_configure_spanwise_itself(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        f"import spanwise\nspanwise.configure(service_name='desk', causality='off')\n{CALLS}"
    )

    assert run(tmp_path, "app.py") == (0, "", "")
    assert parents(tmp_path) == {"invoke_workflow app.py": None, "chat m": "invoke_workflow app.py"}
    assert {span.resource["service.name"] for span in recorded(tmp_path).values()} == {"desk"}


WAITS = """
import asyncio, spanwise
async def ask(model, seconds):
    with spanwise.llm_call(model):
        await asyncio.sleep(seconds)
async def main():
    await asyncio.sleep(0.01)
    await asyncio.gather(ask("a", 0.02), ask("b", 0.01))
run(main())
"""


@pytest.mark.parametrize("loop", ["from asyncio import run", "from uvloop import run"])
def test_what_the_program_waited_for_is_recorded_from_its_first_line_on(tmp_path: Path, loop: str) -> None:
    (tmp_path / "app.py").write_text(loop + WAITS)

    assert run(tmp_path, "app.py") == (0, "", "")
    spans = list(reader.read(tmp_path / ".spanwise"))
    root = next(span for span in spans if span.name == "invoke_workflow app.py")
    waits = [
        str(span.attributes["spanwise.wait.resource"])
        for span in spans
        if span.parent_id == root.span_id and span.is_wait
    ]
    assert sorted(waits) == ["gather", "sleep"]


CHILDREN = """
import multiprocessing, spanwise, subprocess, sys
def work(name):
    with spanwise.llm_call(name):
        pass
if __name__ == "__main__":
    for method in ("spawn", "fork"):
        child = multiprocessing.get_context(method).Process(target=work, args=(method,))
        child.start()
        child.join()
    subprocess.run([sys.executable, "-c", "import spanwise\\nwith spanwise.llm_call('other'): pass"], check=True)
"""


def test_processes_that_the_program_starts_are_part_of_its_run(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(CHILDREN)

    assert run(tmp_path, "app.py") == (0, "", "")
    top = "invoke_workflow app.py"
    assert parents(tmp_path) == {top: None, "chat spawn": top, "chat fork": top, "chat other": top}


@pytest.mark.parametrize(("number", "state"), [(signal.SIGTERM, "ended"), (signal.SIGKILL, "interrupted")])
def test_a_program_that_is_killed_ends_as_ever_and_leaves_its_run(
    tmp_path: Path, number: signal.Signals, state: str
) -> None:
    (tmp_path / "app.py").write_text(
        f"import os, time\n{CALLS}\ntime.sleep(0.5)\nos.kill(os.getpid(), {number.value})\n"
    )

    assert run(tmp_path, "app.py") == (-number.value, "", "")
    assert {name: span.state for name, span in recorded(tmp_path).items()} == {
        "chat m": "ended", "invoke_workflow app.py": state,
    }  # fmt: skip


def test_a_sitecustomize_of_the_users_is_still_loaded(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("print('mine')\n")
    (tmp_path / "app.py").write_text(
        "import sitecustomize; print(sitecustomize.__file__.endswith('site/sitecustomize.py'))"
    )

    assert run(tmp_path, "app.py", PYTHONPATH=str(tmp_path / "site")) == (
        0,
        "mine\nmine\nTrue\n",
        "",
    )  # the command is a Python, too


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["no.py"], 2, "spanwise: no.py: there is no such file; name a Python file, or a module with -m\n"),
        (["."], 2, "spanwise: .: is a folder without __main__.py; name a Python file, or a module with -m\n"),
        (["--journal", "app.py/x", "app.py"], 4, "spanwise: {here}/app.py/x: runs cannot be recorded here"),
        (["--no-such", "app.py"], 2, "spanwise: run: No such option: --no-such"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_or_recorded_is_one_line(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    (tmp_path / "app.py").write_text("print('ran')")

    found = run(tmp_path, *words)
    assert (found[0], found[1], found[2].count("\n")) == (code, "", 1)
    assert found[2].startswith(said.format(here=tmp_path))


def test_a_setting_that_cannot_be_used_in_the_program_costs_the_recording_and_not_the_program(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import subprocess, sys, os\nos.environ['SPANWISE_CAUSALITY'] = 'maybe'\n"
                                     "subprocess.run([sys.executable, '-c', 'print(1)'])\n")  # fmt: skip

    code, out, said = run(tmp_path, "app.py")
    assert (code, out, said.count("\n")) == (0, "1\n", 1)
    assert said.startswith("spanwise: app.py is not recorded: SPANWISE_CAUSALITY: 'maybe' cannot be used")


WSGI = """
import spanwise
def app(environ, start_response):
    start_response("200 OK", [])
    with spanwise.llm_call("m"):
        return [b"done"]
"""


def test_each_request_to_gunicorn_is_a_run_and_the_server_is_none(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(WSGI)
    # A worker that is still starting misses SIGTERM, and gunicorn then waits for its graceful timeout, 30 s by default.
    words = ["run", "-m", "gunicorn", "app:app", "--bind", "127.0.0.1:0", "--workers", "2", "--graceful-timeout", "5"]
    server = subprocess.Popen([*COMMAND, *words], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        listening = next(line for line in server.stderr if "Listening at: " in line)
        address = listening.split("Listening at: ")[1].split()[0]
        for number in range(3):
            with urllib.request.urlopen(f"{address}/{number}", timeout=10) as answer:
                assert answer.read() == b"done"
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    spans = list(reader.read(tmp_path / ".spanwise"))
    assert sorted(span.name for span in spans if span.parent_id is None) == ["GET /0", "GET /1", "GET /2"]
    assert (len(spans), server.returncode) == (6, 0)


def test_pytest_runs_under_it(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(f"def test_it():\n    {CALLS.strip().replace(chr(10), chr(10) + '    ')}\n")

    code, out, said = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py")
    assert (code, said) == (0, "")
    assert "1 passed" in out
    assert parents(tmp_path) == {"invoke_workflow pytest": None, "chat m": "invoke_workflow pytest"}
