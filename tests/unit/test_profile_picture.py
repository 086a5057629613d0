"""The picture of a profile: who was waited for when, the budget, and the first findings."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from support.profiles import SEQUENTIAL, Stretch, desk_profile, profile
from support.traces import agent, chat, run_of, wait, workflow

from spanwise_profiling.profile import BUCKETS
from spanwise_profiling.render.path_picture import path_picture
from spanwise_profiling.render.svg import AXIS_LEFT, AXIS_WIDTH, DARK, LIGHT, RIGHT, WIDTH, Theme

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def rectangles(svg: str, fill: str, height: str = "10") -> list[tuple[float, float]]:
    """Left and width of those with a fill and height."""
    found = [element.attrib for element in ET.fromstring(svg).iter(f"{SVG}rect")]
    return [(float(x["x"]), float(x["width"])) for x in found if x["fill"] == fill and x["height"] == height]


def test_what_was_waited_for_is_filled_from_the_run_s_start_to_its_end() -> None:
    svg = path_picture(desk_profile())
    *filled, _ = rectangles(svg, LIGHT.model)  # the last one is the legend's
    left, width = rectangles(svg, LIGHT.text)[0]
    assert sum(width for _, width in filled) + (AXIS_WIDTH * 0.2 / 6) == pytest.approx(AXIS_WIDTH, abs=1)
    assert filled[0][0] == pytest.approx(AXIS_LEFT + AXIS_WIDTH * 0.6 / 6, abs=0.1)
    assert filled[-1][0] + filled[-1][1] == pytest.approx(AXIS_LEFT + AXIS_WIDTH, abs=0.2)
    assert (left, width) == pytest.approx((AXIS_LEFT, AXIS_WIDTH * 0.2 / 6), abs=0.1)


def test_a_line_goes_from_agent_to_agent_as_the_path_does() -> None:
    svg = path_picture(desk_profile())
    moves = re.findall(r'd="M([\d.]+) (\d+)V(\d+)" stroke="#1f2328"', svg)
    assert [round(float(x) - AXIS_LEFT) for x, _, _ in moves] == [round(AXIS_WIDTH * at / 6) for at in (0.2, 0.6, 2.1)]
    assert len({(top, bottom) for _, top, bottom in moves}) == 3


def test_each_agent_has_its_seconds_on_the_path() -> None:
    said = texts(path_picture(desk_profile()))
    rows = {name: said[said.index(name) + 1] for name in ("dispatch", "market_analyst", "news_analyst", "bull")}
    assert rows == {"dispatch": "4.00 s", "market_analyst": "30.00 s", "news_analyst": "8.00 s", "bull": "78.00 s"}


def test_budget_and_first_findings_are_told_in_words() -> None:
    four = [replace(SEQUENTIAL, title=f"finding {number} " + "and so on " * 20) for number in range(4)]
    said = texts(path_picture(desk_profile(findings=four)))
    assert said[0] == "What trading/optimized waited for: 120.0 s"
    assert said[said.index("model_decode") + 1 :][:2] == ["20 %, model, from there on", "24.00 s"]
    assert [line[:12] for line in said if re.match(r"\d\. ", line)] == ["1. finding 0", "2. finding 1", "3. finding 2"]
    assert "Nothing to change was looked for." in texts(path_picture(desk_profile(findings=[])))


def test_waiting_is_hatched_and_what_does_not_decide_is_a_frame() -> None:
    run = run_of(workflow(1, 0, 4), agent(2, 0, 4, parent=1), wait(3, 0, 2, parent=2), chat(4, 0, 1, parent=2))
    svg = path_picture(profile(run, [(3, 0, 2, "wait_rate_limit", "observed"), (2, 2, 4, "coordination", "inferred")]))
    assert rectangles(svg, "url(#wait)")[0] == (AXIS_LEFT, AXIS_WIDTH / 2)
    assert rectangles(svg, LIGHT.background, "9")[0] == (AXIS_LEFT + 0.5, AXIS_WIDTH / 2 - 1)


def test_nothing_is_drawn_outside_and_the_dark_one_differs_in_colours_only() -> None:
    run = run_of(workflow(1, 0, 18), *(agent(n + 2, n, n + 1, parent=1, name="x" * 99) for n in range(18)))
    path: list[Stretch] = [(n + 2, n, n + 1, bucket, "inferred") for n, bucket in enumerate(BUCKETS)]
    shown = profile(run, path)
    svg = path_picture(shown)
    for element in ET.fromstring(svg).iter(f"{SVG}rect"):
        if element.get("width") != str(WIDTH) and "x" in element.attrib:
            assert float(element.attrib["x"]) + float(element.attrib["width"]) <= RIGHT
    for field in Theme.__dataclass_fields__:
        svg = svg.replace(f'"{getattr(LIGHT, field)}"', f'"{getattr(DARK, field)}"')
    assert svg == path_picture(shown, DARK)


def test_names_are_text_and_not_markup() -> None:
    run = run_of(workflow(1, 0, 1), agent(2, 0, 1, parent=1, name="</text><script>\x1b"))
    svg = path_picture(profile(run, [(2, 0, 1, "unknown", "inferred")]))
    assert "<script>" not in svg
    assert "</text><script>\\x1b" in texts(svg)
