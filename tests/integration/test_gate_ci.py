"""The pipelines of docs/gate.md: their YAML fits the schemas of GitHub and GitLab, and their commands work.

`pip` and `gh`, which need a network, are replaced by programs that note how they were called.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.pages import ROOT, blocks

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
PROGRAM = next(text for language, text in blocks(PAGE) if language == "python")
WORKFLOW, GITLAB = (
    next(text for language, text in blocks(PAGE) if language == "yaml" and text.startswith(head))
    for head in ("name: gate\n", "gate:\n")
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository whose branch `main` has the program, and a branch for a change of it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "agents.py").write_text(PROGRAM, encoding="utf-8")
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "agents.py"],
        ["commit", "-q", "-m", "base"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
        ["checkout", "-q", "-b", "change"],
    ):
        git(folder, *words)
    return folder


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def change(folder: Path, program: str) -> None:
    (folder / "agents.py").write_text(program, encoding="utf-8")
    git(folder, "commit", "-q", "-a", "-m", "change")


def run(folder: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a step as a runner does, with stand-ins for what needs a network."""
    tools = folder.parent / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("pip", "gh"):
        (tools / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "{folder.parent}/calls"\n')
        (tools / name).chmod(0o755)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SPANWISE_", "OTEL_"))}
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env={**environment, "PATH": path, **variables}, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip


def github(folder: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """Run the steps of the workflow; those after a failure only where they run always."""
    known = {
        "github.base_ref": "main", "github.workspace": str(folder), "github.token": "none", "github.event.number": "7",
    }  # fmt: skip
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    for step in yaml.safe_load(WORKFLOW)["jobs"]["gate"]["steps"]:
        failed = any(one.returncode for one in done.values())
        if "run" not in step or (failed and step.get("if") != "always()"):
            continue
        variables = {
            name: re.sub(r"\$\{\{ (.+?) \}\}", lambda match: known[match[1]], value)
            for name, value in step.get("env", {}).items()
        }
        done[step["name"]] = run(folder, step["run"], **variables)
    return done


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (WORKFLOW, ["--builtin-schema", "vendor.github-workflows"]),
        (GITLAB, ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
    ids=["github", "gitlab"],
)
def test_the_pipelines_fit_the_schemas_of_their_services(text: str, options: list[str], tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yml"
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", *options, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_text(text.replace("script:", "skript:").replace("runs-on:", "runs-at:"), encoding="utf-8")
    assert subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).returncode == 1


def test_the_github_job_passes_a_change_that_costs_nothing(checkout: Path) -> None:
    change(checkout, PROGRAM + "\n# a comment\n")
    done = github(checkout)
    assert {name: one.returncode for name, one in done.items()} == dict.fromkeys(done, 0)
    assert list(done) == ["Install", "Record the merge base and this change in turn", "Judge", "Comment"]
    comment = (checkout / "gate.md").read_text(encoding="utf-8")
    assert comment.splitlines()[1].startswith("### \u2705 Gate passed: ")
    assert (checkout.parent / "calls").read_text(encoding="utf-8").splitlines() == [
        "pip install spanwise[pipeline]",
        "gh pr comment 7 --edit-last --create-if-none --body-file gate.md",
    ]


def test_the_github_job_fails_a_change_that_calls_once_more_and_still_comments(checkout: Path) -> None:
    change(checkout, PROGRAM.replace("call.usage(100 + seed, 20)", _ONE_MORE))
    done = github(checkout)
    assert (done["Judge"].returncode, done["Comment"].returncode) == (1, 0)
    lines = (checkout / "gate.md").read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("### \u274c Gate failed: ")
    assert any("model calls: 2, of the baseline 1" in line for line in lines)


_ONE_MORE = """call.usage(100 + seed, 20)
        with spanwise.llm_call("sim-small") as again:
            again.usage(100 + seed, 20)"""


def test_the_gitlab_job_does_the_same(checkout: Path) -> None:
    base = git(checkout, "rev-parse", "HEAD")
    change(checkout, PROGRAM.replace("call.usage(100 + seed, 20)", _ONE_MORE))
    job: dict[str, Any] = yaml.safe_load(GITLAB)["gate"]
    assert job["variables"]["SPANWISE_JOURNAL_DIR"] == "$CI_PROJECT_DIR/.spanwise"
    variables = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base, "SPANWISE_JOURNAL_DIR": f"{checkout}/.spanwise"}
    *before, judge = job["script"]
    for command in before:
        assert run(checkout, command, **variables).returncode == 0
    done = run(checkout, judge, **variables)
    assert done.returncode == 1
    assert "model calls: 2, of the baseline 1" in done.stdout
    assert 'failures="3"' in (checkout / job["artifacts"]["reports"]["junit"]).read_text(encoding="utf-8")


@pytest.mark.alone
def test_the_self_test_says_how_well_the_gate_can_tell(tmp_path: Path) -> None:
    done = run(tmp_path, "spanwise gate --self-test --runs 6 --slowdown 60% --speed 10 --json")
    assert done.stderr == ""
    found = yaml.safe_load(done.stdout)
    assert (found["schema"], found["verdict"], done.returncode) == ("spanwise.gate/1", "pass", 0)
    told = found["self_test"]
    assert (told["pairs"], told["planted"], told["one_call_more"]) == (6, "fail", "fail")
    assert told["equal_runs"] == "pass"
    assert 0 < told["noise"] < 0.6
    assert told["false_alarms"] <= 0.05
    assert told["power"] >= 0.8
