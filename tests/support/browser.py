"""The report in a real browser: offline, its console watched, nothing of the page's policy switched off."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from support.servers import need

from spanwise_cli.stack import catalogue

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from playwright.sync_api import Browser, CDPSession, ConsoleMessage, Error, Page, Request

_ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb")
"""A container has neither user namespaces for the sandbox nor much shared memory; the pages are our own."""

PANNING = """() => new Promise((done) => {
  const times = [];
  const canvas = document.querySelector("canvas.bars");
  const step = (now) => {
    times.push(now);
    const deltaX = Math.floor(times.length / 30) % 2 ? -8 : 8;
    canvas.dispatchEvent(new WheelEvent("wheel", { deltaX, bubbles: true, cancelable: true }));
    if (times.length < 91) requestAnimationFrame(step);
    else done(times.slice(1).map((time, at) => time - times[at]));
  };
  requestAnimationFrame(step);
})"""
"""Pans to and fro for 90 frames; gives the milliseconds between them."""


@dataclass
class Opened:
    """A page and what it complained of or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the console, uncaught errors, breaches of the content security policy."""
    requests: list[str] = field(default_factory=list)
    """Addresses that it asked for, its own left out."""

    def hear(self, message: ConsoleMessage) -> None:
        """Note an error or a warning of the console."""
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def fail(self, error: Error) -> None:
        """Note an error that nobody caught."""
        self.complaints.append(str(error))

    def ask(self, request: Request) -> None:
        """Note what is asked for besides the page."""
        if not request.is_navigation_request():
            self.requests.append(request.url)

    def frame(self) -> None:
        """Wait until what was asked for is drawn."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def colours(self, canvas: str) -> set[str]:
        """Return the colours of the pixels of a canvas that are not see-through, as `r,g,b`."""
        script = """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const found = new Set();
          for (let at = 0; at < data.length; at += 4) {
            if (data[at + 3] === 255) found.add(`${data[at]},${data[at + 1]},${data[at + 2]}`);
          }
          return [...found];
        }"""
        return set(self.page.locator(canvas).first.evaluate(script))


@contextlib.contextmanager
def chromium() -> Generator[Browser, None, None]:
    """Run the browser that the catalogue finds; skips the test where there is none."""
    need("chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - takes half a second

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(catalogue.require("chromium")), args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Browser, path: Path, *, fragment: str = "", **context: Any) -> Generator[Opened, None, None]:
    """Open a file in a page of its own; `context` are playwright's settings of a browser context."""
    made = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
    try:
        page = made.new_page()
        seen = Opened(page)
        page.on("console", seen.hear)
        page.on("pageerror", seen.fail)
        page.on("request", seen.ask)
        page.goto(path.as_uri() + fragment)
        yield seen
    finally:
        made.close()


def axe_violations(page: Page) -> list[dict[str, Any]]:
    """Return what axe finds wrong with a page: rule, impact and places of each."""
    page.evaluate(resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    answer = page.evaluate("() => axe.run(document).then((found) => JSON.stringify(found.violations))")
    return [
        {"rule": found["id"], "impact": found["impact"], "places": [node["html"][:160] for node in found["nodes"]]}
        for found in json.loads(answer)
    ]


def picture(seen: Opened, canvas: str = "canvas.bars") -> str:
    """Return what a canvas shows."""
    seen.frame()
    drawn: str = seen.page.locator(canvas).first.evaluate("(canvas) => canvas.toDataURL()")
    return drawn


def rows(seen: Opened) -> list[str]:
    """Return the names in view."""
    seen.frame()
    return [line.strip() for line in seen.page.locator(".name:not([hidden]) bdi").all_inner_texts()]


def selected(seen: Opened) -> str:
    """Return the name that is selected."""
    seen.frame()
    return seen.page.locator(".name[aria-selected=true] bdi").inner_text()


def touch(fingers: CDPSession, what: str, points: list[tuple[float, float]]) -> None:
    """Have fingers begin, move or leave a touch at some points."""
    places = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    fingers.send("Input.dispatchTouchEvent", {"type": what, "touchPoints": places})
