"""Builds the wheel and uses it as a stranger would: a fresh environment, an empty folder, no checkout in sight.

Its dependencies come from the environment that runs this script, through a path file, so that nothing is downloaded.
That environment's own editable spanwise is not active there: path files of a folder that is itself added by one are
not read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from support.compiling import can_compile

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "spanwise": "instrumentation",
    "spanwise_alerts": "alerts",
    "spanwise_cli": "cli",
    "spanwise_dashboards": "dashboards",
    "spanwise_pipeline": "pipeline",
    "spanwise_profiling": "profiling",
}
SOURCES_IN_C = sorted((ROOT / "instrumentation").rglob("*.c"))
COMMANDS = (
    "run",
    "systems",
    "provider",
    "runs",
    "show",
    "export",
    "import",
    "ledger",
    "mcp",
    "alerts",
    "dashboards",
    "doctor",
    "stack",
)
RECORDS = """
import time
import spanwise  # noqa: PLC0415 - the other kind is not to load it
spanwise.configure(service_name="smoke", journal_dir=".spanwise")
with spanwise.workflow("desk"), spanwise.agent("risk"), spanwise.llm_call("m") as call:
    call.usage(10, 2)
    time.sleep(0.02)
"""
SCRIPT = """
import spanwise, sys
with spanwise.llm_call("m"):
    print(sys.argv[1:])
"""
WHERE = "import spanwise, spanwise_cli.main; print(spanwise.__file__)"


class SmokeError(Exception):
    """What does not work in the wheel."""


def expect(condition: object, problem: str) -> None:
    """Raise `SmokeError` with `problem` unless `condition` holds."""
    if not condition:
        raise SmokeError(problem)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, without this checkout's settings; returns its standard output."""
    hidden = ("OTEL_", "SPANWISE_", "PYTHON", "VIRTUAL_ENV")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)} | {"COLUMNS": "100"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    shown = " ".join(str(word) for word in command)
    expect(done.returncode == 0, f"`{shown}` ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def build(folder: Path) -> Path:
    """Build the wheel into `folder`."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    [wheel] = folder.glob("spanwise-*.whl")
    return wheel


def shipped_files() -> set[str]:
    """Return the names, as in the wheel, of everything in the packages of this checkout."""
    return {
        f"{package}/{path.relative_to(ROOT / folder / package).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in (ROOT / folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".") and path.suffix != ".so"
    }


def check_contents(wheel: Path) -> int:
    """Check that the wheel holds every file of the packages and claims no other name; returns how many are data."""
    names = set(zipfile.ZipFile(wheel).namelist())
    claimed = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    expect(claimed == PACKAGES.keys(), f"the wheel claims {sorted(claimed)}")
    missing = shipped_files() - names
    expect(not missing, f"the wheel lacks {sorted(missing)}")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    names_in_c = [path.relative_to(ROOT / "instrumentation").with_suffix(suffix).as_posix() for path in SOURCES_IN_C]
    compiled = set(names_in_c) if can_compile() else set()
    made = {name for name in names if name.endswith(".so")}
    expect(made == compiled, f"compiled for the wheel: {sorted(made)}; expected: {sorted(compiled)}")
    data = {name for name in names if not name.endswith((".py", ".so")) and ".dist-info/" not in name}
    for kind, beginning, end in (
        ("the provider's profiles", "spanwise_pipeline/", ".yaml"),
        ("the alert rules", "spanwise_alerts/generated/", ".yaml"),
        ("the dashboard", "spanwise_dashboards/generated/", ".json"),
        ("the HTML report's script", "spanwise_profiling/render/html/assets/", ".js"),
        ("the collector's configuration", "spanwise_cli/stack/otel-collector", ".yaml"),
    ):
        found = any(name.startswith(beginning) and name.endswith(end) for name in data)
        expect(found, f"the wheel lacks {kind} ({beginning}…{end})")
    return len(data)


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel into a fresh environment in `folder`; returns its folder of programs."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    programs = folder / "bin"
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=folder.parent)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return programs


def document(*command: str | Path, cwd: Path) -> dict[str, Any]:
    """Run a command with `--json`; returns its document."""
    found: dict[str, Any] = json.loads(run(*command, "--json", cwd=cwd))
    return found


def check_use(programs: Path, folder: Path) -> None:
    """Use the installed package in an empty folder."""
    python, spanwise = programs / "python", programs / "spanwise"
    where = run(python, "-c", WHERE, cwd=folder).strip()
    expect(where.startswith(str(programs.parent)), f"spanwise is imported from {where}")
    expect(run(spanwise, "--version", cwd=folder).startswith("spanwise "), "`spanwise --version` does not say it")
    offered = run(spanwise, "--help", cwd=folder)
    expect(all(command in offered for command in COMMANDS), f"`spanwise --help` lacks a command: {offered}")
    for command in COMMANDS:
        run(spanwise, command, "--help", cwd=folder)
    run(spanwise, "alerts", "check", cwd=folder)
    run(spanwise, "dashboards", "check", cwd=folder)
    expect(document(spanwise, "systems", cwd=folder)["schema"] == "spanwise.systems/1", "`systems --json` differs")
    expect(document(spanwise, "doctor", cwd=folder)["status"] != "failed", "`spanwise doctor` finds a failure")
    expect(not list(folder.iterdir()), "reading commands wrote into the folder")
    check_recording(python, spanwise, folder)


def check_recording(python: Path, spanwise: Path, folder: Path) -> None:
    """Record a run and read it back."""
    run(python, "-W", "error", "-c", RECORDS, cwd=folder)
    ledger = document(spanwise, "ledger", cwd=folder)
    expect((ledger["started"], ledger["journaled"]) == (3, 3), f"the ledger says {ledger}")
    [listed] = document(spanwise, "runs", cwd=folder)["runs"]
    expect(listed["workflow"] == "desk", f"`spanwise runs` lists {listed}")
    spans = document(spanwise, "show", "last", cwd=folder)["run"]["spans"]
    budget = [name for name in spans[0]["attributes"] if name.startswith("spanwise.budget.")]
    expect(budget, "the workflow's span has no budget: the entry points of the wheel are not found")
    shown = run(spanwise, "show", "last", cwd=folder)
    expect("desk" in shown and "risk" in shown, f"`spanwise show last` shows {shown}")
    (folder / "app.py").write_text(SCRIPT, encoding="utf-8")
    said = run(spanwise, "run", "app.py", "-v", cwd=folder)
    expect(said == "['-v']\n", f"`spanwise run app.py -v` says {said}")
    shown = run(spanwise, "show", "last", cwd=folder)
    expect(
        "workflow app.py" in shown and "chat m" in shown, f"after `spanwise run`, `spanwise show last` shows {shown}"
    )


def main() -> int:
    """Return 0 when everything works, else say what does not and return 1."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="spanwise-smoke-") as scratch:
        folder = Path(scratch)
        (folder / "empty").mkdir()
        try:
            wheel = build(folder)
            data = check_contents(wheel)
            check_use(install(wheel, folder / "venv"), folder / "empty")
        except SmokeError as error:
            sys.stderr.write(f"smoke test of the wheel: {error}\n")
            return 1
        size = wheel.stat().st_size // 1024
    seconds = time.monotonic() - began
    sys.stdout.write(f"{wheel.name}: works in an empty folder ({size} KiB, {data} data files, {seconds:.0f} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
