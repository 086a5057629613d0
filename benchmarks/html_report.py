"""How smooth the HTML report is: intervals between frames in Chromium while a run of 50,000 spans is moved about.

    .venv/bin/python benchmarks/html.py [--spans N] [--frames N]

The page is moved a step each frame and draws each of them. Intervals between frames are what a person sees: they hold
the drawing, the browser's own work and whatever else the machine does, which is why the drawing is printed beside them.
Exits with 1 where more than one in a hundred intervals takes longer than 33 ms while panning or scrolling.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import sync_playwright

from spanwise import conventions
from spanwise.journal.reader import LinkRecord, SpanRecord
from spanwise_cli.stack import catalogue
from spanwise_profiling.analysis import profile_of
from spanwise_profiling.render.html import report
from spanwise_profiling.runs import runs_of
from spanwise_profiling.trace import build_traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

LIMIT_MS: Final = 33.0
TRACE: Final = "5b8efff798038103d269b633813fc60c"
MS: Final = 1_000_000
CALLS: Final = 9
"""Of each agent; a call has four spans, an agent 37."""
MOVES: Final = {
    "pan": "canvas.dispatchEvent(new WheelEvent('wheel', { deltaX: there ? 8 : -8, ...reaches }))",
    "scroll": "scroller.scrollTop += there ? 60 : -60",
    "zoom": "canvas.dispatchEvent(new WheelEvent('wheel', { deltaY: there ? -20 : 20, ctrlKey: true, ...reaches }))",
    "point": "canvas.dispatchEvent(new PointerEvent('pointermove', { ...somewhere(), ...reaches }))",
    "rest": "",
}
"""What a person does, as the page is told of it; once a frame, to and fro in turns of 60 frames."""
WATCH: Final = """(count) => new Promise((done) => {
  const [times, drawn] = [[], []];
  const canvas = document.querySelector("canvas.bars");
  const scroller = document.querySelector(".scroller");
  const box = canvas.getBoundingClientRect();
  const reaches = { bubbles: true, cancelable: true };
  const plain = window.requestAnimationFrame;
  const far = () => times.length * 7;
  const somewhere = () => ({ clientX: box.left + (far() % 200), clientY: box.top + (far() % 300) });
  window.requestAnimationFrame = (draw) => plain((now) => {
    const began = performance.now();
    draw(now);
    drawn.push(performance.now() - began);
  });
  const step = (now) => {
    times.push(now);
    const there = Math.floor(times.length / 60) % 2 === 0;
    MOVE;
    if (times.length <= count) return plain(step);
    window.requestAnimationFrame = plain;
    return done([times, drawn]);
  };
  plain(step);
})"""
"""Moves once a frame; notes when each frame begins, and how long the page's own script takes to draw one."""


def spans(count: int) -> Iterator[SpanRecord]:
    """Yield about `count` spans of one run: agents in turn, four under way at a time, with calls, tools and waits."""
    agents = max(1, round((count - 1) / (1 + 4 * CALLS)))
    yield span(1, None, 0, agents * 250, operation="invoke_workflow", attributes={conventions.WORKFLOW_NAME: "desk"})
    number = 2
    for position in range(agents):
        agent, begin = number, position * 250
        number += 1
        name = {conventions.AGENT_NAME: f"agent {position % 12}"}
        yield span(agent, 1, begin, 1000, operation="invoke_agent", attributes=name)
        for call in range(CALLS):
            yield from one_call(number, agent, begin + call * 110)
            number += 4


def one_call(number: int, agent: int, begin: int) -> Iterator[SpanRecord]:
    """Yield a wait, the streamed model call that follows, and a tool with a lookup."""
    waiting = {conventions.WAIT_KIND: "rate_limit", conventions.WAIT_RESOURCE: "llm"}
    used = {
        conventions.REQUEST_MODEL: "sim-1",
        conventions.USAGE_INPUT_TOKENS: 1200 + number % 700,
        conventions.USAGE_OUTPUT_TOKENS: 80,
        conventions.RESPONSE_TIME_TO_FIRST_CHUNK: 0.02,
        conventions.RESPONSE_ID: f"chatcmpl-{number:08x}",
    }
    releaser = LinkRecord(TRACE, f"{max(1, number - 4):016x}", {conventions.LINK_REASON: "waits_on"})
    yield span(number, agent, begin, 10, attributes=waiting, links=(releaser,))
    yield span(number + 1, agent, begin + 10, 70, operation="chat", attributes=used)
    yield span(
        number + 2, agent, begin + 80, 30, operation="execute_tool", attributes={conventions.TOOL_NAME: "prices"}
    )
    lookup = {conventions.CACHE_NAME: "market", conventions.CACHE_RESULT: "hit"}
    yield span(number + 3, number + 2, begin + 81, 2, attributes=lookup)


def span(
    number: int,
    parent: int | None,
    begin: int,
    length: int,
    *,
    attributes: dict[str, Any],
    operation: str | None = None,
    links: tuple[LinkRecord, ...] = (),
) -> SpanRecord:
    """Return a span; `begin` and `length` are milliseconds."""
    about = ({conventions.OPERATION_NAME: operation} if operation else {}) | attributes
    return SpanRecord(
        trace_id=TRACE,
        span_id=f"{number:016x}",
        parent_id=None if parent is None else f"{parent:016x}",
        name=operation or "work",
        kind=1,
        start_ns=begin * MS + 1_790_000_000_000 * MS,
        end_ns=(begin + length) * MS + 1_790_000_000_000 * MS,
        attributes=about,
        links=links,
    )


def write(folder: Path, count: int) -> Path:
    """Write the report of a run of about `count` spans; prints how long each part took."""
    [run] = runs_of(build_traces(list(spans(count))))
    began = time.perf_counter()
    profile = profile_of(run)
    analysed = time.perf_counter()
    text = report([profile])
    ended = time.perf_counter()
    path = folder / f"{count}.html"
    path.write_text(text, encoding="utf-8")
    size = path.stat().st_size / 1e6
    print(
        f"{run.totals.spans:,} spans: analysed in {analysed - began:.2f} s, "
        f"written in {ended - analysed:.2f} s, {size:.2f} MB"
    )
    return path


def watched(page: Page, frames: int, move: str) -> tuple[list[float], list[float]]:
    """Return milliseconds between `frames` frames while the page is moved, and those that each drawing took."""
    times, drawn = page.evaluate(WATCH.replace("MOVE", MOVES[move]), frames)
    return [after - before for before, after in itertools.pairwise(times)], drawn


def show(what: str, measured: tuple[list[float], list[float]]) -> float:
    """Print a line about intervals and drawings in milliseconds; returns the intervals' 99th percentile."""
    between, drawn = measured
    hundredths = statistics.quantiles(between, n=100)
    over = sum(interval > LIMIT_MS for interval in between)
    print(
        f"{what:<40} {len(between):>4} frames  median {hundredths[49]:5.1f}  p99 {hundredths[98]:5.1f}  "
        f"max {max(between):5.1f} ms  over {LIMIT_MS:.0f} ms: {over / len(between):6.2%}   {_drawing(drawn)}"
    )
    return hundredths[98]


def _drawing(drawn: list[float]) -> str:
    if not drawn:
        return "nothing drawn"
    hundredths = statistics.quantiles(drawn, n=100)
    return f"{len(drawn)} drawn: median {hundredths[49]:4.1f}  p99 {hundredths[98]:4.1f} ms"


def measure(page: Page, frames: int) -> bool:
    """Print the intervals of each way of moving about; returns whether panning and scrolling keep the limit."""
    show("nothing moves: the browser's own rhythm", watched(page, frames, "rest"))
    page.get_by_role("button", name="Unfold all").click()
    page.get_by_role("button", name="Zoom in").click(click_count=6)
    smooth = [
        show("panning, every span unfolded", watched(page, frames, "pan")),
        show("scrolling, every span unfolded", watched(page, frames, "scroll")),
    ]
    show("zooming, every span unfolded", watched(page, frames, "zoom"))
    show("pointing, every span unfolded", watched(page, frames, "point"))
    page.locator(".names").press("Home")
    page.locator(".names").press("ArrowLeft")
    smooth.append(show("panning, all in one folded row", watched(page, frames, "pan")))
    return max(smooth) <= LIMIT_MS


def main() -> int:
    """Return 0 where panning keeps the limit, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--spans", type=int, default=50_000)
    parser.add_argument("--frames", type=int, default=600, help="of each way of moving, at least")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write(Path(folder), 1_000)
        path = write(Path(folder), chosen.spans)
        browser = playwright.chromium.launch(executable_path=str(catalogue.require("chromium")), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        began = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("html.ready")
        print(f"Chromium {browser.version}: opened in {time.perf_counter() - began:.2f} s")
        smooth = measure(page, chosen.frames)
        print(f"load average of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        browser.close()
    return 0 if smooth else 1


if __name__ == "__main__":
    sys.exit(main())
