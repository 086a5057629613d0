"""What reading a journal costs: segments of checksummed records beside the same spans as lines of OTLP/JSON.

    python benchmarks/reading.py [--spans 100000] [--rounds 7]

Both are read in turns; the ratio is that of the least CPU seconds of all rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from spanwise.journal import folder as folders
from spanwise.journal import reader
from spanwise.journal.format import END
from spanwise.journal.segment import SegmentWriter, stream_name

BATCH = 512


def payload(first: int) -> bytes:
    """Return a request of `BATCH` model calls."""
    spans = ",".join(
        f'{{"traceId":"{7:032x}","spanId":"{number:016x}","parentSpanId":"{1:016x}","name":"chat small","kind":3,'
        f'"startTimeUnixNano":"{number}","endTimeUnixNano":"{number + 9}","attributes":'
        '[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},'
        '{"key":"gen_ai.usage.input_tokens","value":{"intValue":"500"}}],"status":{}}'
        for number in range(first, first + BATCH)
    )
    return f'{{"resourceSpans":[{{"resource":{{}},"scopeSpans":[{{"scope":{{}},"spans":[{spans}]}}]}}]}}'.encode()


def seconds(folder: Path, spans: int) -> float:
    """Return the CPU seconds that reading all of a folder takes."""
    began = time.process_time()
    assert sum(1 for _ in reader.read(folder)) == spans
    return time.process_time() - began


def main() -> None:
    """Write, read and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    payloads = [payload(first) for first in range(1, arguments.spans, BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        lines, segments = Path(folder, "lines"), Path(folder, "segments")
        lines.mkdir()
        (lines / "a.otlp.jsonl").write_bytes(b"".join(one + b"\n" for one in payloads))
        folders.prepare(segments)
        writer = SegmentWriter(segments, stream_name())
        for one in payloads:
            writer.append(END, one, BATCH)
        writer.close()
        spans = len(payloads) * BATCH
        rounds = [(seconds(segments, spans), seconds(lines, spans)) for _ in range(arguments.rounds)]
    of_segments, of_lines = (min(times) for times in zip(*rounds, strict=True))
    print(f"{spans:,} spans: segments {of_segments:.2f} s, lines {of_lines:.2f} s, ratio {of_segments / of_lines:.2f}")


if __name__ == "__main__":
    main()
