from __future__ import annotations

import json
import urllib.error
from typing import TYPE_CHECKING

import pytest
from support.servers import eventually, need, post_otlp
from support.traces import ONE_OF_EACH

from spanwise.journal.reader import ReadReport, read_file
from spanwise_cli.stack import catalogue, processes
from spanwise_cli.stack.ports import LOOPBACK, Ports

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "{address}"}}}}}}}}
exporters: {{file: {{path: "{file}", flush_interval: 50ms}}}}
service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{traces: {{receivers: [otlp], exporters: [file]}}}}}}
"""


def posted(otlp_http: str) -> bool:
    try:
        post_otlp(otlp_http, ONE_OF_EACH)
    except urllib.error.URLError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.servers
def test_what_the_real_collector_writes_reads_as_what_was_sent(tmp_path: Path) -> None:
    need("otelcol")
    address = f"{LOOPBACK}:{Ports.free().otlp_http}"
    sent, written, config = tmp_path / "sent.jsonl", tmp_path / "written.jsonl", tmp_path / "collector.yaml"
    sent.write_text(json.dumps(ONE_OF_EACH) + "\n", encoding="utf-8")
    config.write_text(CONFIG.format(address=address, file=written), encoding="utf-8")
    collector = processes.start([str(catalogue.require("otelcol")), "--config", str(config)], {}, tmp_path / "log")
    try:
        assert eventually(lambda: posted(f"http://{address}")), (tmp_path / "log").read_text()
        assert eventually(lambda: written.exists() and written.read_bytes().endswith(b"\n"))
    finally:
        processes.end([collector])
    report = ReadReport()
    assert list(read_file(written, report)) == list(read_file(sent))
    assert report == ReadReport(files=1, spans=1)
