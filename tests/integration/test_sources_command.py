from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from support.command import spanwise
from support.traces import record, workflow

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_the_command_line_answers_bad_input_with_one_line_and_2_and_a_server_that_is_away_with_4(
    tmp_path: Path,
) -> None:
    empty = tmp_path / "empty.json"
    empty.touch()
    record(tmp_path / "journal", workflow(1, 0, 1))
    free = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{free.getsockname()[1]}/trace/{'7' * 32}"
    free.close()
    for command in ("show", "profile"):
        for argument, code in ((empty, 2), ("0002aaaa", 2), (address, 4)):
            result = spanwise(command, str(argument), "--journal", "journal", folder=tmp_path)
            assert (result.returncode, len(result.stderr.splitlines()), result.stdout) == (code, 1, "")
    assert "nearest: 0001aaaa (trading)" in spanwise("show", "0001aaab", "--journal", "journal", folder=tmp_path).stderr
