"""What spanwise makes of each file in a folder: its format, spans, runs, tokens, cost, and what it could not read.

    python benchmarks/opened.py FOLDER          # your own files; every file below it is opened
    python benchmarks/opened.py                 # twenty made-up downloads of Langfuse, and traces of PyTorch and Chrome
    python benchmarks/opened.py --write FOLDER  # leaves the made-up files there

Nothing is changed, sent or kept. The exit code is 1 where a file could not be opened.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from made_up_traces import write_all

from spanwise.errors import InputError
from spanwise_profiling import prices
from spanwise_profiling.load import Recording, load
from spanwise_profiling.normalise import normalised
from spanwise_profiling.text import printable
from spanwise_profiling.usage import usage_of


def described(recording: Recording, table: prices.Prices) -> str:
    """Return one line about what a file holds."""
    runs = [normalised(run) for run in recording.runs]
    usages = [usage_of(run, table) for run in runs]
    scopes = Counter(span.scope_name or "-" for run in recording.runs for _, span in run.walk())
    sent, cached, made = (
        sum(getattr(usage.total, name) for usage in usages)
        for name in ("input_tokens", "cached_tokens", "output_tokens")
    )
    unpriced = sum(usage.total.unpriced for usage in usages)
    cost = sum(call.cost or 0.0 for usage in usages for call in usage.calls)
    parts = [
        f"by {printable(scopes.most_common(1)[0][0])}",
        f"{recording.report.spans:,} spans",
        f"{len(runs):,} runs",
        f"{sum(usage.total.calls for usage in usages):,} model calls",
        f"{sent:,} tokens in ({cached:,} cached), {made:,} out",
        f"{cost:.4f} {table.currency}" + (f" and {unpriced} calls without a price" if unpriced else ""),
    ]
    return ", ".join(parts)


def open_all(folder: Path) -> int:
    """Print what each file below `folder` is; returns how many could not be opened."""
    table, refused = prices.load(), 0
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    for path in files:
        try:
            recording = load(path)
        except InputError as error:
            refused += 1
            print(f"{path.relative_to(folder)}: NOT OPENED: {error}")
            continue
        print(f"{path.relative_to(folder)}: {described(recording, table)}")
        repairs = [warning for run in recording.runs for warning in normalised(run).warnings]
        for warning in (*recording.warnings, *repairs):
            print(f"    {printable(warning.removeprefix(f'{path}: '))}")
    print(f"{len(files) - refused} of {len(files)} files opened")
    return refused


def main() -> int:
    """Open the files of a folder, or made-up ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the made-up files there")
    arguments = parser.parse_args()
    if arguments.write is not None:
        arguments.write.mkdir(parents=True, exist_ok=True)
        print(f"{len(write_all(arguments.write))} files written to {arguments.write}")
        return 0
    if arguments.folder is not None:
        return min(1, open_all(arguments.folder))
    with tempfile.TemporaryDirectory() as folder:
        write_all(Path(folder))
        return min(1, open_all(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
