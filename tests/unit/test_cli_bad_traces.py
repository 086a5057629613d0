"""Whatever is given for a trace, every command that reads one answers in one line with its exit code, or reads it."""

from __future__ import annotations

import gzip
import json
import socket
from typing import TYPE_CHECKING, Final

import pytest
from support.traces import chat, identifier, line_of, record, span, workflow

from spanwise_cli import main as program
from spanwise_cli.options import presentation

if TYPE_CHECKING:
    from pathlib import Path

LINE: Final = line_of(workflow(1, 0, 9), chat(2, 1, 2, parent=1)).encode()
WITHOUT_IDS: Final = LINE.replace(span(1).span_id.encode(), b"").replace(span(2).span_id.encode(), b"")
FILES: Final[dict[str, tuple[bytes, str]]] = {
    "empty": (b"", "is empty"),
    "wrong-format.html": (b"<html></html>", "is a web page or XML"),
    "other-json.json": (b'{"resourceMetrics": []}', ""),
    "truncated.json.gz": (gzip.compress(LINE * 50)[:20], "compressed data is damaged or cut off"),
    "no-spans.json": (b'{"resourceSpans": []}', "holds no span"),
    "broken-spans.json": (WITHOUT_IDS, ":1: skipped: "),
}
READING: Final[dict[str, tuple[str, ...]]] = {
    "show": ("show", "FILE"),
    "show as a document": ("show", "FILE", "--json"),
    "profile": ("profile", "FILE"),
    "profile as a document": ("profile", "FILE", "--json"),
    "profile as a page": ("profile", "FILE", "--html", "out"),
    "profile as a comment": ("profile", "FILE", "--markdown"),
    "profile of several": ("profile", "last", "--from", "FILE", "--journal", "journal"),
    "export": ("export", "FILE", "--to", "out"),
    "import": ("import", "FILE", "--journal", "other"),
}
"""The commands that read a trace; FILE is the trace."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setattr(presentation, "color", presentation.color)
    monkeypatch.setattr(presentation, "verbose", presentation.verbose)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of the program."""
    code = program.main(words)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("command", READING.values(), ids=READING)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_holds_no_trace_is_one_line_and_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, command: tuple[str, ...]
) -> None:
    content, problem = FILES[name]
    (tmp_path / name).write_bytes(content)
    record(tmp_path / "journal", workflow(1, 0, 1))
    before = sorted(tmp_path.iterdir())

    code, out, err = said(capsys, *(name if word == "FILE" else word for word in command))

    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert err.startswith(f"spanwise: {name}")
    assert problem in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", [READING[name] for name in ("show", "profile", "export")])
def test_an_id_that_nothing_has_is_one_line_and_2_that_names_the_near_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    record(tmp_path / ".spanwise", workflow(1, 0, 1))

    code, out, err = said(capsys, *("0001aaab" if word == "FILE" else word for word in command))

    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "no such run; nearest: 0001aaaa (trading)" in err


@pytest.mark.parametrize("command", [READING[name] for name in ("show", "profile", "profile of several", "export")])
def test_a_jaeger_that_is_away_is_one_line_and_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    record(tmp_path / "journal", workflow(1, 0, 1))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}/trace/{identifier(1, 32)}"

    code, out, err = said(capsys, *(address if word == "FILE" else word for word in command))

    assert (code, out, len(err.splitlines())) == (4, "", 1)
    assert "is Jaeger running there?" in err


def deep(count: int) -> str:
    return line_of(workflow(1, 0, 9), *(span(number, 0, 9, parent=number - 1) for number in range(2, count + 1)))


def wide(count: int) -> str:
    return line_of(workflow(1, 0, 9), *(span(number, 0, 9, parent=1) for number in range(2, count + 1)))


@pytest.mark.slow
@pytest.mark.parametrize("trace", [deep(10_000), wide(10_000)], ids=["deep", "wide"])
def test_deep_nesting_and_very_many_siblings_are_read_by_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trace: str
) -> None:
    (tmp_path / "trace.json").write_text(trace, encoding="utf-8")
    for command in (
        ("show", "trace.json"),
        ("profile", "trace.json"),
        ("profile", "trace.json", "--plain"),
        ("profile", "trace.json", "--markdown"),
        ("profile", "trace.json", "--html", "page.html", "--speedscope", "stacks.json", "--perfetto", "slices.json"),
        ("import", "trace.json", "--journal", "journal"),
        ("export", "last", "--to", "copy.jsonl", "--journal", "journal"),
    ):
        assert said(capsys, *command)[0] == 0, command
    code, out, _ = said(capsys, "profile", "copy.jsonl", "--json")
    assert code == 0
    [run] = json.loads(out)["runs"]
    assert sum(run["budget_ns"].values()) == 9_000_000_000


EVIL: Final = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e\x00\r"


def odd(**values: object) -> bytes:
    """Return a run whose call has these attributes, and whose resource has a time scale of 1e308."""
    document = json.loads(line_of(workflow(1, 0, 9, scale=1e308), chat(2, 1, 2, parent=1)))
    one = document["resourceSpans"][0]["scopeSpans"][0]["spans"][1]
    one["attributes"] += [{"key": name.replace("__", "."), "value": value} for name, value in values.items()]
    return json.dumps(document).encode() + b"\n"


def nested(depth: int) -> bytes:
    return b'{"resourceSpans":' + b"[" * depth + b"]" * depth + b"}\n"


ODD: Final = {
    "numbers": odd(
        gen_ai__usage__input_tokens={"intValue": "9" * 4000}, gen_ai__usage__output_tokens={"intValue": "9" * 18},
        spanwise__cpu__seconds={"doubleValue": 1e308}, gen_ai__response__time_to_first_chunk={"doubleValue": "NaN"},
        spanwise__gc__pause__seconds={"doubleValue": "Infinity"}, spanwise__retry__attempt={"doubleValue": 1e308},
    ),
    "control characters": odd(
        gen_ai__agent__name={"stringValue": EVIL}, error__type={"stringValue": EVIL},
        spanwise__cost__currency={"stringValue": EVIL},
    ).replace(b"trading", json.dumps(EVIL)[1:-1].encode()).replace(b"chat sim-1", json.dumps(EVIL)[1:-1].encode()),
    "a lone surrogate": odd().replace(b"sim-1", b"\\ud800") + LINE,
    "spans that are none": odd().replace(b'"spans": [', b'"spans": [7, ') + LINE,
}  # fmt: skip


@pytest.mark.parametrize("command", READING.values(), ids=READING)
@pytest.mark.parametrize("name", ODD)
def test_whatever_a_trace_holds_commands_answer_and_no_control_character_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, command: tuple[str, ...]
) -> None:
    (tmp_path / "odd.jsonl").write_bytes(ODD[name])
    record(tmp_path / "journal", workflow(1, 0, 1))
    code, out, err = said(capsys, *("odd.jsonl" if word == "FILE" else word for word in command))
    assert code == 0, err
    assert not [character for character in out + err if not (character.isprintable() or character == "\n")]


@pytest.mark.parametrize("command", READING.values(), ids=READING)
@pytest.mark.parametrize("content", [nested(100_000), b"{" * 100_000, b'{"a":' * 50_000, b"{\n  a: " + b"[" * 50_000])
def test_nesting_without_end_is_no_fault_of_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, command: tuple[str, ...]
) -> None:
    (tmp_path / "deep.jsonl").write_bytes(content)
    record(tmp_path / "journal", workflow(1, 0, 1))
    code, _, err = said(capsys, *("deep.jsonl" if word == "FILE" else word for word in command))
    assert (code, len(err.splitlines())) == (2, 1)


PRICE: Final = '[[price]]\nmodels = ["m"]\nsince = 2026-01-01\noutput = 1\nsource = "x"\n'
TABLES: Final = {
    "control characters": 'currency = "\\u001b[31m"\ntokens = 1\n' + PRICE + "input = 1\n",
    "a number of 5,000 digits": "tokens = " + "9" * 5_000,
    "nesting": "a = " + "[" * 5_000,
    "many tokens": 'currency = "USD"\ntokens = ' + "9" * 400 + "\n" + PRICE + "input = 1\n",
    "a high price": 'currency = "USD"\ntokens = 1\n' + PRICE + "input = " + "9" * 400,
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_a_table_of_prices_that_makes_no_sense_is_one_line_and_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "x.jsonl").write_bytes(LINE)
    (tmp_path / "prices.toml").write_text(text, encoding="utf-8")
    code, out, err = said(capsys, "profile", "x.jsonl", "--prices", "prices.toml")
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert err.strip().isprintable()
